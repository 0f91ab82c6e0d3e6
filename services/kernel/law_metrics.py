"""The metric of the laws: what must hold for any history, checked again and again while the services run."""

from __future__ import annotations

from typing import Final

from prometheus_client import Gauge

LAW_BROKEN: Final = Gauge(
    "openitem_law_broken",
    "Cases that break a law of the books, as last checked. Alert above 0: the log names the streams.",
    ["law"],
)
