"""Backups of the services' databases: taken as one cut through all of them, and put back as a whole or not at all."""
