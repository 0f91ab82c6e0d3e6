"""The contact service: attempts to reach customers, promises to pay, disputes and follow-ups; notes are kept apart."""
