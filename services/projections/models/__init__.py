"""The read models: one module each, with its table in the SQL file of the same subject."""
