"""What a supervisor needs to know about a program it runs."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded import ports


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to keep running.

    `priority`     lower ones start first; the next wait until all of these are ready. Stopped the other way round.
    `ports`        those it will listen on: checked before the start, and by default a sign of being ready.
    `ready`        whether others may rely on it now, where listening does not tell.
    `environment`  on top of ours. Kept in a file that only we can read, so a secret may be in it.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd)
    ports: Sequence[int] = ()
    priority: int = 100
    ready: Callable[[], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s_max: float = 10.0
    user: str | None = None

    def is_ready(self) -> bool:
        if self.ready is not None:
            return self.ready()
        return all(ports.answers(port) for port in self.ports)
