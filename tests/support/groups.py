"""Tests that share something heavy: `xdist_group` keeps them together, and what they share ends with them."""

from contextlib import ExitStack

import pytest

_SHARED = pytest.StashKey[ExitStack]()


def shared(config: pytest.Config) -> ExitStack:
    """What the present group of tests shares; it ends with the last test of the group."""
    return config.stash.setdefault(_SHARED, ExitStack())


def group_of(item: pytest.Item) -> str | None:
    """The name of the group that a test belongs to."""
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark is not None else None
