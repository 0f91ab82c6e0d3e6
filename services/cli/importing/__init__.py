"""Bring a ledger in: read the user's file, fit it by a mapping, send it as commands, say what did not land and why."""
