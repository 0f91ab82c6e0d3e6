"""Is a fact's way from the request to whoever consumes it one trace, and is nothing made while traces are off?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from events.topics import topic_of
from services.invoice.app import build
from services.kernel import tracing
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import Store
from tests.support.facts import topic_records
from tests.support.flow import Notes, consumer, published, running
from tests.support.front_door import FrontDoor, front_door
from tests.support.patience import until

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ROOT = Path(__file__).parents[3]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.fixture
def spans(settings: Settings) -> Iterator[InMemorySpanExporter]:
    """What is traced in this process."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracing.configure_traces(settings, exporter)
    yield exporter
    tracing.stop_traces()


@pytest.fixture
async def door(settings: Settings, tmp_path: Path):
    async with front_door(build, "invoice", settings.database_url, tmp_path) as opened:
        yield opened


async def register(door: FrontDoor, branch: str, traceparent: str | None = None) -> None:
    body = {"branch": branch, "name": "Chicago", "timezone": "America/Chicago", "registered_on": "2025-01-02"}
    answer = await door.post("/branches", body, **({"traceparent": traceparent} if traceparent else {}))
    assert answer.status_code == 201, answer.text


async def consumed(store: Store, stream: str) -> None:
    await until(lambda: store.pool.fetchval("SELECT 1 FROM consumer_stream WHERE stream = $1", stream))


def trace_id(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def parent(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent else 0


async def test_from_the_request_to_the_consumer_it_is_one_trace(
    settings: Settings, store: Store, door: FrontDoor, spans: InMemorySpanExporter
) -> None:
    async with running(Relay(settings), consumer(settings, store, Notes())):
        await register(door, "CHI", CALLER)
        await published(store, 1)
        await consumed(store, "branch-CHI")
        await until(lambda: asyncio.sleep(0, any(s.name == "apply notes" for s in spans.get_finished_spans())))
    made = {span.name: span for span in spans.get_finished_spans()}
    request, append, apply = made["POST /branches"], made["decide and append"], made["apply notes"]
    assert {trace_id(request), trace_id(append), trace_id(apply)} == {TRACE}
    assert parent(request) == int(CALLER.split("-")[2], 16)
    assert parent(append) == parent(apply) == request.context.span_id
    assert request.attributes["http.response.status_code"] == 201
    # The batches are traces of their own: a wave and a batch have many origins. They are linked with them.
    wave, batch = made[f"send {topic_of('invoice', settings.topic_prefix)}"], made["consume notes"]
    assert TRACE not in {trace_id(wave), trace_id(batch)}
    assert [link.context.span_id for link in wave.links] == [request.context.span_id]
    assert [link.context.span_id for link in batch.links] == [request.context.span_id]
    assert [link.context.span_id for link in apply.links] == [batch.context.span_id]
    # The header is what the store has: published again, it is the same.
    [record] = await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))
    said = record.headers["traceparent"].decode()
    assert said == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert await store.pool.fetchval("SELECT traceparent FROM events") == said


async def test_a_request_without_a_trace_begins_one(door: FrontDoor, store: Store, spans: InMemorySpanExporter) -> None:
    await register(door, "CHI")
    [request] = [span for span in spans.get_finished_spans() if span.name == "POST /branches"]
    assert request.parent is None
    assert trace_id(request) in await store.pool.fetchval("SELECT traceparent FROM events")


async def test_what_the_caller_does_not_sample_is_carried_and_not_recorded(
    settings: Settings, door: FrontDoor, store: Store, spans: InMemorySpanExporter
) -> None:
    async with running(Relay(settings), consumer(settings, store, Notes())):
        await register(door, "CHI", UNSAMPLED)
        await consumed(store, "branch-CHI")
    assert TRACE in await store.pool.fetchval("SELECT traceparent FROM events")
    assert [span.name for span in spans.get_finished_spans() if trace_id(span) == TRACE] == []


async def test_names_hold_no_ids_and_failures_are_marked(door: FrontDoor, spans: InMemorySpanExporter) -> None:
    await door.get(f"/invoices/{uuid4()}")
    await door.get(f"/nowhere/{UUID(int=7)}")
    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["GET /invoices/{invoice_id}", "GET unmatched"]


async def test_while_they_are_off_what_came_is_carried_and_nothing_is_made(door: FrontDoor, store: Store) -> None:
    assert not tracing.tracing()
    assert tracing.span("decide and append") is tracing.consuming("notes", []) is tracing.publishing("topic", [])
    await register(door, "CHI", CALLER)
    assert await store.pool.fetchval("SELECT traceparent FROM events") == CALLER


def test_while_they_are_off_their_packages_are_not_even_loaded() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import services.payment.app, sys; print('opentelemetry.sdk' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "False\n"


ONE_SPAN = """
import sys
from services.kernel import tracing
from tests.support.facts import settings_of
tracing.configure_traces(settings_of("invoice", "postgresql://x/y", "k:1", "p", traces=sys.argv[1]))
with tracing.span("decide and append", attempt=1):
    pass
print("done", flush=True)
"""
ENDS_S_MAX = 20  # After its last statement. Left to itself the exporter tries for 35 s.


def one_span(collector: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ONE_SPAN, collector]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"done\n"
            assert process.wait(ENDS_S_MAX) == 0
        finally:
            process.kill()


def test_what_was_made_last_reaches_the_collector_before_the_process_ends() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        one_span(f"http://127.0.0.1:{collector.server_port}/v1/traces")
        collector.shutdown()
    [(path, body)] = received
    assert path == "/v1/traces"
    assert b"openitem-invoice" in body
    assert b"decide and append" in body


def test_a_collector_that_is_away_does_not_keep_a_process_from_ending() -> None:
    one_span("http://127.0.0.1:9/v1/traces")
