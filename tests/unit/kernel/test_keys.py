"""The embedded issuer: one key that stays, readable by its owner only, and tokens that the rim takes."""

import stat
from pathlib import Path

import pytest

from deploy.embedded import keys
from services.kernel.auth import Caller, TokenExpired, Verifier
from services.kernel.jwks import KeySet, key_source
from services.kernel.meta import EVERY_BRANCH, Branches
from services.roles import ROLES


async def verify(state: Path, token: str) -> Caller:
    source = key_source(str(keys.ensure_keys(state)))
    verifier = Verifier(KeySet(source), issuer=keys.ISSUER, audience=keys.AUDIENCE, roles=ROLES)
    return await verifier.verify(f"Bearer {token}")


async def test_a_minted_token_is_let_in(tmp_path: Path) -> None:
    caller = await verify(tmp_path, keys.mint(tmp_path, "ann", ["billing", "auditor"], ["B010"]))
    assert (caller.sub, caller.roles) == ("ann", {"billing", "auditor"})
    assert caller.branches == Branches(frozenset({"B010"}))


@pytest.mark.parametrize("branches", ["*", ["*"]])
async def test_a_star_is_every_branch(tmp_path: Path, branches: str | list[str]) -> None:
    assert (await verify(tmp_path, keys.mint(tmp_path, "ann", ["admin"], branches))).branches == EVERY_BRANCH


async def test_a_token_ends(tmp_path: Path) -> None:
    with pytest.raises(TokenExpired):
        await verify(tmp_path, keys.mint(tmp_path, "ann", ["admin"], "*", ttl_s=-60))


def test_the_private_key_is_its_owners_and_stays(tmp_path: Path) -> None:
    public = keys.ensure_keys(tmp_path / "state")
    private = public.parent / "issuer-key.pem"
    before = private.read_bytes()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert keys.ensure_keys(tmp_path / "state") == public
    assert private.read_bytes() == before
    assert '"d"' not in public.read_text()
