"""Bad inputs: what must never stop a partition, each between two good events, by Confluent's client.

Everything goes to one partition of one topic, in order. What was sent is written to a file, one JSON object a
line: its name, where it lies, its key, value and number of headers.
"""

import argparse
import base64
import json
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

DAY = 86_400_000


def long(value):
    """Zigzag, as Avro writes a whole number."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def text(value):
    return long(len(value.encode())) + value.encode()


def framed(schema_id, body):
    return b"\0" + schema_id.to_bytes(4, "big") + body


class Sender:
    def __init__(self, asked):
        self.topic = f"{asked.prefix}xecm.events"
        settings = {"auto.register.schemas": False, "use.latest.version": True}
        registry = SchemaRegistryClient({"url": asked.registry})
        self.own_id = registry.get_latest_version(f"{self.topic}-value").schema_id
        self.write = AvroSerializer(registry, conf=settings)
        self.plain = {"bootstrap.servers": asked.brokers, "message.max.bytes": 20_000_000, "compression.type": "none"}
        self.producer = Producer(dict(self.plain, **{"enable.idempotence": True}))
        self.squeezing = Producer(dict(self.plain, **{"enable.idempotence": True, "compression.type": "zstd"}))
        self.sent = []
        self.number = 0
        admin = AdminClient({"bootstrap.servers": asked.brokers})
        # A cluster may let any time through; older ones do by default.
        after = ConfigEntry("message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET)
        change = admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=[after])])
        for future in change.values():
            future.result()

    def event(self, **more):
        self.number += 1
        name = f"xecm-{self.number:06}"
        event = {
            "event_id": name, "source": "xecm", "tenant": "acme", "kind": "xecm.task.assigned", "schema": 1,
            "occurred_at": int(time.time() * 1000), "entity": {"type": "task", "id": name}, "severity": "medium",
            "node": {"id": name, "name": f"Node acme/{name}"},
            "data": ("com.opentext.bugle.xecm.Task", {
                "process_id": name, "subprocess_id": "1", "task_id": name, "task_name": "Review",
                "assignees": [{"user_id": "ada"}], "initiator": "bob"}),
        }
        event.update(more)
        return f"acme/{name}", self.write(event, SerializationContext(self.topic, MessageField.VALUE))

    def send(self, name, value, key=b"k", producer=None, said=None, **more):
        def reported(error, message):
            if error is not None:
                raise SystemExit(f"{name}: {error}")
            self.sent.append({
                "name": name, "said": said, "partition": message.partition(), "offset": message.offset(),
                "key": None if key is None else base64.b64encode(key).decode(),
                "value": None if value is None else base64.b64encode(value).decode(),
                "headers": len(more.get("headers", []))})
        producer = producer or self.producer
        producer.produce(self.topic, key=key, value=value, partition=0, on_delivery=reported, **more)
        producer.flush()

    def good(self, name="good", **more):
        said, value = self.event()
        self.send(name, value, said=said, **more)

    def bad(self, name, value, **more):
        self.send(name, value, **more)
        self.good()


def start():
    """An event's first fields, to `entity`."""
    return b"".join([text("bad-1"), text("xecm"), text("acme"), text("xecm.task.assigned"), long(1)])


def entity(observed=b"\0"):
    return start() + long(0) + observed + text("task") + text("4711") + b"\0\0\0" + b"\0\0\0"


