"""A lock between processes, held through an open file: the kernel lets it go when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(RuntimeError):
    """Another process holds the lock; `pid` says which."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"already running as process {pid or 'unknown'}, which holds {path}: stop it first")
        self.pid = int(pid) if pid.isdigit() else None


@contextmanager
def waiting_for(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, waiting for as long as another process has it.

    The wait has no bound of its own: it ends when the holder finishes or dies, and what the holder does is bounded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_instance(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, or raise AlreadyRunning at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(path, file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        # The file stays: removing it would let a third process lock a new file beside a second one's old one.
        file.truncate(0)
