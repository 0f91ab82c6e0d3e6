"""The escalation service: delinquency steps, account holds, agency placements and write-offs."""
