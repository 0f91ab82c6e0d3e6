"""The jars of Apache Kafka: pinned one by one, fetched once per user, checked by hash."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.locks import waiting_for

KAFKA_VERSION = "4.3.0"
PINS = Path(__file__).with_name("kafka-jars.txt")
FETCHES_AT_ONCE = 6
TIMEOUT_S = 60
ATTEMPTS_MAX = 5  # Over half a minute.
BACKOFF_S = 1.0


class WrongHash(RuntimeError):
    """What arrived is not what was pinned. Never used, never kept."""


@dataclass(frozen=True)
class Jar:
    """One pinned file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def pinned() -> Iterator[Jar]:
    """The pins, in the order of the class path."""
    for line in PINS.read_text().splitlines():
        coordinate, digest = line.split(" sha256:")
        group, artifact, version = coordinate.split(":")
        yield Jar(group, artifact, version, digest)


def cache_directory() -> Path:
    """Where downloads are kept between runs: OPENITEM_CACHE, else the user's cache."""
    if chosen := os.environ.get("OPENITEM_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openitem"


def kafka_jars() -> list[Path]:
    """Every jar of the broker, fetched if need be.

    Holds   a file under its final name is complete and has the pinned hash, whatever else was starting or dying
            at the time: downloads go to a directory of their own and are renamed after the check.
    Errors  WrongHash; RuntimeError and OSError of the download, after retries.
    """
    home = cache_directory() / f"kafka-{KAFKA_VERSION}"
    jars = list(pinned())
    if any(not (home / jar.file_name).exists() for jar in jars):
        with waiting_for(home / ".lock"):  # One process fetches, the others wait and find everything there.
            _fetch([jar for jar in jars if not (home / jar.file_name).exists()], home)
    return [home / jar.file_name for jar in jars]


def _fetch(jars: list[Jar], home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch:

        def fetch(jar: Jar) -> None:
            path = _patiently(jar, Path(scratch))
            if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
                raise WrongHash(f"{jar.file_name} is not the file that was pinned")
            path.rename(home / jar.file_name)

        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            list(pool.map(fetch, jars))


def _patiently(jar: Jar, scratch: Path) -> Path:
    """`download`, again where the network failed: of fifty files on a bad day one does not come at the first try."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return download(jar, Path(tempfile.mkdtemp(dir=scratch)))
        except (OSError, RuntimeError):
            if attempt == ATTEMPTS_MAX:
                raise
            time.sleep(BACKOFF_S * 2**attempt)
    raise AssertionError("the last attempt raises")


def download(jar: Jar, scratch: Path) -> Path:
    """Fetch one file by its coordinate, and nothing it depends on.

    Never jgo's `resolve`, which follows dependencies: it picks an older kafka-clients than the broker's.
    """
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=scratch, local_repos=[], timeout=TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    path: Path = component.artifact().resolve()
    return path
