"""What a backup consists of, as the file `manifest.json` beside the dumps says: without it there is no backup."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from services.cli.screen import Stop

NAME: Final = "manifest.json"
FORMAT: Final = 1
_CHUNK: Final = 1 << 20


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """One service's database as it was at the cut: the file that holds it, and figures to hold a restore against."""

    service: str
    database: str
    file: str
    sha256: str
    bytes: int
    seq_assigned: int
    seq_acknowledged: int
    last_position: int
    rows: dict[str, int]
    server_version: str
    server_major: int
    taken_at: datetime


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All dumps of one cut."""

    format: int = FORMAT
    openitem: str
    taken_at: datetime
    dumps: Sequence[Dump]

    def of(self, service: str) -> Dump | None:
        return next((dump for dump in self.dumps if dump.service == service), None)


def write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, last of all."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / NAME).write_bytes(text + b"\n")


def read(directory: Path) -> Manifest:
    """The manifest of a backup. Errors: Stop where there is none that this program can read."""
    path = directory / NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Stop(f"{directory} is no backup: it has no {NAME}") from None
    except msgspec.MsgspecError as error:
        raise Stop(f"{path} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise Stop(f"{path} is of format {manifest.format}, and this program knows format {FORMAT}")
    return manifest


def verify(directory: Path, dumps: Sequence[Dump]) -> None:
    """See that every file is the one that was written. Errors: Stop, naming those that are not."""
    wrong = []
    for dump in dumps:
        path = directory / Path(dump.file).name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif path.stat().st_size != dump.bytes or digest(path) != dump.sha256:
            wrong.append(f"{path} is not what was written: its hash differs")
    if wrong:
        raise Stop("; ".join(wrong) + ". Nothing was restored.")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
