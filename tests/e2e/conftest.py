"""One demonstration for all stories: the real ledger of late payments in it where that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import late_payments
from tests.support.demo import Demo, demo
from tests.support.groups import shared

# Servers that the run shares hold other tests' books: a demonstration has its own.
SERVERS = ("OPENITEM_KAFKA", "OPENITEM_POSTGRES")


@pytest.fixture(scope="session")
def running(pytestconfig: pytest.Config, run_directory: Path) -> Demo:
    """A running demonstration; `pytest.mark.xdist_group("demo")` keeps those who use it on one worker."""
    ledger = [f"--ledger={late_payments.LEDGER}"] if late_payments.LEDGER.exists() else ["--invoices=300"]
    state = shared(pytestconfig).enter_context(TemporaryDirectory(dir=run_directory))
    kept = {name: os.environ.pop(name) for name in SERVERS if name in os.environ}
    try:
        return shared(pytestconfig).enter_context(demo(Path(state), *ledger))
    finally:
        os.environ.update(kept)


@pytest.fixture
def state(run_directory: Path) -> Iterator[Path]:
    """A directory for another demonstration: pytest's own are closed to the user that Postgres runs as."""
    with TemporaryDirectory(dir=run_directory) as directory:
        yield Path(directory)
