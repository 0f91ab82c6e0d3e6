"""What a service knows of accounts and open items that others own: tables, the fold that fills them, look-ups.

Not a service: contact and escalation each keep it in their own database, to validate what a command names.
"""
