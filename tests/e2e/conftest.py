"""One demonstration for all stories: the real ledger of late payments in it where that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import late_payments
from tests.support.demo import Demo, demo

# Servers that the run shares hold other tests' books: a demonstration has its own.
SHARED = ("OPENITEM_KAFKA", "OPENITEM_POSTGRES")


@pytest.fixture(scope="session")
def running(run_directory: Path) -> Iterator[Demo]:
    """A running demonstration; `pytest.mark.xdist_group("demo")` keeps those who use it on one worker."""
    kept = {name: os.environ.pop(name) for name in SHARED if name in os.environ}
    ledger = [f"--ledger={late_payments.LEDGER}"] if late_payments.LEDGER.exists() else ["--invoices=300"]
    try:
        with TemporaryDirectory(dir=run_directory) as state, demo(Path(state), *ledger) as started:
            yield started
    finally:
        os.environ.update(kept)


@pytest.fixture
def state(run_directory: Path) -> Iterator[Path]:
    """A directory for another demonstration: pytest's own are closed to the user that Postgres runs as."""
    with TemporaryDirectory(dir=run_directory) as directory:
        yield Path(directory)
