"""Facts and commands of one story: two items of one account in CHI, 900.00 and 60.00 open."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from events.escalation import (
    HoldPlaced,
    HoldReleased,
    PlacedItem,
    PlacedWithAgency,
    PlacementClosed,
    PlacementRecalled,
    RecoveryReported,
    StepAdvanced,
    WriteOffApproved,
    WriteOffRejected,
    WriteOffRequested,
    WriteOffReversed,
)
from events.item import Item
from events.money import Money
from services.escalation.domain import RULES
from services.escalation.domain.ending import ClosePlacement, RecallPlacement
from services.escalation.domain.hold import PlaceHold, ReleaseHold
from services.escalation.domain.placing import PlaceWithAgency, Placing
from services.escalation.domain.recovery import CountPayment, ReportRecovery
from services.escalation.domain.seen import Seen
from services.escalation.domain.step import AdvanceStep
from services.escalation.domain.write_off import ApproveWriteOff, RejectWriteOff, RequestWriteOff, ReverseWriteOff
from tests.support.scenario import Scenario

given = Scenario(RULES).given

ACCOUNT, ITEM, OTHER_ITEM = UUID(int=1), UUID(int=10), UUID(int=11)
PLACEMENT, OTHER_PLACEMENT, RECOVERY, RECEIPT = UUID(int=20), UUID(int=21), UUID(int=30), UUID(int=40)
WRITE_OFF, EVENT = UUID(int=50), UUID(int=60)
DAY, LATER, LATEST = date(2025, 7, 1), date(2025, 8, 1), date(2025, 9, 1)
# Late on 1 July in Chicago, 2 July in UTC already.
NOW = datetime(2025, 7, 2, 2, 30, tzinfo=UTC)
ZONES = {"CHI": "America/Chicago"}
LABELS = ("reminder", "statement", "demand letter", "final notice", "escalated")


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def seen(item_id: UUID = ITEM, minor: int = 900_00, **values: Any) -> Seen:
    item = Item(
        item_id=item_id,
        invoice_id=item_id,
        branch="CHI",
        account_id=ACCOUNT,
        issued_on=date(2025, 3, 3),
        due_on=date(2025, 4, 2),
    )
    said: dict[str, Any] = {"item": item, "open": usd(minor)}
    return Seen(**said | values)


def advanced(step: int, **values: Any) -> StepAdvanced:
    said: dict[str, Any] = {"branch": "CHI", "effective_on": DAY, "item_id": ITEM, "account_id": ACCOUNT, "step": step}
    return StepAdvanced(**said | {"label": LABELS[step - 1]} | values)


def advance(step: int | None = None, **values: Any) -> AdvanceStep:
    said: dict[str, Any] = {"item_id": ITEM, "step": step, "labels": LABELS, "seen": seen(), "on": DAY, "now": NOW}
    return AdvanceStep(**said | values)


def held(**values: Any) -> HoldPlaced:
    said: dict[str, Any] = {"branch": "CHI", "effective_on": DAY, "account_id": ACCOUNT, "reason": "past_due"}
    return HoldPlaced(**said | values)


def unheld(**values: Any) -> HoldReleased:
    said: dict[str, Any] = {"branch": "CHI", "effective_on": LATER, "account_id": ACCOUNT, "released_by": "manager.1"}
    return HoldReleased(**said | values)


def hold(**values: Any) -> PlaceHold:
    said: dict[str, Any] = {"account_id": ACCOUNT, "reason": "past_due", "branch": "CHI", "on": DAY, "now": NOW}
    return PlaceHold(**said | values)


def unhold(**values: Any) -> ReleaseHold:
    said: dict[str, Any] = {"account_id": ACCOUNT, "released_by": "manager.1", "on": LATER, "now": NOW}
    return ReleaseHold(**said | values)


def placed(**values: Any) -> PlacedWithAgency:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": DAY,
        "placement_id": PLACEMENT,
        "account_id": ACCOUNT,
        "agency": "Transworld",
        "phase": "contingency",
        "items": (PlacedItem(item_id=ITEM, amount=usd(900_00)), PlacedItem(item_id=OTHER_ITEM, amount=usd(60_00))),
        "amount": usd(960_00),
        "fee_bp": 3_500,
        "flat_fee": usd(0),
    }
    return PlacedWithAgency(**said | values)


def place(**values: Any) -> PlaceWithAgency:
    said: dict[str, Any] = {
        "placement_id": PLACEMENT,
        "account_id": ACCOUNT,
        "agency": "Transworld",
        "phase": "contingency",
        "items": (Placing(item_id=ITEM), Placing(item_id=OTHER_ITEM)),
        "fee_bp": 3_500,
        "seen": (seen(), seen(OTHER_ITEM, 60_00)),
        "minimum": usd(50_00),
        "on": DAY,
        "now": NOW,
    }
    return PlaceWithAgency(**said | values)


def _placement(recovered: int) -> dict[str, Any]:
    return {
        "branch": "CHI",
        "placement_id": PLACEMENT,
        "account_id": ACCOUNT,
        "agency": "Transworld",
        "phase": "contingency",
        "recovered": usd(recovered),
    }


def recovered(gross: int, fee: int, *, in_all: int | None = None, **values: Any) -> RecoveryReported:
    said: dict[str, Any] = _placement(gross if in_all is None else in_all) | {
        "effective_on": LATER,
        "recovery_id": RECOVERY,
        "recovered_from": "agency",
        "gross": usd(gross),
        "fee": usd(fee),
        "net": usd(gross - fee),
    }
    return RecoveryReported(**said | values)


def recalled(in_all: int = 0, **values: Any) -> PlacementRecalled:
    said: dict[str, Any] = _placement(in_all) | {"effective_on": LATER, "reason": "disputed"}
    return PlacementRecalled(**said | values)


def closed(in_all: int = 0, **values: Any) -> PlacementClosed:
    said: dict[str, Any] = _placement(in_all) | {"effective_on": LATER, "outcome": "uncollectable"}
    return PlacementClosed(**said | values)


def recall(**values: Any) -> RecallPlacement:
    said: dict[str, Any] = {"placement_id": PLACEMENT, "reason": "disputed", "on": LATER, "now": NOW}
    return RecallPlacement(**said | values)


def close(**values: Any) -> ClosePlacement:
    said: dict[str, Any] = {"placement_id": PLACEMENT, "outcome": "uncollectable", "on": LATER, "now": NOW}
    return ClosePlacement(**said | values)


def report(gross: int, **values: Any) -> ReportRecovery:
    said: dict[str, Any] = {"recovery_id": RECOVERY, "placement_id": PLACEMENT, "recovered_from": "agency"}
    return ReportRecovery(**said | {"gross": usd(gross), "on": LATER, "now": NOW} | values)


def count(change: int, **values: Any) -> CountPayment:
    said: dict[str, Any] = {
        "event_id": EVENT,
        "receipt_id": RECEIPT,
        "item_id": ITEM,
        "change": usd(change),
        "on": LATER,
        "recorded_at": NOW,
        "placements": (PLACEMENT,),
    }
    return CountPayment(**said | values)


def _write_off(minor: int) -> dict[str, Any]:
    return {
        "branch": "CHI",
        "write_off_id": WRITE_OFF,
        "account_id": ACCOUNT,
        "item_id": ITEM,
        "amount": usd(minor),
    }


def requested(minor: int = 900_00, **values: Any) -> WriteOffRequested:
    said: dict[str, Any] = _write_off(minor) | {"effective_on": DAY}
    return WriteOffRequested(**said | {"reason": "uncollectable", "requested_by": "collector.1"} | values)


def approved(minor: int = 900_00, **values: Any) -> WriteOffApproved:
    said: dict[str, Any] = _write_off(minor) | {"effective_on": LATER, "reason": "uncollectable"}
    return WriteOffApproved(**said | {"requested_by": "collector.1", "approved_by": "controller.1"} | values)


def rejected(minor: int = 900_00, **values: Any) -> WriteOffRejected:
    said: dict[str, Any] = _write_off(minor) | {"effective_on": LATER}
    return WriteOffRejected(**said | {"rejected_by": "controller.1", "because": "collectable"} | values)


def reversed_(minor: int = 900_00, **values: Any) -> WriteOffReversed:
    return WriteOffReversed(**_write_off(minor) | {"effective_on": LATEST, "reversed_by": "controller.1"} | values)


def request(minor: int | None = 900_00, **values: Any) -> RequestWriteOff:
    said: dict[str, Any] = {
        "write_off_id": WRITE_OFF,
        "item_id": ITEM,
        "amount": None if minor is None else usd(minor),
        "reason": "uncollectable",
        "requested_by": "collector.1",
        "seen": seen(),
        "on": DAY,
        "now": NOW,
    }
    return RequestWriteOff(**said | values)


def approve(**values: Any) -> ApproveWriteOff:
    said: dict[str, Any] = {"write_off_id": WRITE_OFF, "approved_by": "controller.1", "on": LATER, "now": NOW}
    return ApproveWriteOff(**said | values)


def reject(**values: Any) -> RejectWriteOff:
    said: dict[str, Any] = {"write_off_id": WRITE_OFF, "rejected_by": "controller.1", "because": "collectable"}
    return RejectWriteOff(**said | {"on": LATER, "now": NOW} | values)


def reverse(**values: Any) -> ReverseWriteOff:
    said: dict[str, Any] = {"write_off_id": WRITE_OFF, "reversed_by": "controller.1", "on": LATEST, "now": NOW}
    return ReverseWriteOff(**said | values)
