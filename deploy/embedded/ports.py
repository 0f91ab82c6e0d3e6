"""Loopback ports: find a free one, tell whether one is taken."""

import random
import socket

HOST = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768 and up). A port from that range
# can be taken by any client while our server is down, and a server that was killed must come back where it was.
FREE_MIN, FREE_MAX = 20_000, 32_000
ATTEMPTS_MAX = 200


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
    """A port nobody listens on now. It is not reserved: who starts a server there must be ready to try again."""
    for _ in range(ATTEMPTS_MAX):
        # Random and not the first free one, so that test runs started together do not choose the same.
        port = random.randint(FREE_MIN, FREE_MAX)  # noqa: S311 - not a secret
        if not is_busy(port):
            return port
    raise RuntimeError(f"no free port between {FREE_MIN} and {FREE_MAX} after {ATTEMPTS_MAX} attempts")
