"""Golden samples: one record of every fact version ever published, headers and data, as it stands on Kafka.

`python -m events.golden` makes the missing ones and never touches one that is there: today's code must read yesterday's
samples. All samples tell of the same customer, invoice and payment, and their figures agree with each other.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import inspect

from events import codec
from events.envelope import Envelope, Fact
from events.money import Money
from events.registry import PREFIX, REGISTRY, Registered, Registry

FOLDER: Final = Path(__file__).with_name("golden")
_SPACE: Final = UUID("0b5c1f0e-6a39-5d0a-9a57-3c1d3e0b7f11")  # Any will do; it only has to stay the same.
_RECORDED_AT: Final = datetime(2026, 3, 2, 14, 5, 33, 250_000, tzinfo=UTC)
_SEQ: Final = 10_472

# What a field of this name holds, in minor units of USD: an invoice of 12,500.00 with 1,250.00 retained, of whose
# 11,250.00 a check of 5,000.00 settles 4,000.00.
_MINOR: Final = {
    "amount": 400_000,
    "applied": 400_000,
    "returned": 400_000,
    "credited": 400_000,
    "recovered": 400_000,
    "paid": 400_000,
    "gross": 400_000,
    "fee": 100_000,
    "net": 300_000,
    "flat_fee": 0,
    "total": 1_250_000,
    "tax": 95_000,
    "retainage": 125_000,
    "original": 1_125_000,
    "cancelled": 1_125_000,
    "retainage_cancelled": 125_000,
    "open": 725_000,
    "change": -400_000,
    "unapplied": 100_000,
    "upheld": 60_000,
}
# Where one fact needs another figure for them to agree.
_MINOR_IN: Final = {
    ("invoice.credit_note_issued", "amount"): 150_000,
    ("invoice.credit_note_issued", "credited"): 150_000,
    ("invoice.voided", "retainage_cancelled"): 75_000,
    ("invoice.voided", "amount"): 50_000,
    ("invoice.retainage_released", "amount"): 50_000,
    ("invoice.retainage_released", "retainage"): 75_000,
    ("payment.received", "amount"): 500_000,
    ("payment.reversed", "amount"): 500_000,
    ("payment.identified", "unapplied"): 500_000,
    ("payment.unapplied", "unapplied"): 500_000,
    ("payment.unapplied", "open"): 1_125_000,
    ("payment.refunded", "amount"): 100_000,
    ("payment.refunded", "unapplied"): 0,
    ("contact.promise_paid", "change"): 400_000,
    ("contact.promise_broken", "paid"): 100_000,
    ("contact.dispute_opened", "amount"): 150_000,
    ("contact.dispute_resolved", "amount"): 150_000,
    ("escalation.placed_with_agency", "amount"): 725_000,
}
_TEXTS: Final = {
    "branch": "CHI",
    "number": "INV-10472",
    "name": "Lakeshore Mechanical Holdings LLC",
    "region": "Midwest",
    "timezone": "America/Chicago",
    "currency": "USD",
    "collector": "m.ortiz",
    "owner": "m.ortiz",
    "po": "PO-88213",
    "terms": "Net 30",
    "reference": "104482",
    "reason": "Billed to the wrong job",
    "agency": "Transworld Systems",
    "label": "Second reminder",
    "requested_by": "m.ortiz",
    "approved_by": "t.nguyen",
    "rejected_by": "t.nguyen",
    "released_by": "t.nguyen",
    "reversed_by": "t.nguyen",
}
_TEXT_IN: Final = {
    ("invoice.branch_registered", "name"): "Chicago",
    ("invoice.account_opened", "number"): "C-20417",
    ("invoice.account_changed", "number"): "C-20417",
    ("invoice.job_opened", "number"): "J-7731",
    ("invoice.job_opened", "name"): "Chiller replacement, tower B",
    ("invoice.credit_note_issued", "number"): "CN-3302",
    ("invoice.retainage_released", "number"): "INV-10472-R1",
}
_DAYS: Final = {
    "effective_on": date(2026, 3, 2),
    "issued_on": date(2026, 1, 15),
    "due_on": date(2026, 2, 14),
    "promised_on": date(2026, 3, 20),
}
_INTEGERS: Final = {"terms_days": 30, "grace_days": 3, "threshold_pct": 95, "step": 2, "fee_bp": 2_500}
_CHOICES: Final = {"phase": "contingency", "profile": "commercial_entity"}
# An invoice is an open item of its own, so both ids are the same; a release of retainage has another.
_SAME_ID: Final = {"item_id": "invoice_id", "item_ids": "invoice_id"}
# Where an item is a release of retainage, which has an id of its own.
_RELEASES: Final = {("invoice.retainage_released", "item.item_id"), ("invoice.voided", "releases.item.item_id")}
# The stream a fact stands in, by how its name begins: the noun, and the field that has its id. The first that fits.
_STREAMS: Final = {
    "invoice.branch": ("branch", "branch"),
    "invoice.account": ("account", "account_id"),
    "invoice.job": ("job", "job_id"),
    "invoice.": ("invoice", "invoice_id"),
    "payment.item": ("item", "item_id"),
    "payment.": ("receipt", "receipt_id"),
    "contact.attempt": ("attempt", "attempt_id"),
    "contact.promise": ("promise", "promise_id"),
    "contact.dispute": ("dispute", "dispute_id"),
    "contact.follow_up": ("follow-up", "follow_up_id"),
    "escalation.step": ("delinquency", "item_id"),
    "escalation.hold": ("hold", "account_id"),
    "escalation.write_off": ("write-off", "write_off_id"),
    "escalation.": ("placement", "placement_id"),
}


def sample_of(known: Registered) -> Fact:
    """The sample of one fact type: the same every time."""
    return msgspec.convert(_value(inspect.type_info(known.cls), known.name, ""), known.cls)


def envelope_of(known: Registered, fact: Fact) -> Envelope:
    """What surrounds the sample when it is published."""
    data = msgspec.to_builtins(fact)
    return Envelope(
        event_id=_id(known.wire),
        type=known.wire,
        source=f"/{PREFIX}/{known.service}",
        stream=_stream(known, data),
        stream_version=1,
        seq=_SEQ,
        recorded_at=_RECORDED_AT,
        actor="m.ortiz",
        branch=fact.branch,
        correlation_id=str(_id("request")),
        causation_id=None,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def text_of(known: Registered) -> bytes:
    """The sample as it is checked in: headers by name, and data."""
    fact = sample_of(known)
    headers = {name: value.decode() for name, value in codec.headers_of(envelope_of(known, fact))}
    return msgspec.json.format(msgspec.json.encode({"headers": headers, "data": fact}), indent=2) + b"\n"


def missing(registry: Registry = REGISTRY, folder: Path = FOLDER) -> list[Registered]:
    """The fact versions that have no sample yet."""
    return [known for known in registry.all() if not (folder / f"{known.wire}.json").exists()]


def write(registry: Registry = REGISTRY, folder: Path = FOLDER) -> list[str]:
    """Make the missing samples; answers their wire names."""
    folder.mkdir(exist_ok=True)
    made = missing(registry, folder)
    for known in made:
        (folder / f"{known.wire}.json").write_bytes(text_of(known))
    return [known.wire for known in made]


def _value(kind: inspect.Type, fact: str, path: str) -> Any:
    """A value of the type `kind` for the field at the dotted `path` of the fact `fact`, as JSON has it."""
    field = path.rpartition(".")[2]
    match kind:
        case inspect.Metadata(type=inner):
            return _value(inner, fact, path)
        case inspect.StructType(cls=cls) if cls is Money:
            return {"minor": _MINOR_IN[fact, field] if (fact, field) in _MINOR_IN else _MINOR[field], "currency": "USD"}
        case inspect.StructType(fields=fields):
            return {f.encode_name: _value(f.type, fact, f"{path}.{f.name}".lstrip(".")) for f in fields}
        case inspect.UnionType(types=types):  # An optional field: the sample has it, so that it is read too.
            return _value(next(t for t in types if not isinstance(t, inspect.NoneType)), fact, path)
        case inspect.VarTupleType(item_type=inner):
            return [_value(inner, fact, path)]
        case inspect.LiteralType(values=values):
            return _CHOICES.get(field) if _CHOICES.get(field) in values else values[0]
        case inspect.UUIDType():
            return str(_id("release_id" if (fact, path) in _RELEASES else _SAME_ID.get(field, field)))
        case inspect.DateType():
            return _DAYS[field].isoformat()
        case inspect.IntType():
            return _INTEGERS[field]
        case inspect.StrType():
            return _TEXT_IN.get((fact, field)) or _TEXTS[field]
        case _:
            raise NotImplementedError(f"{fact}: say what a sample of {path} ({kind}) looks like")


def _stream(known: Registered, data: dict[str, Any]) -> str:
    """The stream that the sample stands in: `<noun>-<id>`."""
    noun, field = next(named for prefix, named in _STREAMS.items() if known.name.startswith(prefix))
    return f"{noun}-{data[field] if field in data else data['item'][field]}"


def _id(name: str) -> UUID:
    return uuid5(_SPACE, name)


def main() -> int:
    """The command."""
    for wire in write():
        sys.stdout.write(f"wrote {wire}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
