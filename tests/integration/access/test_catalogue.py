"""What Postgres itself enforces: the role that requests run as sees rows of its branches only, and changes no fact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from tests.conftest import MakeDatabase

ROLE: Final = "openitem_app"
DATABASES: Final = ("invoice", "payment", "contact", "escalation", "projections")
# Tables with a branch and no row-level security, each with its reason.
OPEN: Final = {
    (
        "escalation",
        "dunning_step",
    ): "policy as data: the firm's steps, which every branch follows unless it has its own",
    ("escalation", "placement_minimum"): "policy as data: what is too little for an agency",
}
# Functions that run as their owner, each with its reason.
AS_OWNER: Final = {"last_recorded_at": "an instant of the whole store, which every fact that follows shows anyway"}


@pytest.fixture(params=DATABASES)
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def conn(service: str, make_database: MakeDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The administrator's connection."""
    conn = await asyncpg.connect(await make_database(service))
    yield conn
    await conn.close()


async def test_every_table_with_a_branch_shows_its_rows_to_that_branch_alone(
    service: str, conn: asyncpg.Connection
) -> None:
    tables = await conn.fetch(WITH_BRANCH)
    assert "events" in {row["name"] for row in tables}
    found = {row["name"] for row in tables if not row["secured"]}
    assert found == {table for owner, table in OPEN if owner == service}, "enable row-level security, with a policy"
    for row in tables:
        if row["secured"]:
            assert row["policies"] == 1, f"{row['name']}: several policies would widen each other"
            # Of branches, to everybody, for reading and for writing.
            assert (row["command"], row["roles"]) == ("*", [0]), row["name"]
            assert "may_see(branch)" in row["using"], row["using"]
            assert row["check"] is None, f"{row['name']}: a check of its own lets rows in that the policy would hide"


async def test_no_view_or_function_reads_with_the_rights_of_its_owner(conn: asyncpg.Connection) -> None:
    with_branch = {row["name"] for row in await conn.fetch(VIEWS) if row["branch"] and not row["invoker"]}
    assert not with_branch, "WITH (security_invoker = true): a view otherwise shows what its owner may see"
    for function in await conn.fetch(DEFINER):
        assert function["proname"] in AS_OWNER, f"{function['proname']} sees what its owner sees: say why it may"
        assert function["fixed"], "SET search_path: whoever calls it must not choose which tables it reads"
        assert not function["anybody"], "REVOKE ALL ... FROM PUBLIC"


async def test_the_role_of_requests_owns_nothing_and_cannot_get_around_the_policies(conn: asyncpg.Connection) -> None:
    role = await conn.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", ROLE)
    assert role is not None
    assert not any(role[right] for right in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolcanlogin"))
    assert await conn.fetchval("SELECT count(*) FROM pg_auth_members WHERE member = $1", role["oid"]) == 0
    assert await conn.fetch(OWNED, role["oid"]) == []
    creates = await conn.fetch("SELECT nspname FROM pg_namespace WHERE has_schema_privilege($1, oid, 'CREATE')", ROLE)
    assert creates == []


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
async def test_the_role_of_requests_can_add_facts_and_not_change_them(conn: asyncpg.Connection, right: str) -> None:
    for table in ("events", "published", "commands"):
        if await conn.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            assert not await conn.fetchval("SELECT has_table_privilege($1, $2, $3)", ROLE, table, right), table
            if right in ("UPDATE", "REFERENCES"):
                assert not await conn.fetchval("SELECT has_any_column_privilege($1, $2, $3)", ROLE, table, right), table


async def test_not_even_the_owner_changes_a_fact(conn: asyncpg.Connection) -> None:
    for change in ("UPDATE events SET actor = 'nobody'", "DELETE FROM events", "TRUNCATE events CASCADE"):
        with pytest.raises(asyncpg.PostgresError, match="facts are never changed"):
            await conn.execute(change)
        async with conn.transaction():
            await conn.execute(f"SET LOCAL ROLE {ROLE}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with conn.transaction():
                    await conn.execute(change)


async def test_without_branches_nothing_is_seen_and_nothing_can_be_written(conn: asyncpg.Connection) -> None:
    await conn.execute("INSERT INTO streams VALUES ('branch-ATL', 1)")
    await conn.execute(FACT, "ATL")
    for branches, seen in ((None, 0), ("", 0), ("ATLANTA", 0), ("BOS", 0), ("BOS,ATL", 1), ("*", 1), ("*,BOS", 0)):
        async with conn.transaction():
            await conn.execute(f"SET LOCAL ROLE {ROLE}")
            if branches is not None:
                await conn.execute("SELECT set_config('openitem.branches', $1, true)", branches)
            assert await conn.fetchval("SELECT count(*) FROM events") == seen, branches
            if not seen:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with conn.transaction():
                        await conn.execute(FACT, "ATL")


WITH_BRANCH: Final = """
SELECT c.relname AS name, c.relrowsecurity AND p.oid IS NOT NULL AS secured, p.polcmd::text AS command,
       p.polroles::int[] AS roles, pg_get_expr(p.polqual, p.polrelid) AS using,
       pg_get_expr(p.polwithcheck, p.polrelid) AS check, count(p.oid) OVER (PARTITION BY c.oid) AS policies
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_policy p ON p.polrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'branch' AND NOT a.attisdropped)
"""
VIEWS: Final = """
SELECT c.relname AS name, coalesce('security_invoker=true' = ANY (c.reloptions), false) AS invoker,
       EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
               JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attname = 'branch'
               WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class = c.oid) AS branch
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
DEFINER: Final = """
SELECT proname, coalesce(array_to_string(proconfig, ','), '') LIKE '%search_path=%' AS fixed,
       has_function_privilege('public', oid, 'EXECUTE') AS anybody
FROM pg_proc WHERE prosecdef AND pronamespace <> 'pg_catalog'::regnamespace
"""
OWNED: Final = """
SELECT relname FROM pg_class WHERE relowner = $1 UNION ALL SELECT proname FROM pg_proc WHERE proowner = $1
UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = $1
UNION ALL SELECT datname FROM pg_database WHERE datdba = $1
"""
FACT: Final = """
INSERT INTO events (stream, stream_version, type, branch, effective_on, data, actor, correlation_id)
VALUES ('branch-ATL', 1, 'openitem.invoice.branch_registered.v1', $1, '2025-01-02', '{}', 'ann', 'c')
"""
