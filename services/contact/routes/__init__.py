"""HTTP in: parse, call, render. One module per noun."""

from typing import Final

from fastapi import APIRouter

from services.contact.routes import attempts, disputes, follow_ups, notes, promises

ROUTERS: Final[tuple[APIRouter, ...]] = (
    attempts.router,
    promises.router,
    disputes.router,
    follow_ups.router,
    notes.router,
)
