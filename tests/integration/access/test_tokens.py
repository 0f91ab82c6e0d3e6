"""A token that does not do opens no route of any application, and is told why by a code."""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt

from services.kernel.middleware import PUBLIC
from tests.support.firm import APPS, Firm
from tests.support.routes import routes_of
from tests.support.tokens import Issuer, claims_of, private_key

NOBODY = "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"


def bad(issuer: Issuer) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a token, the Authorization header with it, and the code of the refusal."""
    without_kid = jwt.encode(claims_of(), private_key("ec-1"), algorithm="ES256")
    with_secret = jwt.encode(claims_of(), "a" * 32, algorithm="HS256", headers={"kid": "ec-1"})
    for what, token, code in (
        ("expired", issuer.expired(), "token_expired"),
        ("not valid yet", issuer.mint(nbf=int(time.time()) + 3600), "token_not_yet_valid"),
        ("of another issuer", issuer.of_another_issuer(), "token_issuer"),
        ("for another audience", issuer.mint(aud="payroll"), "token_audience"),
        ("for nobody", issuer.mint(aud=None), "token_claims"),
        ("without an end", issuer.mint(exp=None), "token_claims"),
        ("of nobody", issuer.mint(sub=None), "token_claims"),
        ("whose branches are no codes", issuer.mint(branches=["A,B"]), "token_claims"),
        ("unsigned", issuer.unsigned(), "token_algorithm"),
        ("signed with the public key as a secret", issuer.signed_with_the_public_key(), "token_algorithm"),
        ("signed with a secret", with_secret, "token_algorithm"),
        ("signed by a key nobody knows", issuer.of_unknown_key(), "token_key_unknown"),
        ("that names no key", without_kid, "token_key_unknown"),
        ("of another key under that name", issuer.mint(kid="ec-2", headers={"kid": "ec-1"}), "token_signature"),
        ("changed after it was signed", issuer.tampered(), "token_signature"),
        ("that is none", "e30.e30", "token_malformed"),
    ):
        yield what, f"Bearer {token}", code
    yield "absent", "", "token_missing"
    yield "of another scheme", "Basic YW5uOmFubg==", "token_missing"


async def test_a_bad_token_opens_no_route(firm: Firm) -> None:
    wrong = list(bad(firm.issuer))
    tried = 0
    for service in APPS:
        unknown = [("GET", "/nothing-here"), ("OPTIONS", "/nothing-here"), ("POST", "/openapi.json/")]
        known = [(route.method, route.path) for route in routes_of(firm.apps[service])]
        for method, path in known + unknown:
            # Every id and every stream's name takes this text.
            where = "/".join(NOBODY if part.startswith("{") else part for part in path.split("/"))
            for what, header, code in wrong:
                answer = await firm.send(service, method, where, headers={"Authorization": header}, json={})
                told = (answer.status_code, answer.json()["code"], answer.headers["content-type"])
                assert told == (401, code, "application/problem+json"), f"{method} {service}{path}, {what}: {told}"
                assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="openitem"')
                tried += 1
        # The same routes open with a good token, so it was the token that kept them shut.
        good = await firm.send(service, "GET", known[0][1].partition("{")[0])
        assert good.status_code != 401
    assert tried > 1000


async def test_what_needs_no_token_tells_nothing_of_the_books(firm: Firm) -> None:
    for service in APPS:
        for path in PUBLIC:
            assert (await firm.send(service, "GET", path, headers={})).status_code == 200
            assert (await firm.send(service, "POST", path, headers={}, json={})).status_code in (404, 405)
