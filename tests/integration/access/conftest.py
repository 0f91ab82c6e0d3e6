"""A firm of five applications, without any facts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.support.firm import Firm, open_firm
from tests.support.tokens import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
async def firm(make_database: MakeDatabase, issuer: Issuer) -> AsyncIterator[Firm]:
    async with open_firm(make_database, issuer) as firm:
        yield firm
