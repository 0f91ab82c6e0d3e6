"""How often Python looks for garbage, in every process of ours."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Look through new objects after a hundred thousand of them, not after 700.

    A batch of facts, or of an import, is as many objects that die together: by default Python looks through all of
    them again and again, which took half of a consumer's time and a third of an import's.
    """
    gc.set_threshold(100_000, 50, 100)
