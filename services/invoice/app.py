"""HTTP of the invoice service."""

from __future__ import annotations

from fastapi import FastAPI

from services.invoice.claims import index
from services.invoice.imports import KINDS
from services.invoice.routes import ROUTERS
from services.kernel.bulk import bulk_router
from services.kernel.http import create_app
from services.kernel.serve import serve
from services.kernel.settings import Settings


def build(settings: Settings) -> FastAPI:
    return create_app(settings, title="Openitem invoice", routers=[*ROUTERS, bulk_router(KINDS)], index=index)


def main() -> None:
    serve(build, "invoice")


if __name__ == "__main__":
    main()
