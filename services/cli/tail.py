"""`openitem tail`: the facts of all services as they are published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any, Final

import typer
from kafka import KafkaConsumer, TopicPartition

from events.topics import SERVICES
from services.cli.facts import Seen, Wanted, as_json, as_line, read
from services.cli.screen import Stop, out, until_interrupted
from services.cli.where import settings_for

_POLL_MS: Final = 500
_BATCH_MAX: Final = 2_000


def tail(
    service: Annotated[
        list[str] | None, typer.Option(help=f"Facts of {', '.join(SERVICES)}; by default of all.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", help="By name, with * for anything: payment.applied, 'invoice.*'.")
    ] = None,
    branch: Annotated[list[str] | None, typer.Option(help="By branch code.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="By account id, wherever in the fact it stands.")] = None,
    stream: Annotated[list[str] | None, typer.Option(help="By stream, with * for anything: 'invoice-7d0c*'.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything there is, then what comes.")
    ] = False,
    follow: Annotated[
        bool, typer.Option(help="Wait for what comes; otherwise stop at the end of what is there.")
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many facts.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with everything.")] = False,
) -> None:
    """Follow the facts of all services as they are published. Ctrl-C ends it.

    It reads Kafka and nothing else, keeps no position, and disturbs no consumer. Options may be given again: any of the
    values of one option, and all options, must fit.

    Examples:

      openitem tail

      openitem tail --service payment --branch CHI

      openitem tail --type 'payment.re*' --type invoice.voided

      openitem tail --from-beginning --no-follow --json --stream 'invoice-7d0c*' | jq .data
    """
    topics = settings_for("invoice", "kafka").topics()
    if unknown := sorted(set(service or ()) - set(topics)):
        raise typer.BadParameter(f"there is no {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    wanted = Wanted(kind or (), branch or (), account or (), stream or ())
    bootstrap = settings_for("invoice", "kafka").kafka
    shown = 0
    try:
        for seen in _facts(
            bootstrap, [topics[s] for s in service or SERVICES], from_beginning=from_beginning, follow=follow
        ):
            if not wanted.fits(seen):
                continue
            # Never wrapped by us: a terminal wraps, and a pipe wants one fact a line.
            out.print(as_json(seen) if json else as_line(seen), soft_wrap=True, markup=False)
            shown += 1
            if shown == limit:
                return
    except KeyboardInterrupt:
        return


def _facts(bootstrap: str, topics: list[str], *, from_beginning: bool, follow: bool) -> Iterator[Seen]:
    """Records of the topics, each fetch in the order of recording. Ends without `follow`, or by Ctrl-C."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=_BATCH_MAX,
    )
    with closing(consumer):
        partitions = [
            TopicPartition(t, number) for t in topics for number in sorted(consumer.partitions_for_topic(t) or ())
        ]
        if missing := set(topics) - {partition.topic for partition in partitions}:
            raise Stop(f"there is no topic {', '.join(sorted(missing))}; `openitem topics create` creates it")
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = consumer.end_offsets(partitions)
        for partition in partitions:
            # Sought at once: a position that is looked up with the first poll would miss what comes before it.
            consumer.seek(partition, 0 if from_beginning else ends[partition])
        with until_interrupted() as interrupted:
            while not interrupted() and (follow or any(consumer.position(p) < ends[p] for p in partitions)):
                polled: dict[TopicPartition, list[Any]] = consumer.poll(timeout_ms=_POLL_MS)
                records = [record for batch in polled.values() for record in batch]
                seen = [read(r.topic, r.partition, r.offset, r.headers, r.value or b"") for r in records]
                yield from sorted(seen, key=lambda s: s.order)
