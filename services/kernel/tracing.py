"""Traces, by OpenTelemetry: from an HTTP request through the store, the relay and Kafka to whoever consumes its facts.

Off unless `OPENITEM_TRACES` names a collector; then nothing is imported, and each place that could make a span asks one
question. A fact carries the context of the request it came from (`traceparent`) in its row and in its headers, for
good: what is done with it later, by whomever, joins the trace by that.
"""

from __future__ import annotations

import atexit
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

    from services.kernel.settings import Settings

_LINKS_MAX: Final = 128  # Of one span: what SDKs keep. An import's facts have one context in common.
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1
_EXIT_S_MAX: Final = 2.0
_OFF: Final[AbstractContextManager[None]] = nullcontext()

_tracer: Tracer | None = None


class TracesUnavailable(Exception):
    """Traces are asked for, and the packages for them are not installed."""


def configure_traces(settings: Settings, exporter: SpanExporter | None = None) -> None:
    """Begin to make spans, if the settings ask for it, or an `exporter` is given, which then gets each at once.

    Errors   TracesUnavailable.
    """
    global _tracer
    if not settings.traces and exporter is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise TracesUnavailable(
            f"OPENITEM_TRACES is set, and {error.name} is missing: install openitem[traces]"
        ) from None
    resource = Resource.create({"service.name": f"openitem-{settings.service}"})
    sampler = ParentBasedTraceIdRatio(settings.traces_ratio)
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    processor: SpanProcessor
    if exporter is not None:
        processor = SimpleSpanProcessor(exporter)
    else:
        # From a thread of its own; what a collector that is away cannot take is dropped.
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.traces))
        _end_in_time(provider.shutdown)
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("openitem")


def _end_in_time(shutdown: Callable[[], None]) -> None:
    """When the process ends, send what is left; but a collector that is away must not hold it for half a minute."""
    ending, ended = threading.Event(), threading.Event()

    def last() -> None:
        ending.wait()
        shutdown()
        ended.set()

    def at_exit() -> None:
        ending.set()
        ended.wait(_EXIT_S_MAX)

    # Now, because none can be started any more when the process ends.
    threading.Thread(target=last, name="last-spans", daemon=True).start()
    atexit.register(at_exit)


def stop_traces() -> None:
    """Make no more spans."""
    global _tracer
    _tracer = None


def span(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """A span around a block, within the one that is current. Attributes are bounded words and counts, never ids."""
    if _tracer is None:
        return _OFF
    return _tracer.start_as_current_span(name, attributes=attributes)


class RequestSpan:
    """The span of one HTTP request. `traceparent` is what its facts carry."""

    def __init__(self, tracer: Tracer, method: str, given: str | None) -> None:
        from opentelemetry import context, trace

        parent = context_of(given)
        self._span: Span = tracer.start_span(
            method,
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent else context.Context(),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": method},
        )
        self._token: Token[Any] = context.attach(trace.set_span_in_context(self._span))
        at = self._span.get_span_context()
        self.traceparent = f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"

    def end(self, method: str, route: str, status: int) -> None:
        """`route` is the template: a path would be a name without end, and names what it should not."""
        from opentelemetry import context, trace

        self._span.update_name(f"{method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500 or not status:
            self._span.set_status(trace.StatusCode.ERROR)
        context.detach(self._token)
        self._span.end()


def request_span(method: str, given: str | None) -> RequestSpan | None:
    """Begin the span of a request that came with `given` as its traceparent; None while traces are off."""
    return None if _tracer is None else RequestSpan(_tracer, method, given)


def tracing() -> bool:
    """Whether it is worth gathering what a span would tell."""
    return _tracer is not None


def publishing(topic: str, traceparents: Sequence[str]) -> AbstractContextManager[object]:
    """The span of a wave of the relay, linked to the requests its facts came from."""
    if _tracer is None:
        return _OFF
    from opentelemetry import context, trace

    return _tracer.start_as_current_span(
        f"send {topic}",
        context=context.Context(),
        kind=trace.SpanKind.PRODUCER,
        links=_links(_contexts(traceparents)),
        attributes={"messaging.system": "kafka", "messaging.destination.name": topic},
    )


def consuming(consumer: str, traceparents: Iterable[str | None]) -> AbstractContextManager[object]:
    """The span of a batch, linked to the requests its facts came from; and in each of their traces one of its own."""
    return _OFF if _tracer is None else _consuming(_tracer, consumer, traceparents)


@contextmanager
def _consuming(tracer: Tracer, consumer: str, traceparents: Iterable[str | None]) -> Iterator[None]:
    from opentelemetry import context, trace

    contexts = _contexts(traceparents)
    began = time.time_ns()
    with tracer.start_as_current_span(
        f"consume {consumer}",
        context=context.Context(),
        kind=trace.SpanKind.CONSUMER,
        links=_links(contexts),
        attributes={"messaging.system": "kafka", "messaging.batch.message_count": sum(count for _, count in contexts)},
    ) as batch:
        yield
    # Only what was committed. A request of which a thousand facts are in the batch gets one span, with the count.
    for origin, count in contexts:
        joined = tracer.start_span(
            f"apply {consumer}",
            context=trace.set_span_in_context(trace.NonRecordingSpan(origin)),
            kind=trace.SpanKind.CONSUMER,
            links=[trace.Link(batch.get_span_context())],
            attributes={"messaging.system": "kafka", "messaging.batch.message_count": count},
            start_time=began,
        )
        joined.end()


def context_of(traceparent: str | None) -> SpanContext | None:
    """The W3C trace context; None where it is none."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    if found is None:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    context = SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16))
    )
    return context if context.is_valid else None


def _contexts(traceparents: Iterable[str | None]) -> list[tuple[SpanContext, int]]:
    """The sampled contexts among these, and how many facts have each."""
    known = ((context_of(traceparent), count) for traceparent, count in Counter(traceparents).items())
    return [(at, count) for at, count in known if at is not None and at.trace_flags & _SAMPLED]


def _links(contexts: Sequence[tuple[SpanContext, int]]) -> list[Link]:
    from opentelemetry.trace import Link

    return [Link(at) for at, _ in contexts[:_LINKS_MAX]]
