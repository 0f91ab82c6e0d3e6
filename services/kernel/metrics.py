"""Metrics that every HTTP process has. Labels are bounded: a route's template, never its path; a code, never an id."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, Info

from services.kernel.pool import Pool

REQUEST_SECONDS: Final = Histogram(
    "openitem_http_request_seconds",
    "Time from a request's first byte to the answer's last. Alert when the 99th percentile passes 1 s.",
    ["service", "route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
REFUSALS: Final = Counter(
    "openitem_refusals_total",
    "Requests refused, by the code of the problem. A step in one code points at one client or one rule.",
    ["code"],
)
CONFLICTS: Final = Counter(
    "openitem_conflicts_total",
    "Appends that lost against another writer and were tried again. Many of them: one stream is hot; find which.",
)
POOL: Final = Gauge(
    "openitem_pool_connections",
    "Connections to Postgres by state. When `idle` stays at 0, raise OPENITEM_POOL_MAX or find what holds them.",
    ["service", "state"],
)
BUILD: Final = Info("openitem_build", "Which version of which service this process runs.")


def note_pool(service: str, pool: Pool) -> None:
    """Set the gauges of the pool as it is now."""
    POOL.labels(service, "idle").set(pool.get_idle_size())
    POOL.labels(service, "in_use").set(pool.get_size() - pool.get_idle_size())
    POOL.labels(service, "max").set(pool.get_max_size())


def note_build(service: str) -> None:
    """Say which version of which service this process runs."""
    try:
        number = version("openitem")
    except PackageNotFoundError:  # Run from a tree that was never installed.
        number = "unknown"
    BUILD.info({"service": service, "version": number})
