"""Are the books right? Holds the event stores against themselves, against what callers were told, and against every
read model, which is folded anew from the event stores and compared row by row.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from events.topics import SERVICES
from services.kernel.migrate import create_database, migrate
from services.kernel.settings import database_url
from services.kernel.transient import TRANSIENT, is_transient
from services.mirror import fold as mirror
from services.payment import laws as payment_laws
from services.projections.laws import laws
from services.projections.source import Source
from tests.support.read_models import absorb, dump, reader
from tests.support.said import Said, answer_problems, log_problems, lost_and_doubled

# Who consumes what. A consumer that is missing here, or misnamed, is found at once: it never catches up.
CONSUMERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "payment": {"payment-invoice": ["invoice"], "payment-escalation": ["escalation"]},
    "contact": {"contact": ["invoice", "payment"]},
    "escalation": {"escalation": ["invoice", "payment", "contact"]},
    "projections": {"projections": list(SERVICES)},
}
MIRRORED_BY = ("contact", "escalation")
MIRROR_FEEDS = ("invoice", "payment")
MIRROR_TABLES = ("mirror_branch", "mirror_account", "mirror_item")
DIFFERENCES_MAX = 3  # Rows shown of a table that differs: enough to see what kind of difference it is.
POLL_S = 0.15

Conn = asyncpg.Connection


class Checker:
    """Checks the system on one server, with databases of its own there to fold into.

    What was folded stays, so that the next check folds only what is new.
    """

    def __init__(self, postgres: str) -> None:
        self.postgres = postgres
        self._folded: dict[str, int] = {}

    async def settle(self, within_s: float = 60, *, but: Collection[str] = ()) -> None:
        """Wait until every fact is published and every consumer has applied all of them, but those of some streams.

        Errors   TimeoutError, saying who is behind.
        """
        deadline, still, before = time.monotonic() + within_s, 0, None
        while True:
            try:
                now, behind = await self._behind(but)
            except Exception as error:
                if not is_transient(error):
                    raise
                now, behind = None, [repr(error)]
            still = still + 1 if not behind and now == before else 0
            if still:
                return  # Twice the same with nothing on its way: policies answer facts with facts.
            before = now
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {within_s:.0f} s: {'; '.join(behind[:5])}")
            await asyncio.sleep(POLL_S)

    async def problems(self, said: Said, *, parked: bool = False) -> list[str]:
        """Everything that is wrong, in words; nothing when all is right. Call it when the system has settled.

        `parked` says that a test has facts parked, and knows why.
        """
        found: list[str] = []
        for service in SERVICES:
            async with connection(database_url(self.postgres, service)) as conn:
                found += await log_problems(conn, service)
                found += await answer_problems(conn, service, said)
        async with connection(database_url(self.postgres, "payment")) as conn, conn.transaction():
            last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
            broken = await payment_laws.check(conn, 0, last, [])
            found += [f"payment: {each.law} is broken by {each.stream}" for each in broken]
        found += await self._law_problems()
        if not parked:
            found += await self._parked_problems()
        found += await self._fold_problems()
        found += await self._open_problems(said.open_minor)
        return found

    async def figures(self, said: Said) -> dict[str, int]:
        """The facts in all event stores; the acknowledged commands that are lost, and those that count twice."""
        figures = Counter(facts=0, lost=0, doubled=0)
        for service in SERVICES:
            async with connection(database_url(self.postgres, service)) as conn:
                lost, doubled = await lost_and_doubled(conn, service, said)
                figures.update(facts=await conn.fetchval("SELECT count(*) FROM events"), lost=lost, doubled=doubled)
        return dict(figures)

    async def _behind(self, but: Collection[str]) -> tuple[Counter[str], list[str]]:
        """How many facts there are, and what is not yet where it belongs."""
        streams: dict[str, dict[str, int]] = {}
        count: Counter[str] = Counter()
        behind: list[str] = []
        for service in SERVICES:
            async with connection(database_url(self.postgres, service)) as conn:
                streams[service] = dict(await conn.fetch("SELECT stream, version FROM streams"))
                count[service] = sum(streams[service].values())
                acknowledged = await conn.fetchval("SELECT seq_acknowledged FROM relay")
                if acknowledged != count[service]:
                    behind.append(f"{service} published {acknowledged} of {count[service]} facts")
        for service, consumers in CONSUMERS.items():
            async with connection(database_url(self.postgres, service)) as conn:
                for consumer, topics in consumers.items():
                    applied = dict(
                        await conn.fetch("SELECT stream, version FROM consumer_stream WHERE consumer = $1", consumer)
                    )
                    due = {stream: version for topic in topics for stream, version in streams[topic].items()}
                    late = [
                        stream
                        for stream, version in due.items()
                        if applied.get(stream) != version and stream not in but
                    ]
                    if late:
                        behind.append(f"{consumer} has not all of {len(late)} streams, such as {late[0]}")
        return count, behind

    async def _law_problems(self) -> list[str]:
        async with reader(database_url(self.postgres, "projections")) as conn, conn.transaction(readonly=True):
            found = await laws(conn, thorough=True, quiet=timedelta(0))
        return [
            f"law {law.name} in {law.currency}: {law.left} {law.left_minor}, {law.right} {law.right_minor}"
            for law in found
            if not law.holds
        ]

    async def _parked_problems(self) -> list[str]:
        found = []
        for service in CONSUMERS:
            async with connection(database_url(self.postgres, service)) as conn:
                rows = await conn.fetch("SELECT consumer, stream, stream_version, code, reason FROM parked LIMIT 5")
                found += [f"parked: {' '.join(map(str, row))}" for row in rows]
        return found

    async def _fold_problems(self) -> list[str]:
        """Fold what came since the last time, and compare every row of every read model."""
        async with (
            connection(await self._own("projections")) as projected,
            connection(await self._own("contact")) as own,
        ):
            for service in SERVICES:
                await self._fold(service, projected, own)
            expected, mirrored = await dump(projected), await _rows(own, MIRROR_TABLES)
        async with connection(database_url(self.postgres, "projections")) as conn:
            found = _differences("read model", await dump(conn), expected)
        for service in MIRRORED_BY:
            async with connection(database_url(self.postgres, service)) as conn:
                found += _differences(f"{service}'s mirror", await _rows(conn, MIRROR_TABLES), mirrored)
        return found

    async def _fold(self, service: str, projected: Conn, mirrored: Conn) -> None:
        source = await Source.open(service, database_url(self.postgres, service))
        try:
            last = await source.last()
            while self._folded.get(service, 0) < last:
                stretch = await source.after(self._folded.get(service, 0), last, without=())
                known = [one.known for one in stretch.facts if one.known is not None]
                assert len(known) == len(stretch.facts), f"{service} recorded a fact that cannot be read"
                await absorb(projected, known)
                if service in MIRROR_FEEDS:
                    async with mirrored.transaction():
                        await mirrored.execute("SELECT set_config('openitem.branches', '*', true)")
                        await mirror.keep(mirrored, known)
                self._folded[service] = stretch.upto
        finally:
            await source.close()

    async def _own(self, service: str) -> str:
        """A database of ours with the tables of `service`; empty when this checker first asks."""
        url = urlunsplit(urlsplit(self.postgres)._replace(path=f"/openitem_checker_{service}"))
        if not self._folded:
            async with connection(self.postgres) as admin:
                await admin.execute(f'DROP DATABASE IF EXISTS "openitem_checker_{service}" WITH (FORCE)')
            await create_database(url)
            await migrate(url, service)
        return url

    async def _open_problems(self, expected: Mapping[str, int]) -> list[str]:
        async with reader(database_url(self.postgres, "projections")) as conn:
            rows = await conn.fetch(
                "SELECT item_id::text, open_minor FROM open_item WHERE item_id = ANY ($1::uuid[])", list(expected)
            )
        shown = {row["item_id"]: row["open_minor"] for row in rows}
        return [
            f"item {item}: {shown.get(item)} is open, the caller's books say {minor}"
            for item, minor in expected.items()
            if shown.get(item) != minor
        ][:20]


async def _rows(conn: Conn, tables: Sequence[str]) -> dict[str, list[str]]:
    return {
        table: [row["line"] for row in await conn.fetch(f"SELECT t::text AS line FROM {table} t ORDER BY 1")]
        for table in tables
    }


def _differences(what: str, shown: Mapping[str, list[str]], expected: Mapping[str, list[str]]) -> list[str]:
    found = []
    for table in sorted(shown.keys() | expected.keys()):
        mine, theirs = Counter(shown.get(table, ())), Counter(expected.get(table, ()))
        for sign, rows in (("has", mine - theirs), ("lacks", theirs - mine)):
            some = sorted(rows)[:DIFFERENCES_MAX]
            found += [f"{what} {table} {sign} {line} ({sum(rows.values())} such rows)" for line in some]
    return found


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Conn]:
    """As the owner, whom no row-level security limits."""
    conn = await asyncpg.connect(url, timeout=5, command_timeout=60)
    try:
        yield conn
    finally:
        try:
            await conn.close(timeout=5)
        except TRANSIENT:  # The server is away: it has closed it.
            conn.terminate()
