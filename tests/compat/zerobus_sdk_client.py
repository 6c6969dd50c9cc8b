"""The official Zerobus SDK against an emulator: zerobus_sdk_client.py GRPC HTTP TABLE ID SECRET.

Prints one JSON object a step; test_zerobus_sdk.py judges them.
"""

import asyncio
import json
import sys

import pyarrow as pa
import zerobus
import zerobus.sdk.aio as aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto


def say(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def options(record_type, callback=None):
    return zerobus.StreamConfigurationOptions(
        record_type=record_type, recovery_timeout_ms=5000, recovery_backoff_ms=20,
        server_lack_of_ack_timeout_ms=5000, flush_timeout_ms=20000, ack_callback=callback)


def event_class():
    """A message as protoc would make it: in a package, with a nested message."""
    place = descriptor_pb2.DescriptorProto(name="Place")
    place.field.add(name="city", number=1, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    place.field.add(name="floor", number=2, type=Field.TYPE_INT32, label=Field.LABEL_REQUIRED)
    event = descriptor_pb2.DescriptorProto(name="Event", nested_type=[place])
    event.field.add(name="id", number=1, type=Field.TYPE_INT64, label=Field.LABEL_REQUIRED)
    event.field.add(name="name", number=2, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    event.field.add(name="price", number=3, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    event.field.add(name="tags", number=4, type=Field.TYPE_STRING, label=Field.LABEL_REPEATED)
    event.field.add(name="place", number=6, type=Field.TYPE_MESSAGE, label=Field.LABEL_OPTIONAL,
                    type_name=".shop.Event.Place")
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", syntax="proto2", package="shop",
                                              message_type=[event])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Event"))


class Acks(zerobus.AckCallback):
    def __init__(self):
        super().__init__()
        self.offsets = []
        self.errors = []

    def on_ack(self, offset):
        self.offsets.append(offset)

    def on_error(self, offset, error_message):
        self.errors.append(error_message)


class Runs:
    def __init__(self, grpc, http, table, client_id, secret):
        self.sdk = zerobus.ZerobusSdk(grpc, http)
        self.async_sdk = aio.ZerobusSdk(grpc, http)
        self.table = table
        self.client = (client_id, secret)

    def json(self):
        acks = Acks()
        stream = self.sdk.create_stream(*self.client, zerobus.TableProperties(self.table),
                                        options(zerobus.RecordType.JSON, acks))
        first = stream.ingest_record_offset('{"id": 1, "name": "one", "price": "1.25"}')
        stream.wait_for_offset(first)
        second = stream.ingest_records_offset(
            [json.dumps({"id": i, "tags": ["a", "b"]}) for i in range(2, 5)])
        stream.flush()
        stream.close()
        say("json", offsets=[first, second], acks=acks.offsets, errors=acks.errors)

    def proto(self):
        event = event_class()
        stream = self.sdk.create_stream(
            *self.client, zerobus.TableProperties(self.table, event.DESCRIPTOR),
            options(zerobus.RecordType.PROTO))
        row = event(id=11, name="é", price="-2.50", tags=["x"])
        row.place.floor = -3
        stream.ingest_record_offset(row.SerializeToString())
        last = stream.ingest_records_offset(
            [event(id=i).SerializeToString() for i in range(12, 15)])
        stream.wait_for_offset(last)
        stream.close()
        say("proto", last=last)

    def arrow(self):
        schema = pa.schema([pa.field("id", pa.int64(), False), ("name", pa.large_utf8()),
                            ("price", pa.large_utf8()), ("tags", pa.list_(pa.large_utf8())),
                            ("at", pa.timestamp("us", "UTC"))])
        stream = self.sdk.create_arrow_stream(self.table, schema, *self.client)
        rows = [{"id": i, "name": "n", "price": "3.00", "tags": ["t"], "at": None}
                for i in range(21, 27)]
        batches = pa.Table.from_pylist(rows, schema).to_batches(max_chunksize=2)
        offsets = [stream.ingest_batch(batch) for batch in batches]
        stream.wait_for_offset(offsets[-1])
        stream.flush()
        stream.close()
        say("arrow", offsets=offsets)

    def arrow_refused(self):
        schema = pa.schema([("id", pa.int32()), ("nothing", pa.large_utf8())])
        try:
            self.sdk.create_arrow_stream(self.table, schema, *self.client)
            say("arrow_refused", error=None)
        except zerobus.NonRetriableException as error:
            say("arrow_refused", error=str(error))

    def row_refused(self):
        stream = self.sdk.create_stream(*self.client, zerobus.TableProperties(self.table),
                                        options(zerobus.RecordType.JSON))
        try:
            stream.ingest_record_offset('{"name": "no id"}')
            stream.flush()
            say("row_refused", error=None)
        except zerobus.NonRetriableException as error:
            say("row_refused", error=str(error))

    def wrong_secret(self):
        try:
            self.sdk.create_stream(self.client[0], "wrong", zerobus.TableProperties(self.table),
                                   options(zerobus.RecordType.JSON))
            say("wrong_secret", error=None)
        except zerobus.ZerobusException as error:
            say("wrong_secret", error=str(error))

    def asynchronous(self):
        async def run():
            stream = await self.async_sdk.create_stream(
                *self.client, zerobus.TableProperties(self.table),
                options(zerobus.RecordType.JSON))
            for i in range(31, 35):
                await stream.ingest_record_offset(json.dumps({"id": i}))
            await stream.flush()
            await stream.close()

        asyncio.run(run())
        say("asynchronous")

    def recovery(self):
        """The test has the first connection reset behind the log: rows come again."""
        stream = self.sdk.create_stream(*self.client, zerobus.TableProperties(self.table),
                                        options(zerobus.RecordType.JSON))
        for i in range(41, 51):
            stream.ingest_record_offset(json.dumps({"id": i}))
        stream.flush()
        stream.close()
        say("recovery")

    def rotation(self):
        """The test has the connection rotated after some requests."""
        stream = self.sdk.create_stream(*self.client, zerobus.TableProperties(self.table),
                                        options(zerobus.RecordType.JSON))
        for i in range(61, 81):
            stream.wait_for_offset(stream.ingest_record_offset(json.dumps({"id": i})))
        stream.close()
        say("rotation")


if __name__ == "__main__":
    runs = Runs(*sys.argv[1:6])
    for name in sys.argv[6:]:
        getattr(runs, name)()
