"""Send the records of a ledger to the services that own them, and gather what did not land."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec

from services.cli.importing.lanes import Lanes, Row
from services.cli.importing.ledger import KINDS, Ledger, Problem

WAIT_S: Final = 30  # A receipt may name an invoice that the payment service is just about to learn of.
ATTEMPTS_MAX: Final = 5  # Sends of one request while a service is away; rows that landed are on record, not doubled.
_RETRY_S: Final = 1.0


class ServiceAway(Exception):
    """A service did not answer, or could not go on. What was sent is safe: the same file can be sent again."""


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
            url = f"{urls[KINDS[kind]]}/imports/{kind}"
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
    awaited: list[tuple[Row, Problem]] = []

    def post(rows: Sequence[Row]) -> _Answered:
        body = b"".join(msgspec.json.encode(record) + b"\n" for _, record in rows)
        return _Answered(rows, _post(client, url, body, token()))

    def note(answered: Iterable[_Answered]) -> None:
        for one in answered:
            refusals = list(_refusals(one, kind))
            awaited.extend((row, problem) for row, problem, arriving in refusals if arriving)
            problems.extend(problem for _, problem, arriving in refusals if not arriving)
            tally.add(one.lines[-1])
            progress(kind, len(one.rows) - sum(arriving for _, _, arriving in refusals))

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
        landed = 0
        while awaited and tally.landed > landed:  # What they wait for may be long in coming, and still be coming.
            landed, again = tally.landed, sorted(awaited, key=_line)
            awaited.clear()
            for one, _ in again:
                note(lanes.put(one))
            note(lanes.rest())
    progress(kind, len(awaited))
    problems.extend(problem for _, problem in awaited)
    tally.rejected = len(problems)
    return problems


def _line(awaited: tuple[Row, Problem]) -> int:
    return awaited[1].line


def _post(client: httpx.Client, url: str, body: bytes, token: str) -> Sequence[dict[str, Any]]:
    """Send one request until it is carried out to its end. Landed rows of an earlier try come back as on record."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/x-ndjson",
        "Prefer": f"wait={WAIT_S}",
    }
    trouble = "no answer"
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            time.sleep(_RETRY_S * attempt)
        try:
            response = client.post(url, content=body, headers=headers)
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        if response.status_code in (401, 403):
            raise NotAllowed(response.text)
        if response.status_code != 200:
            trouble = f"{response.status_code}: {response.text[:300]}"
            continue
        answers = [msgspec.json.decode(line) for line in response.content.splitlines() if line]
        if answers and answers[-1].get("line") == "summary":
            return answers
        trouble = str(answers[-1:]) or "the answer broke off"
    raise ServiceAway(f"{url}: {trouble}")


def _refusals(answered: _Answered, kind: str) -> Iterator[tuple[Row, Problem, bool]]:
    """The rows that did not land, and of each whether it may yet."""
    for answer in answered.lines:
        if answer["line"] == "rejected":
            row = answered.rows[answer["row"] - 1]
            problem = Problem(row[0], kind, answer.get("field"), answer["code"], answer["message"])
            yield row, problem, answer.get("arriving", False)
