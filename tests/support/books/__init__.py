"""A ledger in memory that records what happens as delivered facts, and can tell what stood open on any day.

It obeys the rules of the services that decide (no more applied than open, none more than received), so what it records
is a history they could have published. Its aging is computed from a list of postings, and shares nothing with
projections.
"""

from tests.support.books.base import uid
from tests.support.books.chasing import Chasing
from tests.support.books.invoices import Invoices

__all__ = ["Books", "uid"]


class Books(Invoices, Chasing):
    """A ledger. Each method records what its name says."""
