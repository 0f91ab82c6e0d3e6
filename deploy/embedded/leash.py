"""Become another program that dies when its owner dies, however the owner died.

Run as a script in front of a command, it needs the standard library only:

    python -I leash.py [--signal 15] [--parent PID | --owner PID] [--user NAME] (--spec FILE | -- command ...)

The command keeps the process id of the leash, so whoever started it can signal and wait for it as usual.
"""

import argparse
import ctypes
import json
import os
import pwd
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.
WATCH_EVERY_S = 0.25
STOP_S_MAX = 15.0  # Servers flush on a polite signal; one that has not finished by then never will.


def main() -> None:
    """Read the options, put the leash on, become the command."""
    parser = argparse.ArgumentParser(description="Run a command that dies with its owner.")
    parser.add_argument("--signal", type=int, default=int(signal.SIGTERM), help="what the command is sent")
    parser.add_argument("--parent", type=int, help="the owner, when it started us")
    parser.add_argument("--owner", type=int, help="the owner, when it is any other process")
    parser.add_argument("--user", help="become this user first; needs root")
    parser.add_argument("--spec", type=Path, help="a JSON object with the command, its directory, more variables")
    parser.add_argument("command", nargs="*")
    wanted = parser.parse_args()

    parent = wanted.parent or os.getppid()
    if not wanted.parent and parent == 1:
        sys.exit("the owner died before its program started")
    if wanted.spec:
        spec = json.loads(wanted.spec.read_text())
        wanted.command = spec["command"]
        os.chdir(spec["directory"])
        os.environ.update(spec["environment"])
    if wanted.owner or not sys.platform.startswith("linux"):
        start_watcher(wanted.owner or parent, wanted.signal)
    if wanted.user:
        become(wanted.user)
    if not wanted.owner and sys.platform.startswith("linux"):
        die_with_parent(parent, wanted.signal)
    # A mask is inherited: a starter that blocks signals would give us a program that cannot be stopped.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(wanted.command[0], wanted.command)  # noqa: S606 - becoming the command is the purpose


def die_with_parent(parent: int, number: int) -> None:
    """Ask Linux to signal us when our parent's thread ends.

    After `become`, because a change of user clears the request; and then look whether the parent died before it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the owner died before its program started")


def become(user: str) -> None:
    """Give up root for `user`, for good."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def start_watcher(owner: int, number: int) -> None:
    """Leave a process behind that ends ours when `owner` is gone.

    For what PDEATHSIG cannot do: an owner that is not the parent, a parent thread that ends early, no Linux.
    Forked twice, so that the command does not find a child it never made.
    """
    leashed = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        watch(owner, leashed, number)
    finally:
        os._exit(0)


def watch(owner: int, leashed: int, number: int) -> None:
    """Wait for the end of either. Polls: no portable call waits for a process that is not a child."""
    import psutil

    def find(pid: int) -> psutil.Process | None:
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None

    def alive(process: psutil.Process | None) -> bool:
        try:
            return process is not None and process.status() != psutil.STATUS_ZOMBIE and process.is_running()
        except psutil.NoSuchProcess:
            return False

    keeper, dog = find(owner), find(leashed)
    while alive(dog) and alive(keeper):
        time.sleep(WATCH_EVERY_S)
    if dog is None or not alive(dog):
        return
    dog.send_signal(number)
    until = time.monotonic() + STOP_S_MAX
    while alive(dog) and time.monotonic() < until:
        time.sleep(WATCH_EVERY_S)
    if alive(dog):
        dog.kill()


if __name__ == "__main__":
    main()
