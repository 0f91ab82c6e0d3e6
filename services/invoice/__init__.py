"""The invoice service: branches, customer accounts, jobs, invoices, credit notes and retainage."""
