"""The AsyncAPI 3.0 document: which topics there are, what is published on each, and how a record looks.

Source   AsyncAPI 3.0.0, Kafka bindings 0.5.0, CloudEvents 1.0.2 Kafka protocol binding.
"""

from __future__ import annotations

from typing import Any, Final

from events.compatibility import Schema
from events.registry import PREFIX, split_wire
from events.topics import CONFIG, PARTITIONS, SERVICES, topic_of

_BINDING: Final = "0.5.0"
_OWNS: Final = {
    "invoice": "Branches, customer accounts, jobs, invoices, credit notes and retainage.",
    "payment": "Receipts, their application, and the open items they settle.",
    "contact": "Attempts, promises to pay, disputes and follow-ups.",
    "escalation": "Delinquency steps, account holds, agency placements and write-offs.",
}
_UUID: Final = {"type": "string", "format": "uuid"}
_COUNT: Final = {"type": "string", "pattern": "^[1-9][0-9]*$"}


def document(published: dict[str, Schema]) -> dict[str, Any]:
    """The document over all published schemas, by wire name: topics keep facts of earlier versions for ever."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Openitem facts",
            "version": "1.0.0",
            "description": (
                "Accounts receivable and collections as facts. One topic per publishing service, one JSON object per"
                " record, CloudEvents 1.0 attributes in the headers. Delivery is at least once: drop what has an id you"
                " have seen. Facts of one stream arrive in order; ce_sequence has no holes within a topic."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The Kafka that the services publish to.",
                "variables": {
                    "bootstrap": {"default": "localhost:9092", "description": "host:port of any broker."},
                },
            }
        },
        "channels": {service: _channel(service, published) for service in SERVICES},
        "operations": {
            f"publish-{service}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{service}"},
                "summary": f"The {service} service publishes what it recorded.",
            }
            for service in SERVICES
        },
        "components": {
            "messages": {wire: _message(wire, schema) for wire, schema in published.items()},
            "messageTraits": {"cloudevent": _trait()},
            "schemas": {"cloudevent": _headers()},
        },
    }


def _channel(service: str, published: dict[str, Schema]) -> dict[str, Any]:
    return {
        "address": topic_of(service),
        "description": _OWNS[service],
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            wire: {"$ref": f"#/components/messages/{wire}"}
            for wire in published
            if split_wire(wire)[0].partition(".")[0] == service
        },
        "bindings": {
            "kafka": {
                "topic": topic_of(service),
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": [CONFIG["cleanup.policy"]],
                    "retention.ms": int(CONFIG["retention.ms"]),
                    "retention.bytes": int(CONFIG["retention.bytes"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(wire: str, schema: Schema) -> dict[str, Any]:
    summary, _, rest = schema["description"].partition("\n\n")
    return {
        "name": wire,
        "title": schema["title"],
        "summary": " ".join(summary.split()),
        **({"description": rest} if rest else {}),
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"$ref": f"./schemas/{wire}.json"},
    }


def _trait() -> dict[str, Any]:
    return {
        "headers": {"$ref": "#/components/schemas/cloudevent"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The stream, as in ce_subject."},
                "bindingVersion": _BINDING,
            }
        },
    }


def _headers() -> Schema:
    """The Kafka headers of a record. All are UTF-8 text."""
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode: attributes are headers, the value is the data.",
        "properties": {
            "content-type": {"const": "application/json"},
            "ce_specversion": {"const": "1.0"},
            "ce_id": {**_UUID, "description": "Of the fact, not of the delivery: a repeat has the same."},
            "ce_source": {"type": "string", "pattern": f"^/{PREFIX}/[a-z]+$", "description": "Who published it."},
            "ce_type": {"type": "string", "description": "Wire name and version, as the message is named here."},
            "ce_time": {"type": "string", "format": "date-time", "description": "When it was recorded, in UTC."},
            "ce_subject": {"type": "string", "description": "The stream it belongs to: invoice-<uuid>."},
            "ce_partitionkey": {"type": "string", "description": "The key of the record: the stream."},
            "ce_sequence": {**_COUNT, "description": "Counts all facts of the service: 1, 2, 3, without holes."},
            "ce_streamversion": {**_COUNT, "description": "Counts the facts of the stream: 1, 2, 3, without holes."},
            "ce_correlationid": {"type": "string", "description": "The request that it all began with."},
            "ce_causationid": {"type": "string", "description": "The fact that caused this one, where one did."},
            "ce_actor": {"type": "string", "description": "Who did it: the subject of his token, or a service."},
            "ce_branch": {"type": "string", "description": "The branch whose people may see it."},
            "traceparent": {"type": "string", "description": "W3C trace context, where the request had one."},
        },
        "required": [
            "content-type",
            "ce_specversion",
            "ce_id",
            "ce_source",
            "ce_type",
            "ce_time",
            "ce_subject",
            "ce_partitionkey",
            "ce_sequence",
            "ce_streamversion",
            "ce_correlationid",
            "ce_actor",
            "ce_branch",
        ],
    }
