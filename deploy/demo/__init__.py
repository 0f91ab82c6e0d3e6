"""The demonstration: the whole stack on one machine, a ledger imported into it, and the first reports."""
