"""How a log line looks, and what never stands in one."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from services.kernel.logs import configure_logs


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging belongs to the process: what a test configures must not stay."""
    root = logging.getLogger()
    before, structured = (root.handlers[:], root.level), structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in ("uvicorn.access", "httpx", "httpcore", "aiokafka")}
    yield
    root.handlers[:], root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(**structured)
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_names_its_event_its_service_and_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(service="invoice")
    structlog.contextvars.bind_contextvars(request_id="request-4711")
    structlog.stdlib.get_logger("x").info("refused", code="c")
    [line] = lines(capsys)
    assert {k: line[k] for k in ("event", "service", "request_id", "code", "level", "logger")} == {
        "event": "refused",
        "service": "invoice",
        "request_id": "request-4711",
        "code": "c",
        "level": "info",
        "logger": "x",
    }
    assert str(line["timestamp"]).endswith("Z")


def test_libraries_speak_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(service="invoice")
    logging.getLogger("some.library").warning("it is %s", "late")
    logging.getLogger("uvicorn.access").info("GET /")
    [line] = lines(capsys)
    assert (line["event"], line["logger"]) == ("it is late", "some.library")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_error_is_told_without_the_values_it_had_in_hand(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logs(service="invoice", json=as_json)
    try:
        secret = "Jane Doe, 1204.50"
        int(secret[:4])
    except ValueError:
        structlog.stdlib.get_logger("x").exception("internal_error")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "1204.50" not in text


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(service="invoice", level="warning")
    structlog.stdlib.get_logger("x").info("quiet")
    sys.stderr.flush()
    assert lines(capsys) == []


@pytest.mark.parametrize("value", ["half a character: \ud800", 2**70, {1, 2}, b"bytes", object()])
def test_no_value_keeps_a_line_from_being_written(capsys: pytest.CaptureFixture[str], value: object) -> None:
    configure_logs(service="invoice")
    structlog.stdlib.get_logger("x").info("odd", value=value)
    [line] = lines(capsys)
    assert line["event"] == "odd"
    assert "value" in line
