"""Fixtures for tests with real servers. A run whose tests ask for none starts none."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support.groups import group_of, shared
from tests.support.servers import address_of, close_run, open_run

if TYPE_CHECKING:
    from deploy.embedded import Kafka, Postgres
    from tests.support.fire import Fire

MakeDatabase = Callable[[str], Awaitable[str]]

# Warnings are errors; these are not about our code and we cannot act on them.
THEIR_WARNINGS = [
    "ignore:(open|read)_text is deprecated:DeprecationWarning",  # kafka-python 3.0 on Python 3.11, when imported.
    # kafka-python 3.0 leaves a socket behind for each try at a broker that is down. Ours have an address of their own.
    r"ignore:unclosed <socket\.socket .*laddr=\('0\.0\.0\.0':ResourceWarning",
]

# Every run tries the same examples: what passed once is not stopped by chance. `make explore` looks for new ones, and
# what it finds becomes a test of its own. How long an example takes says most about what else the machine does.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("same"), derandomize=False, max_examples=500, print_blob=True)
settings.load_profile("same")

# A line for each request would take longer than the request, and a coloured traceback with all its variables seconds.
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
)

RUN = pytest.StashKey[Path]()
OWNER = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    for line in THEIR_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[RUN] = Path(worker_input["openitem_run"]) if worker_input else open_run()
    config.stash[OWNER] = worker_input["openitem_owner"] if worker_input else os.getpid()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the run keeps its servers, and who owns them."""
    node.workerinput["openitem_run"] = str(node.config.stash[RUN])
    node.workerinput["openitem_owner"] = node.config.stash[OWNER]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of a group together, at the place of its first: what they share is started once."""
    first: dict[str, int] = {}
    places = {item: first.setdefault(group_of(item) or item.nodeid, at) for at, item in enumerate(items)}
    items.sort(key=places.__getitem__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """End what a group shares with the group: ten idle processes would take half a core from all tests after it."""
    try:
        return (yield)
    finally:
        group = group_of(item)
        if group is not None and (nextitem is None or group_of(nextitem) != group):
            shared(item.config).close()


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash and config.stash[OWNER] == os.getpid():
        close_run(config.stash[RUN])


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """The administrator's address of the run's PostgreSQL."""
    return address_of("postgres", pytestconfig.stash[RUN], pytestconfig.stash[OWNER])


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> str:
    """The run's Kafka, as host:port."""
    return address_of("kafka", pytestconfig.stash[RUN], pytestconfig.stash[OWNER])


@pytest.fixture
def topic_prefix() -> str:
    """Goes before the names of topics and groups: all tests of a run share one Kafka."""
    return f"t{uuid4().hex[:8]}"


@pytest.fixture
async def make_database(postgres_url: str) -> AsyncIterator[MakeDatabase]:
    """`await make_database("payment")` is the URL of a fresh, migrated database; dropped after the test."""
    from tests.support.databases import Databases

    databases = Databases(postgres_url)
    yield databases.make
    await databases.drop()


@pytest.fixture(scope="session")
def run_directory(pytestconfig: pytest.Config) -> Path:
    """For what must not outlive the run: removed at its end, or when the next run finds its owner dead."""
    return pytestconfig.stash[RUN]


@pytest.fixture
def private_postgres(run_directory: Path) -> Iterator["Postgres"]:
    """A PostgreSQL for this test alone, to be killed at will."""
    from deploy.embedded import Postgres

    with TemporaryDirectory(dir=run_directory) as mine, Postgres(Path(mine), durable=False) as server:
        yield server


@pytest.fixture
def private_kafka(run_directory: Path) -> Iterator["Kafka"]:
    """A Kafka for this test alone, to be killed at will."""
    from deploy.embedded import Kafka

    with TemporaryDirectory(dir=run_directory) as mine, Kafka(Path(mine), short_lived=True) as server:
        yield server


@pytest.fixture(scope="session")
def under_fire(pytestconfig: pytest.Config, run_directory: Path) -> "Fire":
    """The whole system, to be killed at will. `pytest.mark.xdist_group("fire")` keeps its users on one worker."""
    from tests.support.fire import fire

    mine = shared(pytestconfig).enter_context(TemporaryDirectory(dir=run_directory))
    return shared(pytestconfig).enter_context(fire(Path(mine)))
