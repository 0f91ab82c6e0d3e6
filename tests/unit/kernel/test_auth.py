"""Which tokens are let in, as whom, and with which code the others are refused."""

import base64
import json
import time
from itertools import count
from pathlib import Path

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa

from services.kernel import auth
from services.kernel.auth import (
    Caller,
    TokenAlgorithm,
    TokenAudience,
    TokenClaims,
    TokenExpired,
    TokenIssuer,
    TokenKeyUnknown,
    TokenMalformed,
    TokenMissing,
    TokenNotYetValid,
    TokenRefused,
    TokenSignature,
    Verifier,
)
from services.kernel.jwks import KeySet, key_source
from services.kernel.meta import EVERY_BRANCH, Branches
from services.roles import ROLES
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, private_key

NOW = int(time.time())  # When tests are collected; the last of a run come many minutes later.
DAY_S = 24 * 3600


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path, ["ec-1", "rsa-1", "ed-1"])


async def verify(issuer: Issuer, token: str) -> Caller:
    keys = KeySet(key_source(str(issuer.path)))
    return await Verifier(keys, issuer=ISSUER, audience=AUDIENCE, roles=ROLES).verify(f"Bearer {token}")


@pytest.mark.parametrize(
    ("kid", "algorithm"), [("ec-1", "ES256"), ("rsa-1", "RS256"), ("rsa-1", "PS256"), ("ed-1", "EdDSA")]
)
async def test_every_accepted_algorithm_is_let_in(issuer: Issuer, kid: str, algorithm: str) -> None:
    caller = await verify(issuer, issuer.mint("ann", ["billing"], ["B010", "B020"], kid=kid, algorithm=algorithm))
    assert caller.sub == "ann"
    assert caller.branches == Branches(frozenset({"B010", "B020"}))
    assert caller.permissions == ROLES["billing"]


@pytest.mark.parametrize("branches", ["*", ["*"]])
async def test_a_star_means_every_branch(issuer: Issuer, branches: str | list[str]) -> None:
    assert (await verify(issuer, issuer.mint(branches=branches))).branches == EVERY_BRANCH


async def test_no_branch_means_none(issuer: Issuer) -> None:
    caller = await verify(issuer, issuer.mint(branches=[]))
    assert "B010" not in caller.branches
    assert caller.branches.setting == ""


async def test_permissions_are_those_of_all_roles_and_strange_roles_add_none(issuer: Issuer) -> None:
    caller = await verify(issuer, issuer.mint(roles=["auditor", "collector", "emperor"]))
    assert caller.roles == {"auditor", "collector"}
    assert caller.permissions == ROLES["auditor"] | ROLES["collector"]


REFUSED: list[tuple[str, type[TokenRefused]]] = [
    ("expired", TokenExpired),
    ("of_another_issuer", TokenIssuer),
    ("of_unknown_key", TokenKeyUnknown),
    ("unsigned", TokenAlgorithm),
    ("signed_with_the_public_key", TokenAlgorithm),
    ("tampered", TokenSignature),
]


@pytest.mark.parametrize(("make", "refusal"), REFUSED)
async def test_a_bad_token_is_refused(issuer: Issuer, make: str, refusal: type[TokenRefused]) -> None:
    with pytest.raises(refusal):
        await verify(issuer, getattr(issuer, make)())


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"nbf": NOW + DAY_S}, TokenNotYetValid),
        ({"iat": NOW + DAY_S}, TokenNotYetValid),
        ({"aud": "somebody"}, TokenAudience),
        ({"exp": NOW - 30}, TokenExpired),
        *[({name: None}, TokenClaims) for name in ("exp", "nbf", "iat", "iss", "aud")],
        ({"sub": None}, TokenClaims),
        ({"sub": ""}, TokenClaims),
        ({"sub": "a b"}, TokenClaims),
        ({"sub": "x" * 201}, TokenClaims),
        ({"roles": None}, TokenClaims),
        ({"roles": "admin"}, TokenClaims),
        ({"roles": [1]}, TokenClaims),
        ({"branches": None}, TokenClaims),
        ({"branches": "B010"}, TokenClaims),
        ({"branches": ["B010,B020"]}, TokenClaims),
        ({"branches": ["*", "B010"]}, TokenClaims),
        ({"branches": {"B010": 1}}, TokenClaims),
    ],
)
async def test_a_bad_claim_is_refused(issuer: Issuer, changed: dict[str, object], refusal: type[TokenRefused]) -> None:
    fixed = {name: changed.pop(name) for name in ("sub", "roles", "branches") if name in changed}
    claims = jwt.decode(issuer.mint(**changed), options={"verify_signature": False})  # type: ignore[arg-type]
    for name, value in fixed.items():
        claims.pop(name) if value is None else claims.update({name: value})
    token = jwt.encode(claims, private_key("ec-1"), algorithm="ES256", headers={"kid": "ec-1"})
    with pytest.raises(refusal):
        await verify(issuer, token)


