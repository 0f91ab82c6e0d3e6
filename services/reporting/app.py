"""The reporting API: every question has a module of its own."""

from __future__ import annotations

from fastapi import FastAPI

from services.kernel.http import create_app
from services.kernel.serve import serve
from services.reporting import accounts, aging, bad_debt, cash_flow, items, standing
from services.reporting.arrivals import Arrivals
from services.reporting.reading import CONSUMER
from services.reporting.settings import ReportingSettings


def build(settings: ReportingSettings) -> FastAPI:
    """The application; its state has `settings` with what reporting is told beyond the rest."""
    routers = [module.router for module in (aging, cash_flow, bad_debt, items, accounts, standing)]
    return create_app(settings, title="Openitem reporting", routers=routers, store_routes=False, opened=_opened)


def _opened(app: FastAPI) -> None:
    app.state.arrivals = Arrivals(app.state.pool, CONSUMER)


def main() -> None:
    serve(build, "reporting", ReportingSettings)


if __name__ == "__main__":
    main()
