"""HTTP of the contact service."""

from __future__ import annotations

from fastapi import FastAPI

from services.contact.imports import KINDS
from services.contact.lookups import index
from services.contact.routes import ROUTERS
from services.kernel.bulk import bulk_router
from services.kernel.http import create_app
from services.kernel.serve import serve
from services.kernel.settings import Settings


def build(settings: Settings) -> FastAPI:
    return create_app(settings, title="Openitem contact", routers=[*ROUTERS, bulk_router(KINDS)], index=index)


def main() -> None:
    serve(build, "contact")


if __name__ == "__main__":
    main()
