"""Are Kafka's jars fetched once, checked, and fetched again where the network failed?"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.embedded import jars


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[jars.Jar]:
    """The only pin, for content b"right"; every download is noted in the list."""
    pin = jars.Jar("group", "artifact", "1.0", hashlib.sha256(b"right").hexdigest())
    monkeypatch.setenv("OPENITEM_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "pinned", lambda: iter([pin]))
    fetched: list[jars.Jar] = []

    def download(jar: jars.Jar, scratch: Path) -> Path:
        fetched.append(jar)
        time.sleep(0.05)
        (scratch / "some.jar").write_bytes(b"right" if len(fetched) == 1 else b"wrong")
        return scratch / "some.jar"

    monkeypatch.setattr(jars, "download", download)
    return fetched


def test_many_starting_at_once_fetch_a_jar_once(one_jar: list[jars.Jar]) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = {tuple(found) for found in pool.map(lambda _: jars.kafka_jars(), range(4))}
    assert len(paths) == 1
    assert len(one_jar) == 1


def test_a_download_that_fails_is_tried_again(one_jar: list[jars.Jar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "BACKOFF_S", 0.0)
    whole, failures = jars.download, iter([ConnectionResetError("by peer"), RuntimeError("503")])

    def download(jar: jars.Jar, scratch: Path) -> Path:
        if failure := next(failures, None):
            raise failure
        return whole(jar, scratch)

    monkeypatch.setattr(jars, "download", download)
    [path] = jars.kafka_jars()
    assert path.read_bytes() == b"right"


def test_a_jar_with_another_hash_is_refused_and_not_kept(one_jar: list[jars.Jar], tmp_path: Path) -> None:
    one_jar.extend(jars.pinned())  # So that the download to come is not the first, and wrong.
    with pytest.raises(jars.WrongHash, match=r"artifact-1\.0\.jar"):
        jars.kafka_jars()
    assert list(tmp_path.rglob("*.jar")) == []