def values(sender):
    """The numbers of the list stand before their inputs."""
    _, whole = sender.event()
    own = sender.own_id
    yield "1 empty value", b""
    yield "2 null value", None
    yield "4 one byte", b"\0"
    yield "5 wrong magic byte", b"\x07" + whole[1:]
    yield "8 gzip", b"\x1f\x8b\x08" + b"\0" * 1_000
    yield "8 zstd", b"\x28\xb5\x2f\xfd" + b"\0" * 1_000
    yield "8 lz4", b"\x04\x22\x4d\x18" + b"\0" * 1_000
    yield "8 snappy", b"\xff\x06\0\0sNaPpY" + b"\0" * 1_000
    yield "11 unknown schema id", framed(2_000_000_000, whole[5:])
    yield "12 the registry says 404", framed(900_404, whole[5:])
    yield "12 the registry says 500, then 404", framed(900_500, whole[5:])
    yield "12 the registry says HTML, then 404", framed(900_600, whole[5:])
    yield "12 the id is another schema's", framed(900_700, whole[5:])
    yield "14 trailing bytes", whole + b"\0"
    yield "16 arrays a thousand deep", framed(900_016, whole[5:] + b"\0")
    yield "17 records a hundred thousand deep", framed(900_017, whole[5:] + b"\2" * 100_000 + b"\0")
    yield "18 a text of i64::MAX bytes", framed(own, long(2**63 - 1))
    yield "18 a text of a negative length", framed(own, long(-1))
    yield "19 a block of another size", framed(own, entity() + long(0) + long(1) + long(-1) + long(9) + text("ada") + b"\0" * 20)
    yield "15 ten million items", framed(own, entity() + long(0) + long(1) + long(10_000_000))
    yield "20 a union's branch", framed(own, start() + long(0) + long(2))
    yield "20 a symbol", framed(own, entity() + long(9))
    yield "21 invalid UTF-8", framed(own, long(5) + b"\xff\xff\xff\xff\xff" + whole[20:])
    yield "10 an event in the year 10000", sender.event(occurred_at=253_402_300_800_000)[1]
    yield "10 an event before 1970", sender.event(occurred_at=-1)[1]
    yield "13 cut at the frame", whole[:5]
    for end in range(6, len(whole), 7):
        yield "13 cut", whole[:end]


def send_copies(sender):
    """What was heard before those odd times is still known, and so is what was heard at them."""
    for name in ("good", "10 written 1970", "10 written 9999"):
        first = next(sent for sent in sender.sent if sent["name"] == name)
        at = {"timestamp": 1} if name == "10 written 1970" else {}
        sender.send("a copy", base64.b64decode(first["value"]), **at)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--copies", action="store_true", help="send only copies of what the file says was sent")
    asked = parser.parse_args()
    sender = Sender(asked)
    if asked.copies:
        with open(asked.out, encoding="utf-8") as file:
            sender.sent = [json.loads(line) for line in file]
        send_copies(sender)
    else:
        send_all(sender, asked.prefix)
    with open(asked.out, "w", encoding="utf-8") as out:
        for sent in sender.sent:
            out.write(json.dumps(sent) + "\n")


def send_all(sender, prefix):
    sender.good()
    for name, value in values(sender):
        sender.bad(name, value)
    sender.bad("3 null key", b"\x07", key=None)
    sender.good("3 null key, good", key=None)
    many = [(f"h{at}", b"x" * 20) for at in range(500)]
    sender.bad("7 five hundred headers", b"\x07", headers=many)
    sender.good("7 five hundred headers, good", headers=many)
    sender.bad("7 names twice", b"\x07", headers=[("a", b"1"), ("a", None), ("a", b"2"), ("__bugle.errors.code", b"mine")])
    sender.bad("7 a large header", b"\x07", headers=[("large", b"x" * 1_040_000)])
    sender.good("7 a large header, good", headers=[("large", b"x" * 1_040_000)])
    sender.bad("8 eight mebibytes squeezed", b"\0" * (8 << 20), producer=sender.squeezing)
    sender.bad("8 a million and one bytes", b"\x07" * 1_000_001)
    # Millions of null items in a few bytes are right by the writer's schema: they are skipped, unread.
    _, whole = sender.event()
    sender.send("15 ten million nulls", framed(900_015, whole[5:] + long(10_000_000) + b"\0"))
    for name, at in (("1970", 1), ("9999", 253_402_300_799_000), ("negative", -5_000), ("tomorrow", int(time.time() * 1000) + DAY)):
        sender.good(f"10 written {name}", timestamp=at)
    undecided = Producer(dict(sender.plain, **{"transactional.id": f"{prefix}undecided"}))
    undecided.init_transactions()
    undecided.begin_transaction()
    undecided.produce(sender.topic, key=b"k", value=sender.event()[1], partition=0)
    undecided.produce(sender.topic, key=b"k", value=b"\x07 never", partition=0)
    undecided.flush()
    undecided.abort_transaction()
    sender.good("9 behind an aborted transaction")


main()
