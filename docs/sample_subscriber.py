"""A subscriber to start from: keeps the cash received per branch and currency, exactly, out of `openitem.payment.v1`.

It needs kafka-python and nothing of Openitem's. Delivery is at least once, so three things are stored in one
transaction: what a fact led to, that the fact was seen, and how far each partition was read. A crash at any point loses
nothing and counts nothing twice. `seq` counts a topic's facts without holes, so it can also prove that it has them all.

    python docs/sample_subscriber.py --kafka localhost:9092 --database cash.sqlite
"""

import argparse
import json
import logging
import signal
import sqlite3
import sys
import time
from types import FrameType

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

HOLE_S_MAX = 30.0  # Partitions are read at different paces, and a publisher may restart: only an old hole is one.
POLL_MS = 500
BATCH_MAX = 500

log = logging.getLogger("subscriber")

TABLES = """
CREATE TABLE IF NOT EXISTS cash (branch TEXT, currency TEXT, minor INTEGER NOT NULL, PRIMARY KEY (branch, currency));
CREATE TABLE IF NOT EXISTS seen (event_id TEXT PRIMARY KEY, topic TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS seen_seq ON seen (topic, seq);
CREATE TABLE IF NOT EXISTS position (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
                                     PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS complete (topic TEXT PRIMARY KEY, seq INTEGER NOT NULL);
"""


def apply(database: sqlite3.Connection, kind: str, data: dict) -> None:
    """What one fact leads to. A type we do not know, or a newer version of one, is passed over."""
    if kind == "openitem.payment.received.v1":
        sign = 1
    elif kind in ("openitem.payment.reversed.v1", "openitem.payment.refunded.v1"):
        sign = -1
    else:
        return
    database.execute(
        "INSERT INTO cash VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET minor = minor + excluded.minor",
        (data["branch"], data["amount"]["currency"], sign * data["amount"]["minor"]),
    )


class Subscriber:
    """Reads every partition of one topic, from where its own database says it stopped."""

    def __init__(self, bootstrap: str, topic: str, database: sqlite3.Connection) -> None:
        self.topic = topic
        self.database = database
        self.hole_since: float | None = None
        database.executescript(TABLES)
        database.execute("INSERT OR IGNORE INTO complete VALUES (?, 0)", (topic,))
        database.commit()
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,  # One process reads all; its position is in its own database.
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BATCH_MAX,
        )
        partitions = [
            TopicPartition(topic, number) for number in sorted(self.consumer.partitions_for_topic(topic) or ())
        ]
        if not partitions:
            raise SystemExit(f"there is no topic {topic}")
        self.consumer.assign(partitions)
        stored = dict(database.execute("SELECT partition, next_offset FROM position WHERE topic = ?", (topic,)))
        self.ends: dict[TopicPartition, int] = self.consumer.end_offsets(partitions)
        for partition in partitions:
            # Beyond the end it counts in a topic that was since made anew: it starts over, and repeats do no harm.
            offset = stored.get(partition.partition, 0)
            self.consumer.seek(partition, offset if offset <= self.ends[partition] else 0)

    def step(self) -> int:
        """Read one batch and store what it leads to; answers how many facts were new."""
        new = 0
        for partition, records in self.consumer.poll(timeout_ms=POLL_MS).items():
            with self.database:  # One transaction: all of it, or none.
                new += sum(self._take(record) for record in records)
                self.database.execute(
                    "INSERT INTO position VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                    (self.topic, partition.partition, records[-1].offset + 1),
                )
        return new

    def at_end(self) -> bool:
        """Whether all that was there at the start is read."""
        return all(self.consumer.position(partition) >= end for partition, end in self.ends.items())

    def _take(self, record: ConsumerRecord) -> int:
        headers = {name: value.decode() for name, value in record.headers}
        cursor = self.database.execute(
            "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
            (headers["ce_id"], self.topic, int(headers["ce_sequence"])),
        )
        if cursor.rowcount == 0:
            return 0  # Delivered again.
        apply(self.database, headers["ce_type"], json.loads(record.value))
        return 1

    def missing(self) -> list[tuple[int, int]]:
        """The holes in `seq` below the highest seen, as (first, last); moves up the mark below which are none."""
        [(complete,)] = self.database.execute("SELECT seq FROM complete WHERE topic = ?", (self.topic,))
        holes: list[tuple[int, int]] = []
        last = complete
        above = "SELECT seq FROM seen WHERE topic = ? AND seq > ? ORDER BY seq"
        for (seq,) in self.database.execute(above, (self.topic, complete)):
            if seq > last + 1:
                holes.append((last + 1, seq - 1))
            last = seq
        with self.database:
            complete = holes[0][0] - 1 if holes else last
            self.database.execute("UPDATE complete SET seq = ? WHERE topic = ?", (complete, self.topic))
        return holes

    def warn_of_holes(self) -> None:
        """Say so when a hole stays open. Facts that are missing for long are lost on the way, or were read past."""
        if not (holes := self.missing()):
            self.hole_since = None
        elif self.hole_since is None:
            self.hole_since = time.monotonic()
        elif time.monotonic() - self.hole_since > HOLE_S_MAX:
            log.warning("missing on %s: %s; read it again with --from-start", self.topic, as_text(holes))
            self.hole_since = time.monotonic()


def as_text(holes: list[tuple[int, int]]) -> str:
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in holes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kafka", default="localhost:9092", help="host:port of any broker")
    parser.add_argument("--topic", default="openitem.payment.v1")
    parser.add_argument("--database", default="cash.sqlite", help="a file of its own")
    parser.add_argument(
        "--from-start", action="store_true", help="read the topic again; what was counted stays counted"
    )
    parser.add_argument("--to-end", action="store_true", help="stop at the end of what is there at the start")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)

    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    database = sqlite3.connect(options.database)
    subscriber = Subscriber(options.kafka, options.topic, database)
    if options.from_start:
        subscriber.consumer.seek_to_beginning()
    while not stopping and not (options.to_end and subscriber.at_end()):
        if new := subscriber.step():
            log.info("%d new facts", new)
        subscriber.warn_of_holes()
    holes = subscriber.missing()
    for branch, currency, minor in database.execute("SELECT * FROM cash ORDER BY 1, 2"):
        sys.stdout.write(f"{branch} {minor} {currency} (minor units)\n")
    [(complete,)] = database.execute("SELECT seq FROM complete WHERE topic = ?", (options.topic,))
    sys.stdout.write(f"complete up to {complete}" + (f", missing {as_text(holes)}" if holes else "") + "\n")
    subscriber.consumer.close()
    database.close()
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
