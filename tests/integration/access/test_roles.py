"""Every route lets in the roles that have its permission, and nobody else: route by role, for all of them."""

from __future__ import annotations

from typing import Final

import pytest

from services.roles import ROLES
from tests.conftest import MakeDatabase
from tests.support.firm import APPS, Firm, open_firm
from tests.support.routes import routes_of
from tests.support.tokens import Issuer

NOBODY: Final = "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"
# Said here once more than in the routes: a permission that changes there by mistake is found.
PERMISSIONS: Final[dict[str, dict[str, str]]] = {
    "invoice": {
        "POST /branches": "branch.register",
        "POST /accounts": "account.write",
        "POST /accounts/{account_id}/changes": "account.write",
        "GET /accounts/{account_id}": "report.read",
        "POST /jobs": "job.write",
        "POST /invoices": "invoice.issue",
        "POST /invoices/{invoice_id}/credit-notes": "invoice.credit",
        "POST /invoices/{invoice_id}/void": "invoice.void",
        "POST /invoices/{invoice_id}/retainage-releases": "retainage.release",
        "GET /invoices/{invoice_id}": "report.read",
    },
    "payment": {
        "POST /receipts": "receipt.record",
        "POST /receipts/{receipt_id}/identification": "receipt.apply",
        "POST /receipts/{receipt_id}/applications": "receipt.apply",
        "POST /receipts/{receipt_id}/unapplications": "receipt.apply",
        "POST /receipts/{receipt_id}/reversal": "receipt.reverse",
        "POST /receipts/{receipt_id}/refunds": "receipt.refund",
        "GET /receipts/{receipt_id}": "report.read",
        "GET /items/{item_id}": "report.read",
    },
    "contact": {
        "POST /attempts": "contact.log",
        "GET /attempts/{attempt_id}": "report.read",
        "POST /promises": "promise.write",
        "POST /promises/{promise_id}/kept": "promise.write",
        "POST /promises/{promise_id}/broken": "promise.write",
        "POST /promises/{promise_id}/cancellation": "promise.write",
        "GET /promises/{promise_id}": "report.read",
        "POST /disputes": "dispute.write",
        "POST /disputes/{dispute_id}/resolution": "dispute.write",
        "GET /disputes/{dispute_id}": "report.read",
        "POST /follow-ups": "follow_up.write",
        "POST /follow-ups/{follow_up_id}/done": "follow_up.write",
        "GET /follow-ups/{follow_up_id}": "report.read",
        "GET /notes/{note_id}": "report.read",
        "DELETE /notes/{note_id}": "operate",
    },
    "escalation": {
        "POST /steps": "step.advance",
        "GET /steps/{item_id}": "report.read",
        "POST /holds": "hold.place",
        "POST /holds/{account_id}/release": "hold.release",
        "GET /holds/{account_id}": "report.read",
        "POST /placements": "placement.write",
        "POST /placements/{placement_id}/recall": "placement.write",
        "POST /placements/{placement_id}/closure": "placement.write",
        "POST /placements/{placement_id}/recoveries": "placement.write",
        "GET /placements/{placement_id}": "report.read",
        "POST /write-offs": "write_off.request",
        "POST /write-offs/{write_off_id}/approval": "write_off.approve",
        "POST /write-offs/{write_off_id}/rejection": "write_off.approve",
        "POST /write-offs/{write_off_id}/reversal": "write_off.reverse",
        "GET /write-offs/{write_off_id}": "report.read",
    },
    "reporting": dict.fromkeys(
        [
            "GET /aging",
            "GET /cash-flow",
            "GET /bad-debt",
            "GET /items",
            "GET /accounts",
            "GET /accounts/{account_id}",
            "GET /accounts/{account_id}/timeline",
            "GET /consistency",
            "GET /freshness",
        ],
        "report.read",
    ),
}


def expected(service: str, route: str) -> str:
    if route.startswith("POST /imports/") or route == "GET /position":
        return "import.run"
    return "log.read" if route == "GET /streams/{stream}/events" else PERMISSIONS[service][route]


@pytest.mark.parametrize("service", APPS)
async def test_a_role_opens_exactly_the_routes_that_it_has_the_permission_for(
    service: str, make_database: MakeDatabase, issuer: Issuer
) -> None:
    async with open_firm(make_database, issuer, [service]) as firm:
        await _try_all(firm, service)
        assert service == "reporting" or await firm.facts(service) == 0


async def _try_all(firm: Firm, service: str) -> None:
    routes = routes_of(firm.apps[service])
    assert {str(route) for route in routes} >= PERMISSIONS[service].keys()
    # Together with roles that are none: they open nothing, and take nothing away.
    callers = {role: [role, "stranger"] for role in ROLES} | {"stranger": ["stranger"], "nobody": []}
    for role, roles in callers.items():
        headers = firm.issuer.header("ann", roles)
        for route in routes:
            permission = expected(service, str(route))
            where = "/".join(NOBODY if part.startswith("{") else part for part in route.path.split("/"))
            answer = await firm.send(service, route.method, where, headers=headers, json={})
            if permission in ROLES.get(role, ()):
                assert answer.status_code not in (401, 403), f"{role} may {route}: {answer.text}"
                assert answer.status_code < 500
            else:
                told = (answer.status_code, answer.json()["code"], answer.json()["members"])
                assert told == (403, "forbidden", {"permission": permission}), f"{role} may not {route}: {told}"


def test_who_may_ask_for_money_to_be_given_up_may_not_agree_to_it() -> None:
    """Handling cash, crediting customers and writing off are parted, but for those who control the books."""
    alone = {role for role, may in ROLES.items() if "write_off.approve" in may}
    assert alone == {"controller", "admin"}
    for role, may in ROLES.items():
        if role not in alone:
            assert not {"receipt.record", "write_off.request"} <= may, role
            assert not {"receipt.record", "receipt.refund"} <= may, role
        assert not ("operate" in may and role != "admin"), role
