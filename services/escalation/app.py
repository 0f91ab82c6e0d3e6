"""HTTP of the escalation service."""

from __future__ import annotations

from fastapi import FastAPI

from services.escalation.imports import KINDS
from services.escalation.lookups import index
from services.escalation.routes import ROUTERS
from services.kernel.bulk import bulk_router
from services.kernel.http import create_app
from services.kernel.serve import serve
from services.kernel.settings import Settings


def build(settings: Settings) -> FastAPI:
    return create_app(settings, title="Openitem escalation", routers=[*ROUTERS, bulk_router(KINDS)], index=index)


def main() -> None:
    serve(build, "escalation")


if __name__ == "__main__":
    main()
