"""Who asks: bearer tokens (JWT) are verified here, and turned into a caller with permissions and branches.

Only asymmetric signatures count. Keys come from the issuer's key set (`jwks.py`); what roles may do from the service.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import jwt
import structlog
from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam
from jwt.exceptions import InvalidIssuedAtError, InvalidJTIError, InvalidSubjectError

from services.kernel.errors import Forbidden, Kind, Refused
from services.kernel.jwks import Key, KeySet, fits
from services.kernel.meta import ALL, EVERY_BRANCH, Branches

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
_REQUIRED: Final = ("exp", "nbf", "iat", "iss", "aud", "sub")
_LEEWAY_S: Final = 5  # Clocks of two machines differ by less where time is kept at all.
_TOKEN_BYTES_MAX: Final = 8192
_ADMITTED_MAX: Final = 500  # Tokens whose check is remembered; of 8 KiB at most.
_LIST_MAX: Final = 1000  # Roles or branches in one token; 300 branches is a large firm.
_BRANCH: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
_SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,200}")

log = structlog.stdlib.get_logger(__name__)


class TokenRefused(Refused):
    """The bearer token does not do."""

    code = "token_refused"
    kind: ClassVar[Kind] = Kind.UNAUTHENTICATED


class TokenMissing(TokenRefused):
    """The request carries no bearer token."""

    code = "token_missing"


class TokenMalformed(TokenRefused):
    """The bearer token is no JWT."""

    code = "token_malformed"


class TokenExpired(TokenRefused):
    """The token's time is over."""

    code = "token_expired"


class TokenNotYetValid(TokenRefused):
    """The token's time has not come."""

    code = "token_not_yet_valid"


class TokenIssuer(TokenRefused):
    """Somebody else issued the token."""

    code = "token_issuer"


class TokenAudience(TokenRefused):
    """The token is meant for somebody else."""

    code = "token_audience"


class TokenAlgorithm(TokenRefused):
    """The token is signed in a way that is not accepted, or not with that key."""

    code = "token_algorithm"


class TokenKeyUnknown(TokenRefused):
    """The issuer's key set has no such key."""

    code = "token_key_unknown"


class TokenSignature(TokenRefused):
    """The signature does not match."""

    code = "token_signature"


class TokenClaims(TokenRefused):
    """A claim is missing or is not what it should be."""

    code = "token_claims"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as his token says: `permissions` are those of all his roles."""

    sub: str
    roles: frozenset[str]
    branches: Branches
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A token that was checked: true of these very bytes for as long as its key and its time are."""

    kid: str
    key: Key
    since: float
    until: float
    caller: Caller


