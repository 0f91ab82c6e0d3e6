"""What can be read, as questions about one branch: every GET route there is, with the ids and numbers of its life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from events.topics import SERVICES
from tests.support.branch_life import Life
from tests.support.firm import Firm
from tests.support.routes import routes_of

Params = dict[str, Any]
# What can be asked of lists, beside whom they are about.
_LISTS: dict[str, list[Params]] = {
    "/aging": [
        *({"by": by, "sort": sort, "as_of": day} for by, sort, day in product(
            ("branch", "account", "job", "item"), ("name", "-total"), ("2025-05-15", "2026-01-31"))),
        {"by": "item", "anchor": "invoice", "credits": "in_bucket"},
        {"by": "branch", "known_at": "2025-01-01"},
    ],
    "/cash-flow": [{"from": "2025-01-01", "to": "2026-01-31", "by": by} for by in ("day", "month")],
    "/bad-debt": [{"month": month} for month in ("2025-07", "2025-09")],
    "/items": [{}, *({"status": status} for status in ("open", "settled", "voided", "unapplied", "reversed"))],
    "/accounts": [{}],
    "/consistency": [{}, {"thorough": "true"}],
    "/freshness": [{}],
    "/position": [{}],
}  # fmt: skip
_CSV = {"/aging", "/cash-flow", "/bad-debt", "/items", "/accounts", "/consistency", "/accounts/{account_id}/timeline"}


class Question(NamedTuple):
    """A GET, of which the route is kept to be counted."""

    service: str
    route: str
    path: str
    params: Mapping[str, Any] = MappingProxyType({})


def about(firm: Firm, life: Life) -> Iterator[Question]:
    """Everything that can be read under an id or a name of this branch."""
    for service, app in firm.apps.items():
        for method, route, _ in routes_of(app):
            if method == "GET" and "{" in route:
                if "{stream}" in route:
                    for stream, after in product(_streams(service, life), (0, 1, 999)):
                        yield Question(service, route, route.format(stream=stream), {"after": after})
                else:
                    asked = Question(service, route, route.format(**life.nouns))
                    yield asked
                    yield asked._replace(params={"as_of": "2025-06-01", "known_at": "2026-12-31", "limit": 3})
                    if route in _CSV:
                        yield asked._replace(params={"format": "csv", "item": life.id("billed")})


def lists(firm: Firm) -> Iterator[Question]:
    """The reports' lists, in every form, and how far each service has recorded."""
    for service, app in firm.apps.items():
        for method, route, _ in routes_of(app):
            if method == "GET" and "{" not in route:
                for params in _LISTS[route]:
                    yield Question(service, route, route, params)
                    if route in _CSV:
                        yield Question(service, route, route, {**params, "format": "csv"})


def filtered(life: Life) -> Iterator[Question]:
    """The reports' lists, limited to what is this branch's."""
    whom = [{"account": life.id("account")}, {"collector": f"collector.{life.branch}"}, {"branch": life.branch}]
    for route in ("/aging", "/items", "/accounts", "/cash-flow"):
        params = _LISTS[route][0]
        for limit in whom:
            yield Question("reporting", route, route, params | limit)
    for route, number in (("/items", f"{life.branch}-billed"), ("/accounts", f"{life.branch}-A")):
        yield Question("reporting", route, route, {"number": number})


def _streams(service: str, life: Life) -> list[str]:
    """The streams of one service that the branch's life made."""
    of: dict[str, list[tuple[str, str]]] = {
        "invoice": [("account", "account"), ("job", "job"), ("invoice", "billed"), ("invoice", "voided")],
        "payment": [("receipt", "receipt"), ("receipt", "bounced"), ("item", "billed"), ("item", "late")],
        "contact": [("attempt", "attempt"), ("promise", "kept"), ("dispute", "resolved"), ("follow-up", "done")],
        "escalation": [
            ("delinquency", "late"),
            ("hold", "account"),
            ("placement", "closed"),
            ("write-off", "reversed"),
        ],
    }
    assert of.keys() == set(SERVICES)
    named = [f"{kind}-{UUID(life.id(noun))}" for kind, noun in of[service]]
    return [*named, f"branch-{life.branch}"] if service == "invoice" else named
