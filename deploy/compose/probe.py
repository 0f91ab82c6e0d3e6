"""Is the process of this container ready? `python -m deploy.compose.probe 8001` ends with 0 when it says so.

An image has no curl; this imports nothing but the standard library, so it costs a container little to be asked often.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

PATH: Final = "/health/ready"
_TIMEOUT_S: Final = 4.0  # A readiness that asks the database may take two.


def is_ready(port: int) -> bool:
    """Whether what listens on the port of this machine is ready."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", PATH)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(sys.argv[1])) else 1)
