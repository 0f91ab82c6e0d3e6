"""HTTP in: parse, call, render. One module per noun."""

from typing import Final

from fastapi import APIRouter

from services.invoice.routes import accounts, branches, invoices, jobs

ROUTERS: Final[tuple[APIRouter, ...]] = (branches.router, accounts.router, jobs.router, invoices.router)
