"""The contract between the services: every fact that is published, and how it looks on the wire.

Anyone may read it: it imports msgspec and the standard library only, so a subscriber needs neither Postgres nor Kafka
drivers to decode what he received.
"""
