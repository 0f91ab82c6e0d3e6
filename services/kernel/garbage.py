"""How often Python looks for garbage, in every process of ours."""

from __future__ import annotations

import gc
from typing import Final

REQUESTS: Final = 100_000  # Of a process that answers requests: an import's batch, a page of a list.
BATCHES: Final = 1_000_000  # Of one that takes facts by the thousand: several batches at a time, in all their stages.


def collect_rarely(objects: int = REQUESTS) -> None:
    """Look through new objects after so many of them, not after 700.

    A batch of facts, or of an import, is as many objects that die together: by default Python looks through all of
    them again and again, which took half of a consumer's time and a third of an import's. At a hundred thousand it was
    still a sixth of the projection's, whose batches are more than that.
    """
    gc.set_threshold(objects, 50, 100)
