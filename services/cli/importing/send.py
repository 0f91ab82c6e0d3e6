"""Send the records of a ledger to the services that own them, and gather what did not land.

Services learn of each other's facts over Kafka. Before a kind is sent, its service has to know all that those it
follows have recorded: what becomes of a row does not depend on how fast that is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import httpx
import msgspec

from services.cli.importing.lanes import Lanes, Row
from services.cli.importing.ledger import FOLLOWS, KINDS, Ledger, Problem

T = TypeVar("T")
WAIT_S: Final = 30  # What a service lets us wait in one request, until it knows what others recorded.
AWAITED_S_MAX: Final = 1_800  # For all of that: a large ledger takes the services that follow it minutes.
ATTEMPTS_MAX: Final = 5  # Sends of one request while a service is away; rows that landed are on record, not doubled.
_RETRY_S: Final = 1.0


class ServiceAway(Exception):
    """A service did not answer, or could not go on. What was sent is safe: the same file can be sent again."""


class _NotDone(Exception):
    """The answer is not what it should be: ask again."""


class NotAllowed(Exception):
    """The token is refused, or may not import."""


@dataclass
class Tally:
    """What became of one kind of record. `rows` = landed + on_record + rejected."""

    rows: int = 0
    landed: int = 0
    on_record: int = 0
    rejected: int = 0
    facts: int = 0
    seconds: float = 0.0

    def add(self, summary: Mapping[str, Any]) -> None:
        """Count what landed of one request."""
        self.landed += summary["landed"]
        self.on_record += summary["on_record"]
        self.facts += summary.get("facts", 0)


@dataclass
class Report:
    """The whole import. `problems` are in the order they were met; a row appears at most once."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Answered:
    """One request: the rows that were sent, and the lines of the answer."""

    rows: Sequence[Row]
    lines: Sequence[dict[str, Any]]


Progress = Callable[[str, int], None]  # Kind, and how many more of its records are done.


def send(
    ledger: Ledger, urls: Mapping[str, str], token: Callable[[], str], progress: Progress = lambda _kind, _more: None
) -> Report:
    """Send everything, kind after kind. A row that was refused once is left out of the kinds that follow.

    Errors   NotAllowed; ServiceAway after ATTEMPTS_MAX tries. Refused rows are in the report, not errors.
    """
    report = Report(problems=list(ledger.unmatched()))
    refused = {problem.line for problem in report.problems}
    # Within one file everything that follows from a row stands or falls with it: its owner corrects it as a whole.
    with httpx.Client(timeout=httpx.Timeout(120, connect=5)) as client:
        for kind in ledger.kinds():
            tally = report.tallies[kind] = Tally()
            began = time.monotonic()
            progress(kind, 0)
            service = KINDS[kind]
            for followed in FOLLOWS[service]:
                _await_known(client, urls[service], urls[followed], token)
            url = f"{urls[service]}/imports/{kind}"
            problems = _send_kind(client, ledger, kind, url, token, tally, refused, progress)
            # Requests overtake each other: the file's order is the one that its owner looks for.
            for problem in sorted(problems, key=lambda problem: problem.line):
                if problem.line not in refused:
                    report.problems.append(problem)
                    refused.add(problem.line)
            tally.seconds = time.monotonic() - began
    return report


def _send_kind(
    client: httpx.Client,
    ledger: Ledger,
    kind: str,
    url: str,
    token: Callable[[], str],
    tally: Tally,
    refused: Set[int],
    progress: Progress,
) -> list[Problem]:
    """Every record of one kind; answers those that did not land. Errors: those of `send`."""
    problems: list[Problem] = []

    def post(rows: Sequence[Row]) -> _Answered:
        body = b"".join(msgspec.json.encode(record) + b"\n" for _, record in rows)
        headers = {**_bearer(token), "Content-Type": "application/x-ndjson"}
        return _Answered(rows, _ask(partial(client.post, url, content=body, headers=headers), _lines))

    def note(answered: Iterable[_Answered]) -> None:
        for one in answered:
            problems.extend(_refusals(one, kind))
            tally.add(one.lines[-1])
            progress(kind, len(one.rows))

    with Lanes(kind, post) as lanes:
        for row, found in ledger.records(kind):
            if row.line in refused:
                continue
            tally.rows += 1
            if isinstance(found, Problem):
                problems.append(found)
                progress(kind, 1)
            else:
                note(lanes.put((row.line, found)))
        note(lanes.rest())
    tally.rejected = len(problems)
    return problems


def _await_known(client: httpx.Client, url: str, followed: str, token: Callable[[], str]) -> None:
    """Wait until one service knows all that another one has recorded. Errors: those of `send`."""

    def ask(service: str, **more: str) -> str | None:
        return _ask(partial(client.get, f"{service}/position", headers=_bearer(token) | more), _position)

    position = ask(followed)
    wait = {"Openitem-After": position or "", "Prefer": f"wait={WAIT_S}"}
    deadline = time.monotonic() + AWAITED_S_MAX
    while position and ask(url, **wait) is None:
        if time.monotonic() >= deadline:
            raise ServiceAway(f"{url} does not learn of what {followed} recorded; does its worker run?")


def _position(response: httpx.Response) -> str | None:
    """How far a service has recorded; None where it does not know yet what it was asked about."""
    if response.status_code == 503 and b'"not_yet_known"' in response.content:
        return None
    if response.status_code != 200:
        raise _NotDone
    return response.headers["openitem-position"]


def _lines(response: httpx.Response) -> Sequence[dict[str, Any]]:
    """The answer to an import that was carried out to its end."""
    if response.status_code != 200:
        raise _NotDone
    lines = [msgspec.json.decode(line) for line in response.content.splitlines() if line]
    if not lines or lines[-1].get("line") != "summary":
        raise _NotDone
    return lines


def _bearer(token: Callable[[], str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}"}


def _ask(send: Callable[[], httpx.Response], read: Callable[[httpx.Response], T]) -> T:
    """Send one request until it is carried out to its end. Landed rows of an earlier try come back as on record."""
    trouble = ""
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            time.sleep(_RETRY_S * attempt)
        try:
            response = send()
            if response.status_code in (401, 403):
                raise NotAllowed(response.text)
            return read(response)
        except httpx.TransportError as error:
            trouble = f"{error.request.url}: {type(error).__name__}: {error}"
        except _NotDone:
            trouble = f"{response.url}: {response.status_code}: {response.text[-300:]}"
    raise ServiceAway(trouble)


def _refusals(answered: _Answered, kind: str) -> Iterator[Problem]:
    """The rows that did not land."""
    for answer in answered.lines:
        if answer["line"] == "rejected":
            line, _ = answered.rows[answer["row"] - 1]
            yield Problem(line, kind, answer.get("field"), answer["code"], answer["message"])
