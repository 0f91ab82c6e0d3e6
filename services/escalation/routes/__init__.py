"""HTTP in: parse, call, render. One module per noun."""

from typing import Final

from fastapi import APIRouter

from services.escalation.routes import holds, placements, steps, write_offs

ROUTERS: Final[tuple[APIRouter, ...]] = (steps.router, holds.router, placements.router, write_offs.router)
