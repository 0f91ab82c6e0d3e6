"""What a command route needs of its request, and how it answers: the key, the hash of what was asked, If-Match, Prefer.

Nothing here knows a route. The rim's middleware has verified the token and named the request before.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.kernel.after import After, await_known
from services.kernel.auth import caller
from services.kernel.errors import Kind, Refused
from services.kernel.meta import Cause, Meta
from services.kernel.store import Recorded, Store, versions_text

WAIT_S_MAX: Final = 30  # Longer than any projection should be behind, shorter than a proxy's patience.
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_ETAG: Final = re.compile(r'"([1-9][0-9]{0,8})"')
_WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;|,|$)", re.IGNORECASE)


class KeyMissing(Refused):
    """A command needs an Idempotency-Key."""

    code = "idempotency_key_missing"
    kind = Kind.MALFORMED


class KeyMalformed(Refused):
    """The Idempotency-Key is no key."""

    code = "idempotency_key_malformed"
    kind = Kind.MALFORMED


class IfMatchMalformed(Refused):
    """If-Match names no version."""

    code = "if_match_malformed"
    kind = Kind.MALFORMED


class BodyMalformed(Refused):
    """The body is no JSON."""

    code = "body_malformed"
    kind = Kind.MALFORMED


class TextUnstorable(Refused):
    """The request holds a NUL character: text that cannot be stored."""

    code = "text_unstorable"
    kind = Kind.INVALID


class CommandAnswer(BaseModel):
    """What a command answers: the versions its streams have now, and the ids of what it made.

    `position` is that of the last fact in the service's log; null when everything was on record already.
    """

    model_config = ConfigDict(extra="allow")

    recorded: dict[str, int] = Field(
        description="The version of every stream that was touched; hand it to a read as Openitem-After.",
        examples=[{"invoice-3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11": 1}],
    )
    position: int | None = Field(default=None, examples=[4711])


async def store_of(request: Request) -> Store:
    """The event store of this service."""
    store: Store = request.app.state.store
    return store


def cause_of(request: Request) -> Cause:
    """What led to the facts of this request: it began here, unless a trace says where."""
    return Cause(correlation_id=request.state.request_id, traceparent=request.state.traceparent)


def wait_of(prefer: str | None) -> float:
    """Seconds the caller lets us wait, from `Prefer: wait=N`; at most WAIT_S_MAX. A preference we cannot read is none.

    Source   RFC 7240, 4.3
    """
    found = _WAIT.search(prefer or "")
    return float(min(int(found[1]), WAIT_S_MAX)) if found else 0.0


async def meta_of(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="A key of your own: the same key and request give the same answer, however often sent."),
    ] = None,
    if_match: Annotated[str | None, Header(description='The version you saw, as the ETag gave it: `"3"`.')] = None,
    prefer: Annotated[
        str | None,
        Header(description="`wait=5`: wait so many seconds for what another service is about to make known."),
    ] = None,
    openitem_after: After = None,
) -> Meta:
    """What surrounds the command of this request.

    Errors   KeyMissing, KeyMalformed, IfMatchMalformed, BodyMalformed, TextUnstorable, AfterMalformed; NotYetKnown when
             the wait is over.
    """
    if idempotency_key is None:
        raise KeyMissing("send an Idempotency-Key header with every command", field="Idempotency-Key")
    if not _KEY.fullmatch(idempotency_key):
        raise KeyMalformed("1 to 200 printable ASCII characters without spaces", field="Idempotency-Key")
    await await_known(request.app.state.pool, openitem_after, wait_of(prefer))
    asking = caller(request)
    return Meta(
        actor=asking.sub,
        cause=cause_of(request),
        branches=asking.branches,
        key=idempotency_key,
        request=await request_hash(request),
        if_match=_version(if_match),
        wait_s=wait_of(prefer),
    )


async def request_hash(request: Request) -> bytes:
    """What was asked, as a hash: method, path, query and body. Spacing and the order of members do not matter.

    Errors   BodyMalformed, TextUnstorable.
    """
    body = await request.body()
    if body and _is_json(request.headers.get("content-type", "")):
        try:
            body = _CANONICAL.encode(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeError, RecursionError):  # NaN, half a character: others read that as JSON.
            raise BodyMalformed("the body is no JSON") from None
    if _NUL in body:
        raise TextUnstorable("the body holds a NUL character")
    digest = hashlib.sha256()
    for part in (request.method.encode(), request.scope["path"].encode(), request.scope["query_string"], body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _version(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise IfMatchMalformed('write the version as the ETag gave it, such as "3"', field="If-Match")
    return int(found[1])


def answer(response: Response, recorded: Recorded, **ids: UUID | str | None) -> CommandAnswer:
    """Answer a command: the ETag is the version of the stream it was about, the body says what was recorded.

    `ids` are added to the body by name, for ids that the service made.
    """
    response.headers["Openitem-Position"] = versions_text(recorded.versions)
    version = recorded.versions.get(recorded.subject) if recorded.subject is not None else None
    if version:
        response.headers["ETag"] = f'"{version}"'
    more: dict[str, Any] = {name: str(value) for name, value in ids.items() if value is not None}
    return CommandAnswer(recorded=recorded.versions, position=recorded.position, **more)


_CANONICAL: Final = msgspec.json.Encoder(order="sorted")
_NUL: Final = b"\\u0000"
