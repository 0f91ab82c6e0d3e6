"""The worker: the relay. This service follows nobody else's facts."""

from __future__ import annotations

from services.invoice.claims import index
from services.kernel.serve import read_settings
from services.kernel.settings import Settings
from services.kernel.worker import run_worker


def main() -> None:
    run_worker(read_settings(Settings, "invoice"), index=index)


if __name__ == "__main__":
    main()
