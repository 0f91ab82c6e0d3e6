"""The HTTP application of the payment service."""

from __future__ import annotations

from fastapi import FastAPI

from services.kernel.bulk import bulk_router
from services.kernel.http import create_app
from services.kernel.serve import serve
from services.kernel.settings import Settings
from services.payment.imports import KINDS
from services.payment.routes import items, receipts


def build(settings: Settings) -> FastAPI:
    return create_app(settings, title="Openitem payment", routers=[receipts.router, items.router, bulk_router(KINDS)])


def main() -> None:
    serve(build, "payment")


if __name__ == "__main__":
    main()
