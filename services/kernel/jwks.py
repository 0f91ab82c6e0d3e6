"""The issuer's public keys: fetched from an https URL or read from a file, kept for a while, fetched once at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
import structlog

from services.kernel.errors import Transient

Fetch = Callable[[], Awaitable[bytes]]

TTL_S: Final = 300.0  # A key the issuer withdrew is accepted for so long at most, while the issuer answers.
STALE_S_MAX: Final = 3600.0  # While he does not answer, the keys known last do for so long.
REFETCH_S_MIN: Final = 10.0  # Tokens with made-up key ids must not become a flood at the issuer's door.
_RETRY_S_MIN: Final = 1.0  # After a fetch that failed, whoever asks meanwhile gets what is known.
_TIMEOUT_S: Final = 5.0
_BYTES_MAX: Final = 1 << 20
_RSA_BITS_MIN: Final = 2048
# The key type and curve of every accepted algorithm.
_FAMILY: Final = {"RS256": ("RSA", None), "PS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}

log = structlog.stdlib.get_logger(__name__)


class KeysUnavailable(Transient):
    """The issuer's keys cannot be had, and none are known."""


class Key(msgspec.Struct, frozen=True):
    """A public key of the issuer's: `algorithm` where the key set limits it to one."""

    kid: str
    kty: str
    crv: str | None
    algorithm: str | None
    key: Any


def fits(key: Key, algorithm: str) -> bool:
    """Whether a token signed with `algorithm` may be checked with `key`. A mismatch is an attack or a mistake."""
    return _FAMILY[algorithm] == (key.kty, key.crv) and key.algorithm in (None, algorithm)


class KeySet:
    """The keys of one issuer. `clock` gives seconds that only grow."""

    def __init__(self, fetch: Fetch, *, ttl_s: float = TTL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._ttl_s = ttl_s
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._good_at = float("-inf")  # When the present keys were fetched.
        self._tried_at = float("-inf")  # When that was last tried, with whatever outcome.
        self._lock = asyncio.Lock()

    async def find(self, kid: str) -> Key | None:
        """The key of that id, or None. Errors: KeysUnavailable."""
        if self._clock() - self._good_at > self._ttl_s:
            await self._refresh(self._good_at)
        if kid not in self._keys and self._clock() - self._tried_at > REFETCH_S_MIN:
            await self._refresh(self._good_at)
        if self._clock() - self._good_at > max(STALE_S_MAX, self._ttl_s):
            raise KeysUnavailable("the issuer's keys cannot be had")
        return self._keys.get(kid)

    async def _refresh(self, seen: float) -> None:
        """Fetch the keys, unless somebody else did since the caller looked (`seen`), or just failed to."""
        async with self._lock:
            now = self._clock()
            if self._good_at > seen or (self._tried_at > self._good_at and now - self._tried_at < _RETRY_S_MIN):
                return
            try:
                keys = parse(await self._fetch())
            except (OSError, httpx.HTTPError, ValueError) as error:
                log.warning("keys_unavailable", error=type(error).__name__, known=len(self._keys))
                return
            finally:
                # At the end: whoever waited for a fetch that ran into its time-out must not begin another one.
                self._tried_at = self._clock()
            self._keys, self._good_at = keys, now


def parse(document: bytes) -> dict[str, Key]:
    """The usable signing keys of a JWK set, by id. Errors: ValueError where it is no key set.

    Left out     keys without an id, for encryption, symmetric, of other kinds, or too weak.
    """
    found: object = msgspec.json.decode(document)
    members = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(members, list):
        raise ValueError("no JWK set")
    keys: dict[str, Key] = {}
    for member in members:
        if not isinstance(member, dict) or member.get("use", "sig") != "sig":
            continue
        kid, kty, crv, algorithm = (member.get(name) for name in ("kid", "kty", "crv", "alg"))
        if not isinstance(kid, str) or not isinstance(kty, str) or (kty, crv) not in _FAMILY.values():
            continue
        try:
            key = jwt.PyJWK({**member, "alg": algorithm} if algorithm else member).key
        except jwt.PyJWTError:
            log.warning("key_unusable", kid=kid[:64])
            continue
        if kty == "RSA" and key.key_size < _RSA_BITS_MIN:
            log.warning("key_too_weak", kid=kid[:64])
            continue
        keys[kid] = Key(kid, kty, crv, algorithm, key)
    return keys


def key_source(where: str) -> Fetch:
    """How to fetch the key set at `where`: an https URL, or the path of a file. Errors: ValueError."""
    scheme = urlsplit(where).scheme
    if scheme == "https":
        return _from_url(where)
    if scheme not in ("", "file"):
        raise ValueError(f"OPENITEM_JWKS must be an https URL or a file path, not {scheme}:")
    path = Path(where.removeprefix("file://"))

    async def read() -> bytes:
        return await asyncio.to_thread(path.read_bytes)

    return read


def _from_url(url: str, transport: httpx.AsyncBaseTransport | None = None) -> Fetch:
    async def fetch() -> bytes:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, transport=transport) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _BYTES_MAX:
                    raise ValueError("the key set is too large")
            return content

    return fetch
