"""One demonstration for all stories: the real ledger of late payments in it where that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import late_payments
from tests.support.demo import Demo, demo

# Servers that the run shares hold other tests' books: a demonstration has its own.
SHARED = ("OPENITEM_KAFKA", "OPENITEM_POSTGRES")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demonstration; `pytest.mark.xdist_group("demo")` keeps those who use it on one worker."""
    kept = {name: os.environ.pop(name) for name in SHARED if name in os.environ}
    state: Path = tmp_path_factory.mktemp("demo")
    ledger = [f"--ledger={late_payments.LEDGER}"] if late_payments.LEDGER.exists() else ["--invoices=300"]
    try:
        with demo(state, *ledger) as started:
            yield started
    finally:
        os.environ.update(kept)
