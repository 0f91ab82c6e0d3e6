"""`openitem topics`: create the topics of the contract, see that they are as it says, show what is in them."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Final

import typer
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from rich.table import Table

from events.topics import PARTITIONS
from services.cli.screen import err, out
from services.cli.where import settings_for
from services.kernel import topics as kernel

app: Final = typer.Typer(help="Create, verify and describe the Kafka topics.", no_args_is_help=True)


@app.command()
def create(
    replication: Annotated[
        int, typer.Option(min=1, help="Copies of each partition: 3 in production, 1 on one broker.")
    ] = 1,
) -> None:
    """Create the topics that do not exist yet: four of facts, and those of signals. Safe to repeat.

    Examples:

      openitem topics create

      openitem topics create --replication 3
    """
    settings = settings_for("invoice", "kafka")
    created = kernel.create_topics(settings.kafka, settings.topic_prefix, replication_factor=replication)
    for name in created:
        out.print(f"created {name}", markup=False)
    if not created:
        out.print("all topics exist")


@app.command()
def verify() -> None:
    """Fail where a topic of facts is missing, or has other partitions or another configuration than the contract says.

    Examples:

      openitem topics verify
    """
    settings = settings_for("invoice", "kafka")
    problems = _problems(settings.kafka, list(settings.topics().values()))
    for line in problems:
        err.print(line, style="red", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    out.print(f"{len(settings.topics())} topics are as the contract says: {PARTITIONS} partitions, kept for ever")


@app.command()
def describe() -> None:
    """Show the topics of facts: partitions, how many records each holds, what they are configured to.

    Examples:

      openitem topics describe
    """
    settings = settings_for("invoice", "kafka")
    names = list(settings.topics().values())
    table = Table("topic", "partitions", "records", "fullest partition", "retention", "clean-up")
    configs = _configs(settings.kafka, names)
    for seen in kernel.describe(settings.kafka, names):
        counts = _counts(settings.kafka, seen)
        config = configs[seen.name]
        retention = "for ever" if config.get("retention.ms") == "-1" else f"{config.get('retention.ms')} ms"
        table.add_row(
            seen.name,
            str(seen.partitions),
            f"{sum(counts):,}",
            f"{max(counts, default=0):,}",
            retention,
            config.get("cleanup.policy", ""),
        )
    out.print(table)


def _problems(bootstrap: str, names: list[str]) -> list[str]:
    """What is not as the contract says, a line each."""
    found: list[str] = []
    for name in names:
        try:
            [seen] = kernel.describe(bootstrap, [name])
            kernel.check(seen)
        except kernel.TopicWrong as wrong:
            found.append(str(wrong))
            continue
        config = _configs(bootstrap, [name])[name]
        found += [
            f"topic {name} has {key}={config.get(key)} and must have {wanted}"
            for key, wanted in kernel.FACTS.items()
            if config.get(key) != wanted
        ]
    return found


def _configs(bootstrap: str, names: list[str]) -> dict[str, dict[str, str]]:
    """Every setting of each topic, whether it is the broker's or its own."""
    with closing(kernel.connect(bootstrap)) as admin:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answer = admin.describe_configs(wanted, config_filter="all")
    [by_topic] = answer.values()
    return {name: {key: str(entry["value"]) for key, entry in entries.items()} for name, entries in by_topic.items()}


def _counts(bootstrap: str, seen: kernel.Seen) -> list[int]:
    """Records per partition. Nothing is ever deleted or compacted, so offsets count them."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(seen.name, number) for number in range(seen.partitions)]
        ends, begins = consumer.end_offsets(partitions), consumer.beginning_offsets(partitions)
    return [ends[partition] - begins[partition] for partition in partitions]