class Verifier:
    """Turns a bearer token into a caller.

    A token that was let in is not checked anew with each request, which was a tenth of a command's time: its signature
    and claims are those bytes' own. Whether its key still counts and whether its time has come or gone is asked always.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        audience: str,
        roles: Mapping[str, frozenset[str]],
        leeway_s: float = _LEEWAY_S,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._roles = roles
        self._leeway_s = leeway_s
        self._strange: set[str] = set()
        self._admitted: dict[str, _Admitted] = {}  # The oldest first.

    async def verify(self, authorization: str | None) -> Caller:
        """The caller of a request with this Authorization header.

        Errors   in this order: TokenMissing, TokenMalformed, TokenAlgorithm, TokenKeyUnknown, TokenSignature, then
                 those of the claims. KeysUnavailable, a transient, while the issuer's keys cannot be had.
        """
        if not authorization:
            raise TokenMissing("send Authorization: Bearer <token>")
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise TokenMissing("send Authorization: Bearer <token>")
        if len(token) > _TOKEN_BYTES_MAX:
            raise TokenMalformed("the token is too long")
        known = self._admitted.get(token)
        if known is not None and known.since <= time.time() < known.until:
            if await self._keys.find(known.kid) is known.key:
                return known.caller
            self._admitted.pop(token, None)
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenMalformed("the token is no JWT") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenAlgorithm(f"sign with one of {', '.join(ALGORITHMS)}")
        if not isinstance(kid, str) or not kid:
            raise TokenKeyUnknown("the token names no key (kid)")
        key = await self._keys.find(kid)
        if key is None:
            raise TokenKeyUnknown("the issuer has no key of that kid")
        if not fits(key, algorithm):
            raise TokenAlgorithm("that key does not sign with that algorithm")
        claims = self._claims(token, key.key, algorithm)
        caller = self._caller(claims)
        since = max(int(claims["nbf"]), int(claims["iat"])) - self._leeway_s
        self._remember(token, _Admitted(kid, key, since, int(claims["exp"]) + self._leeway_s, caller))
        return caller

    def _remember(self, token: str, admitted: _Admitted) -> None:
        if len(self._admitted) >= _ADMITTED_MAX:
            del self._admitted[next(iter(self._admitted))]
        self._admitted[token] = admitted

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway_s,
                options={"require": list(_REQUIRED)},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired("the token has expired; get a new one") from error
        except jwt.ImmatureSignatureError as error:
            raise TokenNotYetValid("the token is not valid yet") from error
        except jwt.InvalidIssuerError as error:
            raise TokenIssuer("another issuer's token") from error
        except jwt.InvalidAudienceError as error:
            raise TokenAudience("a token for another audience") from error
        except jwt.InvalidSignatureError as error:
            raise TokenSignature("the signature does not match") from error
        except jwt.MissingRequiredClaimError as error:
            raise TokenClaims(f"the claim {error.claim} is missing", field=error.claim) from error
        except (InvalidSubjectError, InvalidIssuedAtError, InvalidJTIError) as error:
            raise TokenClaims("a claim is not what it should be") from error
        except jwt.InvalidTokenError as error:
            raise TokenMalformed("the token cannot be read") from error

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        sub = claims["sub"]
        if not _SUBJECT.fullmatch(sub):
            raise TokenClaims("sub must be 1 to 200 printable characters without spaces", field="sub")
        roles = claims.get("roles")
        if not _texts(roles):
            raise TokenClaims("roles must be a list of names", field="roles")
        assert isinstance(roles, list)
        known = frozenset(roles) & self._roles.keys()
        self._note_strange(frozenset(roles) - known)
        permissions = frozenset(p for role in known for p in self._roles[role])
        return Caller(sub, known, _branches(claims.get("branches")), permissions)

    def _note_strange(self, names: frozenset[str]) -> None:
        for name in names - self._strange:
            if len(self._strange) < _LIST_MAX:
                self._strange.add(name)
                log.warning("role_unknown", role=name[:64])


def _branches(claim: object) -> Branches:
    if claim in (ALL, [ALL]):
        return EVERY_BRANCH
    if not _texts(claim):
        raise TokenClaims('branches must be a list of branch codes, or "*"', field="branches")
    assert isinstance(claim, list)
    if not all(_BRANCH.fullmatch(code) for code in claim):
        raise TokenClaims("branches names what is no branch code", field="branches")
    return Branches(frozenset(claim))


def _texts(claim: object) -> bool:
    return isinstance(claim, list) and len(claim) <= _LIST_MAX and all(isinstance(one, str) for one in claim)


async def caller_of(request: Request) -> Caller:
    """The caller of this request, as a dependency of routes. Errors: as `caller`."""
    return caller(request)


def caller(request: Request) -> Caller:
    """The caller of this request: the rim verified his token before any route was looked for. Errors: TokenMissing."""
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        raise TokenMissing("send Authorization: Bearer <token>")
    return found


class Allow:
    """A dependency that lets a route's callers through who have the permission it names.

    It depends on nothing itself: each thing that a route is said to depend on costs as much as a small query.
    """

    def __init__(self, permission: str) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        if self.permission not in caller(request).permissions:
            raise Forbidden("your roles do not allow it", permission=self.permission)


def allow(permission: str) -> DependsParam:
    """For `dependencies=[allow("invoice.issue")]` of a route: every route has one."""
    dependency: DependsParam = Depends(Allow(permission))
    return dependency
