"""When the issuer's keys are fetched, how often at most, and what holds while he does not answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.kernel.jwks import REFETCH_S_MIN, STALE_S_MAX, KeySet, KeysUnavailable, _from_url, key_source, parse
from tests.support.tokens import public_jwk

TTL_S = 300.0


class Source:
    """An issuer's key set and a clock, both moved by hand."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.fetches = 0
        self.away = False
        self.now = 1000.0

    async def fetch(self) -> bytes:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("away")
        return json.dumps({"keys": [public_jwk(kid) for kid in self.kids]}).encode()

    def keys(self) -> KeySet:
        return KeySet(self.fetch, ttl_s=TTL_S, clock=lambda: self.now)


async def test_keys_are_fetched_once_and_kept() -> None:
    source = Source("ec-1")
    keys = source.keys()
    for _ in range(3):
        assert await keys.find("ec-1") is not None
    assert source.fetches == 1


async def test_many_callers_at_once_make_one_fetch() -> None:
    source = Source("ec-1")
    keys = source.keys()
    found = await asyncio.gather(*(keys.find("ec-1") for _ in range(20)))
    assert all(found)
    assert source.fetches == 1


async def test_a_key_that_was_withdrawn_is_refused_after_a_while() -> None:
    source = Source("ec-1")
    keys = source.keys()
    await keys.find("ec-1")
    source.kids = ("ec-2",)
    source.now += TTL_S + 1
    assert await keys.find("ec-1") is None


async def test_a_new_key_is_found_by_one_more_fetch() -> None:
    source = Source("ec-1")
    keys = source.keys()
    await keys.find("ec-1")
    source.kids = ("ec-1", "ec-2")
    source.now += REFETCH_S_MIN + 1
    assert await keys.find("ec-2") is not None


async def test_made_up_key_ids_do_not_flood_the_issuer() -> None:
    source = Source("ec-1")
    keys = source.keys()
    await keys.find("ec-1")
    source.now += REFETCH_S_MIN + 1
    await asyncio.gather(*(keys.find(f"made-up-{n}") for n in range(50)))
    assert source.fetches == 2


async def test_known_keys_hold_while_the_issuer_is_away_but_not_for_ever() -> None:
    source = Source("ec-1")
    keys = source.keys()
    await keys.find("ec-1")
    source.away = True
    source.now += TTL_S + 1
    assert await keys.find("ec-1") is not None
    source.now += STALE_S_MAX
    with pytest.raises(KeysUnavailable):
        await keys.find("ec-1")


async def test_an_issuer_that_is_away_is_not_asked_on_every_request() -> None:
    source = Source("ec-1")
    source.away = True
    keys = source.keys()
    for _ in range(10):
        with pytest.raises(KeysUnavailable):
            await keys.find("ec-1")
    assert source.fetches == 1
    source.away = False
    source.now += 2
    assert await keys.find("ec-1") is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": {}}', "no json", '{"keys": 1}'])
def test_what_is_no_key_set_is_not_taken_for_an_empty_one(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text.encode())


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "oct", "kid": "s", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "c", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "c", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "c", "crv": "P-256"},
        {"kty": "RSA", "kid": "r", "n": 1, "e": []},
        {"kty": ["RSA"], "kid": "r"},
        {"kty": "RSA"},
        7,
        None,
    ],
)
def test_a_key_of_no_use_is_left_out_and_the_others_stay(member: Any) -> None:
    document = json.dumps({"keys": [member, public_jwk("ec-1")]}).encode()
    assert list(parse(document)) == ["ec-1"]


def test_a_key_for_encryption_is_left_out() -> None:
    assert parse(json.dumps({"keys": [public_jwk("ec-1", use="enc")]}).encode()) == {}


@pytest.mark.parametrize("where", ["http://issuer.test/keys", "ftp://issuer.test/keys"])
def test_keys_come_over_https_or_from_a_file(where: str) -> None:
    with pytest.raises(ValueError, match="https"):
        key_source(where)


async def test_a_file_may_be_named_as_path_or_address(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(b"x")
    assert await key_source(str(path))() == b"x"
    assert await key_source(f"file://{path}")() == b"x"


async def test_an_address_is_fetched_and_not_followed_elsewhere() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"Location": "https://issuer.test/keys"})
        return httpx.Response(200, content=b"{}")

    transport = httpx.MockTransport(answer)
    assert await _from_url("https://issuer.test/keys", transport)() == b"{}"
    with pytest.raises(httpx.HTTPStatusError):
        await _from_url("https://issuer.test/moved", transport)()


async def test_a_key_set_without_end_is_cut_off() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b" " * (2 << 20)))
    with pytest.raises(ValueError, match="too large"):
        await _from_url("https://issuer.test/keys", transport)()
