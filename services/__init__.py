"""Openitem's services. They never import each other: they meet in `events/` and stand on `services/kernel/`."""
