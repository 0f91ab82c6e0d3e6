"""The whole stack on one machine: servers, databases, topics, keys, and every service under one supervisor."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from deploy.embedded import Kafka, Postgres
from deploy.embedded.keys import AUDIENCE, ISSUER, ensure_keys
from deploy.embedded.program import Program
from deploy.embedded.supervise import Supervisor, await_predecessor
from deploy.prepare import prepare
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS

HOST: Final = "127.0.0.1"
TOPIC_PREFIX: Final = "openitem"
_SERVERS, _SERVICES = 10, 30  # Priorities: servers answer before a service starts.


class StackFile(msgspec.Struct, frozen=True):
    """`stack.json`: where a running stack is, for the `openitem` program and whoever else wants to talk to it."""

    postgres: str
    kafka: str
    jwks: str
    issuer: str
    audience: str
    urls: dict[str, str]
    workers: dict[str, str]


@dataclass
class Stack:
    """One stack with its files in `state`.

    `kafka` and `postgres` name servers that run already; without them embedded ones are started, empty.
    """

    state: Path
    kafka: str | None = None
    postgres: str | None = None
    http_ports: Mapping[str, int] = field(default_factory=lambda: ports_of("PORT", HTTP_PORTS))
    worker_ports: Mapping[str, int] = field(default_factory=lambda: ports_of("WORKER_PORT", WORKER_PORTS))
    _near: str = field(default="", init=False)  # The embedded PostgreSQL as the services reach it.

    @property
    def urls(self) -> dict[str, str]:
        """Where each service's HTTP API is."""
        return {service: f"http://{HOST}:{port}" for service, port in self.http_ports.items()}

    @contextmanager
    def running(self) -> Iterator[Supervisor]:
        """Everything up and ready; everything down again afterwards, however it ends.

        Errors   PortBusy, naming the port and who wanted it; ServerFailed; ProgramFailed.
        """
        await_predecessor(self.state)  # A killed one may still be writing to what is about to be removed.
        servers: list[Program] = []
        if self.postgres is None:
            shutil.rmtree(self.state / "postgres", ignore_errors=True)  # A demonstration starts with empty books.
            database = Postgres(self.state / "postgres")
            servers.append(database.program(_SERVERS))
            self.postgres, self._near = database.url, database.socket_url
        if self.kafka is None:
            shutil.rmtree(self.state / "kafka", ignore_errors=True)
            broker = Kafka(self.state / "kafka", short_lived=True)
            servers.append(broker.program(_SERVERS))
            self.kafka = broker.bootstrap
        ensure_keys(self.state)
        supervisor = Supervisor(self.state, [*servers, *self._programs()])
        described = self.state / "stack.json"
        try:
            supervisor.start(before={_SERVICES: lambda: asyncio.run(self._prepare())})
            described.write_bytes(msgspec.json.format(msgspec.json.encode(self._described()), indent=2))
            yield supervisor
        finally:
            described.unlink(missing_ok=True)
            supervisor.stop()

    async def _prepare(self) -> None:
        assert self.postgres is not None
        assert self.kafka is not None
        await prepare(self.postgres, self.kafka, TOPIC_PREFIX)

    def _programs(self) -> Iterator[Program]:
        for service, port in self.worker_ports.items():
            yield self._program(service, "worker", port)
        for service, port in self.http_ports.items():
            yield self._program(service, "app", port)

    def _program(self, service: str, part: str, port: int) -> Program:
        return Program(
            name=f"{service}-{part}",
            command=[sys.executable, "-m", f"services.{service}.{part}"],
            environment={
                **self._environment(),
                "OPENITEM_PORT" if part == "app" else "OPENITEM_WORKER_PORT": str(port),
            },
            ports=[port],
            priority=_SERVICES,
        )

    def _environment(self) -> dict[str, str]:
        assert self.postgres is not None
        assert self.kafka is not None
        return {
            "OPENITEM_POSTGRES": self._near or self.postgres,
            "OPENITEM_KAFKA": self.kafka,
            "OPENITEM_TOPIC_PREFIX": TOPIC_PREFIX,
            "OPENITEM_JWKS": str((self.state / "jwks.json").resolve()),
            "OPENITEM_ISSUER": ISSUER,
            "OPENITEM_AUDIENCE": AUDIENCE,
            "OPENITEM_STATE_DIR": str(self.state.resolve()),
        }

    def _described(self) -> StackFile:
        return StackFile(
            postgres=self.postgres or "",
            kafka=self.kafka or "",
            jwks=str((self.state / "jwks.json").resolve()),
            issuer=ISSUER,
            audience=AUDIENCE,
            urls=self.urls,
            workers={service: f"http://{HOST}:{port}" for service, port in self.worker_ports.items()},
        )


def ports_of(kind: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """The ports to use: `OPENITEM_INVOICE_PORT=9001` moves one of them."""
    return {
        service: int(os.environ.get(f"OPENITEM_{service.upper()}_{kind}", default))
        for service, default in defaults.items()
    }
