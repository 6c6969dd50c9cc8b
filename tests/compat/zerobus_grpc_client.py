"""Record mode over grpcio: zerobus_grpc_client.py GRPC HTTP PROTO FOLDER PART TOKEN.

Builds the service's classes with protoc into FOLDER, runs one part, prints a JSON object a step.
"""

import importlib
import json
import sys
import urllib.request
from pathlib import Path

import grpc
import grpc_tools.protoc
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2

TABLE = "main.web.events"
Field = descriptor_pb2.FieldDescriptorProto
OPTIONAL, REQUIRED, REPEATED = (Field.LABEL_OPTIONAL, Field.LABEL_REQUIRED, Field.LABEL_REPEATED)


def say(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def build(proto, folder):
    folder.mkdir(parents=True)
    include = Path(grpc_tools.__file__).parent / "_proto"
    assert grpc_tools.protoc.main(["", f"-I{proto.parent}", f"-I{include}",
                                   f"--python_out={folder}", str(proto)]) == 0
    sys.path.insert(0, str(folder))
    return importlib.import_module("zerobus_pb2")


def descriptor(*changes):
    fields = {"id": (1, Field.TYPE_INT64, REQUIRED), "name": (2, Field.TYPE_STRING, OPTIONAL),
              "price": (3, Field.TYPE_STRING, OPTIONAL), "tags": (4, Field.TYPE_STRING, REPEATED)}
    for name, facts in changes:
        fields[name] = facts
    proto = descriptor_pb2.DescriptorProto(name="Row")
    for name, facts in fields.items():
        if facts is None:
            continue
        number, kind, label = facts[:3]
        field = proto.field.add(name=name, number=number, type=kind, label=label)
        if len(facts) > 3:
            field.type_name = facts[3]
    return proto.SerializeToString()


class Client:
    def __init__(self, pb, grpc_url, http_url, token):
        self.pb = pb
        self.http_url = http_url
        self.target = grpc_url.split("//")[1]
        self.metadata = (("authorization", "Bearer " + token),
                         ("x-databricks-zerobus-table-name", TABLE))

    def script(self, **script):
        request = urllib.request.Request(self.http_url + "/control/script", method="PUT",
                                         data=json.dumps(script).encode())
        urllib.request.urlopen(request, timeout=10).read()

    def counters(self):
        return json.load(urllib.request.urlopen(self.http_url + "/control/counters"))["all"]

    def create(self, **values):
        values = {"table_name": TABLE, "record_type": self.pb.PROTO,
                  "descriptor_proto": descriptor(), **values}
        values = {name: value for name, value in values.items() if value is not None}
        return self.pb.EphemeralStreamRequest(
            create_stream=self.pb.CreateIngestStreamRequest(**values))

    def record(self, offset, record):
        kind = "json_record" if isinstance(record, str) else "proto_encoded_record"
        return self.pb.EphemeralStreamRequest(
            ingest_record=self.pb.IngestRecordRequest(offset_id=offset, **{kind: record}))

    def run(self, *requests, metadata=None):
        """(status name, text, replies, error) of a call that sends all and half-closes."""
        with grpc.insecure_channel(self.target) as channel:
            method = channel.stream_stream(
                "/databricks.zerobus.Zerobus/EphemeralStream",
                request_serializer=self.pb.EphemeralStreamRequest.SerializeToString,
                response_deserializer=self.pb.EphemeralStreamResponse.FromString)
            call = method(iter(requests), timeout=20,
                          metadata=self.metadata if metadata is None else metadata)
            replies = []
            try:
                replies.extend(call)
                return "OK", "", replies, None
            except grpc.RpcError as error:
                return error.code().name, error.details(), replies, error


def expect(step, got, status, text=""):
    assert got[0] == status and text in got[1], (step, got)
    say(step)


def opening(c):
    got = c.run(c.create())
    assert got[0] == "OK" and got[2][0].create_stream_response.stream_id, got
    say("good")
    expect("no_record_type", c.run(c.create(record_type=None)), "INVALID_ARGUMENT", "record_type")
    expect("avro", c.run(c.create(record_type=c.pb.AVRO)), "UNIMPLEMENTED")
    expect("other_table", c.run(c.create(table_name="a.b.c")), "INVALID_ARGUMENT", "a.b.c")
    expect("no_descriptor", c.run(c.create(descriptor_proto=None)), "INVALID_ARGUMENT")
    expect("not_create", c.run(c.record(0, b"")), "INVALID_ARGUMENT", "create_stream")
    expect("empty", c.run(), "INVALID_ARGUMENT", "before its first message")
    outside = ("at", (5, Field.TYPE_MESSAGE, OPTIONAL, ".google.protobuf.Timestamp"))
    for name, change, text in [
            ("not_self_contained", outside, "4033"),
            ("missing_required", ("id", None), "NOT NULL column id"),
            ("label", ("id", (1, Field.TYPE_INT64, OPTIONAL)), "must be required"),
            ("type", ("id", (1, Field.TYPE_INT32, REQUIRED)), "id is int32"),
            ("unknown_column", ("more", (9, Field.TYPE_BOOL, OPTIONAL)), "more is not in the table")]:
        expect(name, c.run(c.create(descriptor_proto=descriptor(change))), "INVALID_ARGUMENT", text)
    expect("no_metadata", c.run(c.create(), metadata=()), "INVALID_ARGUMENT", "table-name")
    expect("no_token", c.run(c.create(), metadata=c.metadata[1:]), "UNAUTHENTICATED")
    assert c.counters()["refused_opens"] == 13, c.counters()


def rows(c):
    good = b"\x08\x07"
    got = c.run(c.create(), c.record(0, good), c.record(1, good))
    acks = [r.ingest_record_response.durability_ack_up_to_offset for r in got[2][1:]]
    assert got[0] == "OK" and acks[-1] == 1, got
    say("good")
    batch = c.pb.EphemeralStreamRequest(ingest_record_batch=c.pb.IngestRecordBatchRequest(
        offset_id=0, proto_encoded_batch=c.pb.ProtoEncodedRecordBatch(
            records=[good, good, b"\x12\x01x"])))
    expect("required", c.run(c.create(), batch), "INVALID_ARGUMENT", "row 2")
    empty = c.pb.EphemeralStreamRequest(ingest_record_batch=c.pb.IngestRecordBatchRequest(
        offset_id=0, proto_encoded_batch=c.pb.ProtoEncodedRecordBatch()))
    expect("empty", c.run(c.create(), empty), "INVALID_ARGUMENT", "no record")
    expect("utf8", c.run(c.create(), c.record(0, good + b"\x12\x01\xff")), "INVALID_ARGUMENT", "name")
    expect("decimal", c.run(c.create(), c.record(0, good + b"\x1a\x031e3")), "INVALID_ARGUMENT",
           "price")
    expect("other_type", c.run(c.create(), c.record(0, "{}")), "INVALID_ARGUMENT", "created for")
    expect("offset", c.run(c.create(), c.record(1, good)), "INVALID_ARGUMENT", "expected 0")
    json_stream = c.create(record_type=c.pb.JSON, descriptor_proto=None)
    assert c.run(json_stream, c.record(0, '{"id": 1}'))[0] == "OK"
    expect("json", c.run(json_stream, c.record(0, '{"id": 1e3}')), "INVALID_ARGUMENT", "id")
    c.script(statuses={"row": "OUT_OF_RANGE"})
    expect("scripted", c.run(json_stream, c.record(0, "{}")), "OUT_OF_RANGE")
    assert c.counters()["logged_requests"] == 3, c.counters()


def faults(c):
    good = b"\x08\x07"
    requests = [c.create()] + [c.record(i, good) for i in range(4)]
    for point in ("before_headers", "after_headers", "before_create_reply", "after_open",
                  "before_log", "after_log", "after_acks"):
        for action, code in [({"type": "status", "code": "ABORTED", "message": "m"}, "ABORTED"),
                             ({"type": "ok"}, "OK"),
                             ({"type": "reset_stream", "http2_code": 7}, "UNAVAILABLE"),
                             ({"type": "tcp_close"}, "UNAVAILABLE"),
                             ({"type": "tcp_reset"}, "UNAVAILABLE")]:
            c.script(acks={"every": 1}, faults=[{"point": point, "action": action}])
            got = c.run(*requests)
            assert got[0] == code, (point, action, got)
        say(point)
    c.script(acks={"every": 1}, faults=[{"point": "mid_frame", "at": 2,
                                         "action": {"type": "tcp_close"}}])
    got = c.run(*requests)
    # What arrived right before the break may be dropped with it; the torn frame is no message.
    assert got[0] == "UNAVAILABLE" and 1 <= len(got[2]) <= 2, got
    say("mid_frame")
    c.script(faults=[{"point": "after_open", "action": {"type": "unexpected_message"}}])
    assert [r.WhichOneof("payload") for r in c.run(c.create())[2]] == ["create_stream_response"] * 2
    say("unexpected_message")


def details(c):
    c.script(faults=[{"point": "after_open", "action": {
        "type": "status", "code": "INVALID_ARGUMENT", "message": "no", "reason": "SOME_REASON",
        "metadata": {"k": "v"}}}])
    error = c.run(c.create())[3]
    trailer = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(trailer)
    info = error_details_pb2.ErrorInfo()
    assert (status.code, status.message) == (3, "no") and status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "SOME_REASON", "zerobus.databricks.com", {"k": "v"})
    say("details")


if __name__ == "__main__":
    grpc_url, http_url, proto, folder, part, token = sys.argv[1:]
    client = Client(build(Path(proto), Path(folder)), grpc_url, http_url, token)
    globals()[part](client)
    say("end", passed=True)
