"""The embedded stack's own issuer: one key pair under its state directory, and tokens signed with it.

It lets a newcomer's first request work without an identity provider. Whoever can read the directory can make tokens, so
nothing but the embedded stack is told to trust it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from deploy.embedded.locks import waiting_for

ISSUER: Final = "urn:openitem:embedded"
AUDIENCE: Final = "openitem"
ALGORITHM: Final = "ES256"
_PRIVATE: Final = "issuer-key.pem"
_PUBLIC: Final = "jwks.json"


def ensure_keys(state_dir: Path | str) -> Path:
    """The path of the key set to trust; makes the key pair where there is none.

    Holds   the private key is readable by its owner only, from the moment it exists; once made, it stays the same.
    """
    state = Path(state_dir)
    state.mkdir(parents=True, exist_ok=True)
    public = state / _PUBLIC
    with waiting_for(state / "issuer.lock"):  # Two starts at once must not make two keys.
        private = state / _PRIVATE
        if not private.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            _write(private, pem, 0o600)
        key_set = {"keys": [_public_jwk(_load(private))]}
        _write(public, json.dumps(key_set, indent=1).encode(), 0o644)
    return public


def mint(
    state_dir: Path | str, sub: str, roles: Sequence[str], branches: Sequence[str] | str, ttl_s: int = 12 * 3600
) -> str:
    """A token for `sub` that lasts `ttl_s` seconds. `branches` is a list of codes, or "*" for all."""
    ensure_keys(state_dir)
    key = _load(Path(state_dir) / _PRIVATE)
    now = int(time.time())
    every = branches == "*" or list(branches) == ["*"]
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": sub,
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + ttl_s,
        "roles": list(roles),
        "branches": "*" if every else list(branches),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public_jwk(key)["kid"]})


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), f"{path} is no elliptic curve key"
    return key


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The public half as a JWK. Its id is its thumbprint. Source: RFC 7638."""
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    digest = jwt.utils.base64url_encode(hashlib.sha256(canonical.encode()).digest()).decode()
    return {**members, "kid": digest, "use": "sig", "alg": ALGORITHM}


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put the file in place whole: another process sees the old one or the new one."""
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
