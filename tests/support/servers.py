"""One PostgreSQL and one Kafka per test run, started by the first test that needs one.

The first process of the run owns them, whichever xdist worker started them: they end with it, even if it is killed.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.embedded.server import Server

PREFIX = "openitem-tests-"

# A test's database is 8 MB of files: copied in memory it took 11 ms, on a busy disk 140 to 350 ms. Containers often
# have 64 MB there, hence the minimum.
MEMORY = Path("/dev/shm")
MEMORY_FREE_BYTES_MIN = 4 * 1024**3

GIVEN = {"postgres": "OPENITEM_POSTGRES", "kafka": "OPENITEM_KAFKA"}  # Servers that run already, as in CI or compose.

# Started by this process and owned by another: kept, so that Python does not complain about a process nobody awaits.
_started: list["Server"] = []


def open_run() -> Path:
    """A directory for the servers of this run, named for the process that owns it. Sweeps those of dead owners."""
    import psutil

    disk = Path(tempfile.gettempdir())
    for old in [*disk.glob(f"{PREFIX}*"), *MEMORY.glob(f"{PREFIX}*")]:
        owner = old.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    fits = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_BYTES_MIN
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY if fits else disk))


def address_of(name: str, run: Path, owner: int) -> str:
    """Where the run's server `name` answers; started now if no test of the run needed it before."""
    if given := os.environ.get(GIVEN[name]):
        return given
    from deploy.embedded.locks import waiting_for

    note = run / f"{name}.json"
    with waiting_for(run / f"{name}.lock"):  # The other workers wait for the one that starts it.
        if not note.exists():
            server = _server(name, run / name, owner)
            try:
                server.start()
            finally:
                _started.append(server)
            note.write_text(json.dumps({"address": server.address, "pid": server.pid, "signal": server.stop_signal}))
        address: str = json.loads(note.read_text())["address"]
    return address


def close_run(run: Path) -> None:
    """Stop what the run started and remove its traces."""
    from deploy.embedded.server import end

    for note in run.glob("*.json"):
        started: dict[str, Any] = json.loads(note.read_text())
        end(started["pid"], started["signal"])
    for server in _started:
        server.stop()
    shutil.rmtree(run, ignore_errors=True)


def _server(name: str, directory: Path, owner: int) -> "Server":
    from deploy.embedded import Kafka, Postgres

    if name == "kafka":
        return Kafka(directory, short_lived=True, owner=owner)
    return Postgres(directory, owner=owner, durable=False)
