"""Loopback ports: find a free one and keep it from our other processes, tell whether one is taken."""

import atexit
import random
import socket

HOST = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768 and up). A port from that range
# can be taken by any client while our server is down, and a server that was killed must come back where it was.
FREE_MIN, FREE_MAX = 20_000, 32_000
ATTEMPTS_MAX = 200

_marks: list[socket.socket] = []  # Of the ports this process was given; they end with it.


class PortBusy(RuntimeError):
    """Somebody else listens on the port we were told to use."""

    def __init__(self, port: int, what: str) -> None:
        super().__init__(f"port {port} on {HOST} is taken, so {what} cannot use it: free it or choose another")
        self.port = port


def is_busy(port: int) -> bool:
    """Whether someone listens on `port`. Connections still closing from an earlier server do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def answers(port: int) -> bool:
    """Whether `port` accepts a connection now."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port nobody listens on now, which no other call answers while this process lives, in whatever process.

    Who does not ask here may still take it.
    """
    for _ in range(ATTEMPTS_MAX):
        port = random.randint(FREE_MIN, FREE_MAX)  # noqa: S311 - not a secret
        if not is_busy(port) and _mark(port):
            return port
    raise RuntimeError(f"no free port between {FREE_MIN} and {FREE_MAX} after {ATTEMPTS_MAX} attempts")


def _mark(port: int) -> bool:
    """Make the port ours, unless it is another's.

    Between the choice of a port and a server that listens there lie seconds. UDP counts its ports apart from TCP, so a
    socket of that kind is a mark that is in no server's way, that only one process can set, and that a crash removes.
    """
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind((HOST, port))
    except OSError:
        mark.close()
        return False
    _marks.append(mark)
    return True


@atexit.register
def _unmark() -> None:
    for mark in _marks:
        mark.close()