async def test_a_few_seconds_between_two_clocks_are_forgiven(issuer: Issuer) -> None:
    assert await verify(issuer, issuer.mint(nbf=int(time.time()) + 2))


@pytest.mark.parametrize("kid", [None, "", 7])
async def test_a_token_must_name_its_key(issuer: Issuer, kid: object) -> None:
    header, claims, signature = issuer.mint().split(".")
    members = {"alg": "ES256", "typ": "JWT", **({} if kid is None else {"kid": kid})}
    header = base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenRefused) as refused:
        await verify(issuer, f"{header}.{claims}.{signature}")
    assert refused.value.code in {"token_key_unknown", "token_malformed"}


async def test_a_key_does_not_check_another_familys_algorithm(issuer: Issuer) -> None:
    token = issuer.mint(kid="rsa-1", algorithm="RS256", headers={"kid": "ec-1"})
    with pytest.raises(TokenAlgorithm):
        await verify(issuer, token)


@pytest.mark.parametrize("algorithm", ["RS512", "ES384", "HS256", "none", "nOnE", ""])
async def test_no_other_algorithm_is_let_in(issuer: Issuer, algorithm: str) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "ec-1"}).encode()).rstrip(b"=").decode()
    with pytest.raises((TokenAlgorithm, TokenMalformed)):
        await verify(issuer, f"{header}.e30.AAAA")


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "...", "é.é.é", "e30.e30.e30", "A" * 9000])
async def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(TokenRefused):
        await verify(issuer, token)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "token"])
async def test_a_request_without_a_token_is_told_so(issuer: Issuer, header: str | None) -> None:
    keys = KeySet(key_source(str(issuer.path)))
    with pytest.raises(TokenMissing):
        await Verifier(keys, issuer=ISSUER, audience=AUDIENCE, roles=ROLES).verify(header)


class TestATokenThatWasLetInBefore:
    """Its check is remembered; that its key and its time still hold is not."""

    @pytest.fixture
    def verifier(self, issuer: Issuer) -> Verifier:
        keys = KeySet(key_source(str(issuer.path)), ttl_s=0, clock=map(float, count(0, 10)).__next__)  # Always late.
        return Verifier(keys, issuer=ISSUER, audience=AUDIENCE, roles=ROLES)

    async def test_is_let_in_again_as_the_same_caller(self, issuer: Issuer, verifier: Verifier) -> None:
        token = f"Bearer {issuer.mint('ann', ['billing'], ['B010'])}"
        assert await verifier.verify(token) == await verifier.verify(token)

    async def test_is_refused_once_it_has_expired(self, issuer: Issuer, verifier: Verifier) -> None:
        token = f"Bearer {issuer.mint()}"
        expires = jwt.decode(token.removeprefix("Bearer "), options={"verify_signature": False})["exp"]
        await verifier.verify(token)
        with time_machine.travel(expires + 4.5):  # Within what two clocks may differ by.
            await verifier.verify(token)
        with time_machine.travel(expires + 5.5), pytest.raises(TokenExpired):
            await verifier.verify(token)

    async def test_is_refused_where_the_clock_steps_back_before_its_time(
        self, issuer: Issuer, verifier: Verifier
    ) -> None:
        token = f"Bearer {issuer.mint()}"
        await verifier.verify(token)
        with time_machine.travel(NOW - DAY_S), pytest.raises(TokenNotYetValid):
            await verifier.verify(token)

    async def test_is_refused_once_its_key_is_withdrawn(self, issuer: Issuer, verifier: Verifier) -> None:
        token = f"Bearer {issuer.mint()}"
        await verifier.verify(token)
        issuer.publish(["rsa-1"])
        with pytest.raises(TokenKeyUnknown):
            await verifier.verify(token)

    async def test_vouches_for_no_other_that_differs_by_a_letter(self, issuer: Issuer, verifier: Verifier) -> None:
        token = issuer.mint()
        await verifier.verify(f"Bearer {token}")
        head, claims, signature = token.split(".")
        with pytest.raises(TokenSignature):
            await verifier.verify(f"Bearer {head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}")

    async def test_is_forgotten_before_there_are_too_many(
        self, issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auth, "_ADMITTED_MAX", 2)
        for name in ("ann", "bob", "cid", "ann"):
            assert (await verifier.verify(f"Bearer {issuer.mint(name)}")).sub == name
        assert len(verifier._admitted) == 2


async def test_a_weak_key_is_no_key(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)
    issuer = Issuer(tmp_path)
    issuer.path.write_text(json.dumps({"keys": [{**jwk, "kid": "weak"}]}))
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = jwt.encode({}, weak, algorithm="RS256", headers={"kid": "weak"})
    with pytest.raises(TokenKeyUnknown):
        await verify(issuer, token)
