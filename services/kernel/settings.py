"""Settings that every process shares, read once from `OPENITEM_*`. A service adds its own in a subclass."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.topics import SERVICES, topic_of

# Default ports. Workers serve metrics and health only.
HTTP_PORTS: Final = {"reporting": 8000, "invoice": 8001, "payment": 8002, "contact": 8003, "escalation": 8004}
WORKER_PORTS: Final = {"projections": 8100, "invoice": 8101, "payment": 8102, "contact": 8103, "escalation": 8104}
# Whose database a service works on, where it is not its own: reporting reads what projections writes.
_DATABASE_OF: Final = {"reporting": "projections"}


class Settings(BaseSettings):
    """One process's settings.

    `postgres` is the URL of the server as whoever owns the databases; each service has its database there
    (`openitem_invoice`, …) unless `OPENITEM_DATABASE` names it. No secret has a default.
    """

    model_config = SettingsConfigDict(env_prefix="OPENITEM_", frozen=True, extra="ignore")

    service: str
    postgres: str
    database: str | None = None
    kafka: str
    topic_prefix: str = "openitem"
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, description="HTTP port of an app.")
    worker_port: int | None = Field(default=None, description="Port of a worker's health and metrics.")
    jwks: str = Field(description="Where the issuer's public keys are: an https URL or a file path.")
    issuer: str
    audience: str = "openitem"
    log_level: str = "INFO"
    log_json: bool = True
    pool_max: int = 10
    body_bytes_max: int = 1 << 20
    traces: str = Field(default="", description="Where spans go, as OTLP over HTTP: an URL. Empty: no traces are made.")
    traces_ratio: float = Field(default=1.0, ge=0, le=1, description="Of requests that do not say it, how many.")
    state_dir: str = Field(default=".openitem", description="Where a worker may keep files; nothing of record.")

    @property
    def database_url(self) -> str:
        """The database of this service."""
        return self.database or database_url(self.postgres, self.service)

    @property
    def http_port(self) -> int:
        return self.port if self.port is not None else HTTP_PORTS[self.service]

    @property
    def metrics_port(self) -> int:
        return self.worker_port if self.worker_port is not None else WORKER_PORTS[self.service]

    def topics(self) -> dict[str, str]:
        """The topic of every publishing service."""
        return {service: topic_of(service, self.topic_prefix) for service in SERVICES}


def database_url(postgres: str, service: str) -> str:
    """The URL of `service`'s database on the server at `postgres`."""
    parts = urlsplit(postgres)
    return urlunsplit(parts._replace(path=f"/openitem_{_DATABASE_OF.get(service, service)}"))
