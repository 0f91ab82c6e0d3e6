"""An issuer for tests: good tokens, and every sort of bad one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "urn:openitem:test"
AUDIENCE = "openitem"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_made: dict[str, PrivateKey] = {}  # Making an RSA key takes half a second; one of each does for a run.


def private_key(name: str) -> PrivateKey:
    """The run's key of that name: `ec…`, `rsa…` or `ed…`."""
    if name not in _made:
        if name.startswith("rsa"):
            _made[name] = rsa.generate_private_key(65537, 2048)
        elif name.startswith("ed"):
            _made[name] = ed25519.Ed25519PrivateKey.generate()
        else:
            _made[name] = ec.generate_private_key(ec.SECP256R1())
    return _made[name]


def public_jwk(kid: str, **more: Any) -> dict[str, Any]:
    """The public half of the key `kid`."""
    public = private_key(kid).public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", **more}


class Issuer:
    """Publishes a key set in a file and signs tokens with its keys. `kid` names a key; `ec-1` is the usual one."""

    def __init__(self, directory: Path, kids: Sequence[str] = ("ec-1",)) -> None:
        self.path = directory / "jwks.json"
        self.publish(kids)

    def publish(self, kids: Sequence[str]) -> None:
        self.path.write_text(json.dumps({"keys": [public_jwk(kid) for kid in kids]}))

    def mint(
        self,
        sub: str = "tester",
        roles: Sequence[str] = ("admin",),
        branches: Sequence[str] | str = "*",
        *,
        kid: str = "ec-1",
        algorithm: str = "ES256",
        headers: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A token that is good, but for what is `changed`: a claim set to None is left out."""
        claims = claims_of(sub, roles, branches, **changed)
        return jwt.encode(claims, private_key(kid), algorithm=algorithm, headers={"kid": kid, **(headers or {})})

    def header(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """The Authorization header of a minted token."""
        return {"Authorization": f"Bearer {self.mint(*args, **kwargs)}"}

    def expired(self) -> str:
        return self.mint(exp=int(time.time()) - 60)

    def of_another_issuer(self) -> str:
        return self.mint(iss="urn:somebody:else")

    def of_unknown_key(self) -> str:
        return self.mint(kid="ec-never-published")

    def unsigned(self) -> str:
        """`alg: none`, which some libraries once took for verified."""
        return f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': 'ec-1'})}.{_part(claims_of())}."

    def signed_with_the_public_key(self, kid: str = "ec-1") -> str:
        """HS256 with the public key as the secret: passes where the algorithm is taken from the token."""
        pem = (
            private_key(kid)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{_part(claims_of())}"
        return f"{signed}.{_text(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"

    def tampered(self) -> str:
        """A good token whose claims were changed after it was signed."""
        header, _, signature = self.mint(roles=["auditor"]).split(".")
        return f"{header}.{_part(claims_of(roles=['admin']))}.{signature}"


def claims_of(
    sub: str = "tester", roles: Sequence[str] = ("admin",), branches: Sequence[str] | str = "*", **changed: Any
) -> dict[str, Any]:
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": sub,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "roles": list(roles),
        "branches": branches if isinstance(branches, str) else list(branches),
    }
    claims.update(changed)
    return {name: value for name, value in claims.items() if value is not None}


def _part(members: dict[str, Any]) -> str:
    return _text(json.dumps(members, separators=(",", ":")).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
