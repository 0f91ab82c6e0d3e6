"""What happens at one branch, as commands that are carried out one after the other: every command there is.

All ids, numbers and names follow from the branch's code: two branches live alike, and are told apart by any of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from tests.support.firm import Firm

ASKS, AGREES = "ann", "bob"  # Whoever asks for a write-off may not be who agrees.
TOTAL = "1000.00"


class Step(NamedTuple):
    """One command. `route` is the path as the route has it, `params` what stands in for its names."""

    service: str
    route: str
    params: dict[str, str]
    body: dict[str, Any]
    sub: str = ASKS

    @property
    def path(self) -> str:
        return self.route.format(**self.params)


def id_of(branch: str, noun: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"{branch} {noun}"))


class Life:
    """The commands of one branch. `phases`: between one and the next, facts must have travelled."""

    def __init__(self, branch: str) -> None:
        self.branch = branch
        self.phases = [self._billed(), [*self._paid(), *self._contacted()], self._escalated()]

    def id(self, noun: str) -> str:
        return id_of(self.branch, noun)

    @property
    def steps(self) -> list[Step]:
        return [step for phase in self.phases for step in phase]

    @property
    def nouns(self) -> dict[str, str]:
        """What the names in routes' paths stand for, wherever something can be read under them."""
        names = {
            "account_id": "account",
            "invoice_id": "billed",
            "receipt_id": "receipt",
            "item_id": "late",
            "attempt_id": "attempt",
            "promise_id": "promise",
            "dispute_id": "dispute",
            "follow_up_id": "follow-up",
            "placement_id": "placement",
            "write_off_id": "write-off",
        }
        note = str(uuid5(uuid5(NAMESPACE_OID, f"{self.branch} attempt"), "note"))
        return {name: self.id(noun) for name, noun in names.items()} | {"note_id": note}

    def _billed(self) -> list[Step]:
        code, account = self.branch, {"account_id": self.id("account")}
        firm = {"name": f"Firm of {code}", "profile": "commercial_entity", "collector": f"collector.{code}"}
        opened = {**account, "branch": code, "number": f"{code}-A", "currency": "USD", "opened_on": "2025-01-02"}
        job = {"job_id": self.id("job"), "branch": code, **account, "number": f"{code}-J", "opened_on": "2025-01-02"}
        branch = {"branch": code, "name": f"City of {code}", "region": f"R-{code}", "timezone": "America/Chicago"}
        return [
            Step("invoice", "/branches", {}, {**branch, "registered_on": "2025-01-02"}),
            Step("invoice", "/accounts", {}, {**opened, **firm}),
            Step("invoice", "/accounts/{account_id}/changes", account, {"terms_days": 45, "changed_on": "2025-02-01"}),
            Step("invoice", "/jobs", {}, {**job, "name": f"Works at {code}"}),
            *(
                self._invoice(noun)
                for noun in ("credited", "voided", "late", "promised", "kept", "disputed", "placed", "lost", "given-up")
            ),
            self._invoice("billed", tax="70.00", retainage="100.00", job_id=self.id("job"), po=f"{code}-PO"),
            self._about(
                "credited",
                "credit-notes",
                {"credit_note_id": self.id("credit"), "number": f"{code}-C", "issued_on": "2025-03-20"},
                {"currency": "USD", "amount": "200.00", "reason": "price"},
            ),
            self._about("voided", "void", {"reason": "entry_error", "voided_on": "2025-03-04"}),
            self._about(
                "billed",
                "retainage-releases",
                {"release_id": self.id("release"), "number": f"{code}-R", "released_on": "2025-05-01"},
                {"currency": "USD", "amount": "60.00", "due_on": "2025-05-31"},
            ),
        ]

    def _invoice(self, noun: str, **more: str) -> Step:
        common = {"branch": self.branch, "account_id": self.id("account"), "currency": "USD", "total": TOTAL}
        named = {"invoice_id": self.id(noun), "number": f"{self.branch}-{noun}", "issued_on": "2025-03-03"}
        return Step("invoice", "/invoices", {}, {**named, **common, **more})

    def _about(self, noun: str, what: str, *parts: dict[str, Any]) -> Step:
        body = {name: value for part in parts for name, value in part.items()}
        return Step("invoice", f"/invoices/{{invoice_id}}/{what}", {"invoice_id": self.id(noun)}, body)

    def _paid(self) -> list[Step]:
        billed, line = self.id("billed"), {"item_id": self.id("billed"), "amount": "200.00"}
        return [
            self._receipt("receipt"),
            self._receipt("unknown", account_id=None),
            self._receipt("bounced"),
            self._receipt("refunded"),
            self._money("unknown", "identification", account_id=self.id("account"), identified_on="2025-04-12"),
            self._money("receipt", "applications", currency="USD", lines=[line], applied_on="2025-04-10"),
            self._money("bounced", "applications", currency="USD", lines=[line]),
            self._money("receipt", "unapplications", currency="USD", lines=[{"item_id": billed, "amount": "50.00"}]),
            self._money("bounced", "reversal", reason="nsf", reversed_on="2025-04-15"),
            self._money(
                "refunded",
                "refunds",
                refund_id=self.id("refund"),
                amount="50.00",
                currency="USD",
                refunded_on="2025-05-02",
            ),
        ]

    def _receipt(self, noun: str, **more: Any) -> Step:
        body = {
            "receipt_id": self.id(noun),
            "branch": self.branch,
            "account_id": self.id("account"),
            "method": "check",
            "reference": f"{self.branch} {noun}",
            "amount": "500.00",
            "currency": "USD",
            "received_on": "2025-04-10",
        }
        return Step("payment", "/receipts", {}, body | more)

    def _money(self, noun: str, what: str, **body: Any) -> Step:
        return Step("payment", f"/receipts/{{receipt_id}}/{what}", {"receipt_id": self.id(noun)}, body)

    def _contacted(self) -> list[Step]:
        owner, words = f"owner.{self.branch}", f"Somebody of {self.branch} said so."
        about = {"account_id": self.id("account"), "item_ids": [self.id("late")]}
        attempt = {"attempt_id": self.id("attempt"), "channel": "call", "outcome": "reached", "note": words}
        follow_up = {"due_on": "2025-05-09", "scheduled_on": "2025-05-02", "owner": owner, "note": words}
        return [
            Step("contact", "/attempts", {}, {**attempt, **about, "attempted_on": "2025-05-02"}),
            self._promise("promise", "promised"),
            *(
                self._promise(noun, item)
                for noun, item in (("kept", "kept"), ("broken", "late"), ("cancelled", "lost"))
            ),
            self._of("promise", "kept", "kept", kept_on="2025-05-05"),
            self._of("promise", "broken", "broken", broken_on="2025-06-16"),
            self._of("promise", "cancelled", "cancellation", reason="withdrawn", cancelled_on="2025-05-04"),
            self._dispute("dispute", "disputed", owner=owner, note=words),
            self._dispute("resolved", "late"),
            self._of(
                "dispute", "resolved", "resolution", outcome="partly_upheld", upheld="100.00", resolved_on="2025-05-20"
            ),
            Step("contact", "/follow-ups", {}, {"follow_up_id": self.id("follow-up"), **about, **follow_up}),
            Step("contact", "/follow-ups", {}, {"follow_up_id": self.id("done"), **about, **follow_up}),
            self._of("follow_up", "done", "done", attempt_id=self.id("attempt"), done_on="2025-05-09"),
        ]

    def _promise(self, noun: str, item: str) -> Step:
        body = {
            "promise_id": self.id(noun),
            "account_id": self.id("account"),
            "item_ids": [self.id(item)],
            "amount": "500.00",
            "currency": "USD",
            "made_on": "2025-05-02",
            "promised_on": "2025-06-13",
        }
        return Step("contact", "/promises", {}, body)

    def _dispute(self, noun: str, item: str, **more: str) -> Step:
        body = {
            "dispute_id": self.id(noun),
            "item_id": self.id(item),
            "account_id": self.id("account"),
            "amount": "250.00",
            "currency": "USD",
            "reason": "PRC",
            "opened_on": "2025-05-02",
        }
        return Step("contact", "/disputes", {}, body | more)

    def _of(self, kind: str, noun: str, what: str, **body: Any) -> Step:
        name = f"{kind}_id"
        path = f"/{kind.replace('_', '-')}s/{{{name}}}/{what}"
        return Step("contact", path, {name: self.id(noun)}, body)

    def _escalated(self) -> list[Step]:
        account = {"account_id": self.id("account")}
        hold = {**account, "reason": "past_due", "placed_on": "2025-06-02"}
        recovery = {"recovery_id": self.id("recovery"), "recovered_from": "agency", "gross": "400.00"}
        return [
            Step("escalation", "/steps", {}, {"item_id": self.id("late"), "advanced_on": "2025-05-10"}),
            Step("escalation", "/holds", {}, hold),
            Step("escalation", "/holds/{account_id}/release", account, {"released_on": "2025-06-05"}),
            Step("escalation", "/holds", {}, {**hold, "placed_on": "2025-06-10"}),
            *(self._placement(noun, item) for noun, item in (("placement", "placed"), ("recalled", "lost"))),
            self._placed("placement", "recoveries", **recovery, currency="USD", reported_on="2025-07-20"),
            self._placed("recalled", "recall", reason="error", recalled_on="2025-07-03"),
            self._placement("closed", "lost", "2025-07-05"),
            self._placed("closed", "closure", outcome="uncollectable", closed_on="2025-08-03"),
            *(self._write_off(noun) for noun in ("write-off", "reversed", "rejected")),
            self._given_up("reversed", "approval", approved_on="2025-09-03"),
            self._given_up("reversed", "reversal", reversed_on="2025-09-04"),
            self._given_up("rejected", "rejection", because="collectable", rejected_on="2025-09-03"),
        ]

    def _placement(self, noun: str, item: str, on: str = "2025-07-01") -> Step:
        body = {
            "placement_id": self.id(noun),
            "account_id": self.id("account"),
            "agency": f"Agency of {self.branch}",
            "phase": "contingency",
            "item_ids": [self.id(item)],
            "fee_bp": 3500,
            "placed_on": on,
        }
        return Step("escalation", "/placements", {}, body)

    def _placed(self, noun: str, what: str, **body: Any) -> Step:
        return Step("escalation", f"/placements/{{placement_id}}/{what}", {"placement_id": self.id(noun)}, body)

    def _write_off(self, noun: str) -> Step:
        named = {"write_off_id": self.id(noun), "item_id": self.id("given-up"), "amount": "19.80", "currency": "USD"}
        return Step("escalation", "/write-offs", {}, {**named, "reason": "small_balance", "requested_on": "2025-09-01"})

    def _given_up(self, noun: str, what: str, **body: Any) -> Step:
        path = f"/write-offs/{{write_off_id}}/{what}"
        return Step("escalation", path, {"write_off_id": self.id(noun)}, body, sub=AGREES)


async def live(firm: Firm, *branches: str) -> None:
    """Carry out the life of each branch, and let its facts travel."""
    lives = [Life(branch) for branch in branches]
    for phase in zip(*(life.phases for life in lives), strict=True):
        for step in (step for steps in phase for step in steps):
            headers = firm.caller(sub=step.sub)
            answer = await firm.send(step.service, "POST", step.path, headers=headers, json=step.body)
            assert answer.status_code < 300, f"{step.path}: {answer.text}"
        await firm.settle()
