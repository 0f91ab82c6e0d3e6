"""Metrics of the fold."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

FOLDED: Final = Counter(
    "openitem_projections_folded_total", "Facts folded into the read models, by kind; repeats are not.", ["fact"]
)
BATCH_SECONDS: Final = Histogram(
    "openitem_projections_batch_seconds",
    "Time to fold and write one batch. When it grows with the batch size unchanged, look at the tables' bloat.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
SNAPSHOTS_MISSING: Final = Gauge(
    "openitem_projections_snapshots_missing",
    "Month starts without a valid snapshot. Reports are right without them, only slower. At rest it is 0.",
)
