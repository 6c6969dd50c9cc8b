"""The Zerobus emulator as Arrow's own Flight client and plain HTTP see it."""

import contextlib
import json
import urllib.parse

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import poll_until, run_cli
from zerobus_testing import COLUMNS, TABLE, Emulator, column

SCHEMA = pa.schema([
    pa.field("id", pa.int64(), nullable=False), ("name", pa.large_utf8()),
    ("price", pa.large_utf8()), ("tags", pa.list_(pa.large_utf8())),
    ("at", pa.timestamp("us", "UTC")),
    ("place", pa.struct([("city", pa.large_utf8()), pa.field("floor", pa.int16(), nullable=False)]))])


def rows(first, count, **values):
    row = {"name": "n", "price": "1.50", "tags": ["a", None], "at": 1,
           "place": {"city": None, "floor": 2}, **values}
    table = pa.Table.from_pylist([{"id": first + i, **row} for i in range(count)], SCHEMA)
    return table.to_batches()[0]


class Put:
    """One DoPut call; every wait is bounded by the call's deadline."""

    def __init__(self, emulator, schema=SCHEMA, table=TABLE, metadata=None, seconds=20,
                 ipc_options=None):
        headers = emulator.metadata(table) if metadata is None else metadata
        self.client = flight.connect(emulator.grpc_url.replace("http", "grpc"))
        options = flight.FlightCallOptions(
            timeout=seconds, write_options=ipc_options,
            headers=[(name.encode(), value.encode()) for name, value in headers])
        self.writer, self.reader = self.client.do_put(
            flight.FlightDescriptor.for_command(b""), schema, options)

    def read(self):
        """The next PutResult as an object; None at a good end, the call's error at another."""
        message = self.reader.read()
        if message is None or message.size == 0:
            self.writer.close()
            return None
        return json.loads(message.to_pybytes())

    def send(self, batch, offset):
        """A write that fails says less than the status that ended the call: read that."""
        with contextlib.suppress(pa.ArrowException, flight.FlightError):
            self.writer.write_with_metadata(batch, json.dumps({"offset_id": offset}).encode())

    def read_acks(self, up_to_rows):
        acks = []
        while not acks or acks[-1]["ack_up_to_records"] < up_to_rows:
            acks.append(self.read())
        return acks

    def end(self):
        """Half-closes; what the service still sends."""
        self.writer.done_writing()
        return list(iter(self.read, None))


READY = {"ack_up_to_offset": -1, "ack_up_to_records": 0}


@pytest.fixture
def emulator(tmp_path):
    with Emulator(tmp_path / "emulator", "--seed", "7") as running:
        yield running


def test_batches_are_logged_and_acknowledged(emulator):
    put = Put(emulator)
    assert put.read() == READY
    for offset in range(3):
        put.send(rows(offset * 10, 10), offset)
        assert put.read_acks((offset + 1) * 10)[-1] == {
            "ack_up_to_offset": offset, "ack_up_to_records": (offset + 1) * 10}
        assert len(emulator.ids()) == (offset + 1) * 10, "logged before it is acknowledged"
    assert put.end() == []
    assert emulator.ids() == list(range(30))
    counters = emulator.counters(TABLE)
    assert counters["rows"] == 30 and counters["half_closes"] == 1 and counters["server_ends"] == 0


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_bodies(emulator, codec):
    put = Put(emulator, ipc_options=pa.ipc.IpcWriteOptions(compression=codec))
    assert put.read() == READY
    put.send(rows(0, 1000), 0)
    assert put.end()[-1]["ack_up_to_records"] == 1000


def test_everything_goes_through_either_port(emulator):
    emulator.ready = {"grpc": emulator.ready["http"], "http": emulator.ready["grpc"]}
    assert Put(emulator).read() == READY


# Refusals.

# The causes' names travel in the status details, which this client does not show: they are
# judged in tests/compat.
SCHEMAS = [
    SCHEMA.append(pa.field("more", pa.int32())),
    SCHEMA.remove(0),
    SCHEMA.set(1, pa.field("name", pa.utf8())),
    SCHEMA.set(2, pa.field("price", pa.decimal128(10, 2))),
    SCHEMA.set(1, pa.field("name", pa.dictionary(pa.int32(), pa.large_utf8()))),
    pa.schema([SCHEMA.field(1), SCHEMA.field(0)]),
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_that_does_not_fit_is_refused(emulator, schema):
    put = Put(emulator, schema)
    with pytest.raises(pa.ArrowInvalid, match="does not fit the table"):
        put.read()
    assert emulator.counters()["refused_opens"] == 1


def test_nullable_columns_may_be_left_out_and_near_types_can_be_allowed(emulator):
    assert Put(emulator, pa.schema([SCHEMA.field("id"), SCHEMA.field("at")])).read() == READY
    emulator.script(flight={"near_types": True, "reordered": True})
    assert Put(emulator, pa.schema([("name", pa.utf8()), ("id", pa.int64())])).read() == READY


def test_opens_are_refused_by_the_metadata(emulator):
    token = emulator.token()
    table_header = ("x-databricks-zerobus-table-name", TABLE)
    other = ("x-databricks-zerobus-table-name", "main.web.nothing")
    cases = [
        ([table_header], flight.FlightUnauthenticatedError),
        ([("authorization", "Bearer zbe-guess"), table_header], flight.FlightUnauthenticatedError),
        ([("authorization", "Bearer " + token), other], flight.FlightUnauthorizedError),
        ([("authorization", "Bearer " + emulator.token("main.web.nothing")), other], KeyError),
        ([("authorization", "Bearer " + token)], pa.ArrowInvalid),
    ]
    for metadata, error in cases:
        with pytest.raises(error):
            Put(emulator, metadata=metadata).read()
    assert emulator.counters()["opened"] == 0


def test_messages_must_carry_the_next_offset(emulator):
    for metadata in (b"", b"{}", b'{"offset_id": 1}', b'{"offset_id": "0"}', b"[0]"):
        put = Put(emulator)
        assert put.read() == READY
        if metadata:
            put.writer.write_with_metadata(rows(0, 1), metadata)
        else:
            put.writer.write_batch(rows(0, 1))
        with pytest.raises(pa.ArrowInvalid, match="offset_id"):
            put.read()
    assert emulator.rows() == []


def test_values_are_checked(emulator):
    for bad in ({"price": "1e3"}, {"price": "123456789.00"}, {"name": None, "price": "1.505"}):
        put = Put(emulator)
        assert put.read() == READY
        put.send(rows(0, 5, **bad), 0)
        with pytest.raises(pa.ArrowInvalid, match="price"):
            put.read()
    assert emulator.rows() == []


# Acknowledgements, faults, rotation.


def test_acks_end_inside_a_batch(emulator):
    emulator.script(acks={"rows": 30, "idle_ms": 20})
    put = Put(emulator)
    assert put.read() == READY
    put.send(rows(0, 100), 0)
    acks = put.read_acks(100)
    assert [ack["ack_up_to_records"] for ack in acks] == [30, 60, 90, 100]
    assert [ack["ack_up_to_offset"] for ack in acks] == [-1, -1, -1, 0]


def fault(point, action, **more):
    return [{"connection": 1, "point": point, "action": action, **more}]


TRANSPORT = [
    ({"type": "reset_stream", "http2_code": 2}, Exception),
    ({"type": "tcp_close"}, flight.FlightUnavailableError),
    ({"type": "tcp_reset"}, flight.FlightUnavailableError),
    ({"type": "status", "code": "UNAVAILABLE", "message": "away"}, flight.FlightUnavailableError),
    ({"type": "status", "code": "UNAUTHENTICATED"}, flight.FlightUnauthenticatedError),
]


@pytest.mark.parametrize("action, error", TRANSPORT)
@pytest.mark.parametrize("point", ["before_headers", "after_headers", "before_create_reply"])
def test_an_open_breaks_at_its_point_and_the_next_one_works(emulator, point, action, error):
    emulator.script(faults=fault(point, action))
    with pytest.raises(error):
        Put(emulator).read()
    assert Put(emulator).read() == READY


@pytest.mark.parametrize("action, error", TRANSPORT)
@pytest.mark.parametrize("point, logged", [("before_log", 2), ("after_log", 3)])
def test_a_request_breaks_before_or_behind_the_log(emulator, point, logged, action, error):
    emulator.script(faults=fault(point, action, at=2), acks={"every": 1})
    put = Put(emulator)
    assert put.read() == READY
    with pytest.raises(error):
        for offset in range(3):
            put.send(rows(offset, 1), offset)
            put.read()
    poll_until(lambda: len(emulator.rows()) == logged, what="the log")
    assert Put(emulator).read() == READY


@pytest.mark.parametrize("kind", ["tcp_close", "tcp_reset"])
def test_a_frame_is_torn(emulator, kind):
    emulator.script(faults=fault("mid_frame", {"type": kind}, at=2), acks={"every": 1})
    put = Put(emulator)
    assert put.read() == READY
    put.send(rows(0, 1), 0)
    assert put.read()["ack_up_to_records"] == 1
    put.send(rows(1, 1), 1)
    with pytest.raises(flight.FlightUnavailableError):
        put.read()
    assert len(emulator.rows()) == 2


@pytest.mark.parametrize("kind", ["silence", "freeze"])
def test_a_silent_or_frozen_service_answers_nothing(emulator, kind):
    emulator.script(faults=fault("before_log", {"type": kind}, at=1))
    put = Put(emulator, seconds=1.0)
    assert put.read() == READY
    put.send(rows(0, 1), 0)
    assert put.read()["ack_up_to_records"] == 1
    put.send(rows(1, 1), 1)
    with pytest.raises(flight.FlightTimedOutError):
        put.read()
    assert len(emulator.rows()) == 1
    assert Put(emulator).read() == READY, "other connections are served"


def test_goaway_lets_open_calls_go_on(emulator):
    emulator.script(faults=fault("after_open", {"type": "goaway"}))
    put = Put(emulator)
    assert put.read() == READY
    put.send(rows(0, 5), 0)
    assert put.end()[-1]["ack_up_to_records"] == 5


def test_wrong_acknowledgements_reach_the_client(emulator):
    emulator.script(acks={"every": 1}, faults=[
        {"point": "after_acks", "at": 1, "action": {"type": "ack_too_high", "by": 7}},
        {"point": "after_acks", "at": 2, "action": {"type": "ack_without_offset"}}])
    put = Put(emulator)
    assert put.read() == READY
    put.send(rows(0, 3), 0)
    assert [put.read()["ack_up_to_records"] for _ in range(2)] == [3, 10]
    put.send(rows(3, 3), 1)
    assert put.read()["ack_up_to_records"] == 6
    assert put.read() == {}


def test_a_rotation_rides_on_an_ack_and_ends_by_force(emulator):
    emulator.script(acks={"every": 1000, "idle_ms": 60000},
                    rotation={"after_requests": 2, "duration_ms": 300, "with_ack": True})
    put = Put(emulator)
    assert put.read() == READY
    put.send(rows(0, 4), 0)
    put.send(rows(4, 4), 1)
    assert put.read() == {"ack_up_to_offset": 1, "ack_up_to_records": 8,
                          "close_stream_duration_ms": 300}
    with pytest.raises(flight.FlightUnavailableError, match="6002"):
        put.read()


def test_streams_are_rotated_by_hand_and_times_scale(tmp_path):
    with Emulator(tmp_path, "--time-scale", "0.01") as emulator:
        put = Put(emulator)
        assert put.read() == READY
        assert emulator.control("POST", "rotate", table="other.s.t") == {"streams": 0}
        assert emulator.control("POST", "rotate", duration_ms=5000) == {"streams": 1}
        assert put.read()["close_stream_duration_ms"] == 50
        with pytest.raises(flight.FlightUnavailableError):
            put.read()


def test_an_altered_table_is_seen_by_the_next_connection(emulator):
    put = Put(emulator)
    assert put.read() == READY
    added = COLUMNS + [column("extra", "INT", "integer", 6)]
    emulator.control("PUT", "table", {"columns": added}, name=TABLE)
    put.send(rows(0, 1), 0)
    assert put.end()[-1]["ack_up_to_records"] == 1, "open streams keep what they opened with"
    assert Put(emulator).read() == READY, "a nullable column more"
    added[-1]["nullable"] = False
    emulator.control("PUT", "table", {"columns": added}, name=TABLE)
    with pytest.raises(pa.ArrowInvalid, match="extra is missing"):
        Put(emulator).read()
    emulator.control("DELETE", "table", name=TABLE)
    with pytest.raises(KeyError):
        Put(emulator).read()


# HTTP.


def test_every_field_of_a_token_request_is_checked(emulator):
    good = emulator.token_form()
    assert emulator.ask_token(good)[0] == 200
    details = json.loads(good["authorization_details"])
    without_operations = json.loads(good["authorization_details"])
    del without_operations[2]["operations"]
    other_schema = json.loads(good["authorization_details"])
    other_schema[1]["object_full_path"] = "main.shop"
    wrong = [{"grant_type": "password"}, {"grant_type": None}, {"scope": "sql"}, {"scope": None},
             {"resource": "api://databricks/workspaces//zerobusDirectWriteApi"}, {"resource": None},
             {"authorization_details": "[]"}, {"authorization_details": "{"},
             {"authorization_details": json.dumps(details[:2])},
             {"authorization_details": json.dumps(without_operations)},
             {"authorization_details": json.dumps(other_schema)}]
    for change in wrong:
        status, _, body = emulator.ask_token({**emulator.token_form(**change)})
        assert status == 400, (change, body)
    status, headers, _ = emulator.ask_token(good, client=("tester", "wrong"))
    assert status == 401 and "secret" not in json.dumps(headers)
    assert emulator.counters()["mints"] == 1


def test_a_federated_token_request(emulator):
    form = emulator.token_form(
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange", subject_token="jwt",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urllib.parse.urlencode(form).encode()
    assert emulator.request("POST", "/oidc/v1/token", body, headers)[0] == 200
    assert emulator.ask_token(form)[0] == 400, "with a Basic header"


def test_scripted_token_answers(emulator):
    emulator.script(oauth={"token_life_seconds": 90, "expires_in": "text", "faults": [
        {"request": 1, "status": 429, "retry_after": 3}, {"request": 2, "status": 500},
        {"request": 3, "body": "nonsense"}, {"request": 5, "hang": True}]})
    status, headers, _ = emulator.ask_token(emulator.token_form())
    assert status == 429 and headers["retry-after"] == "3"
    assert emulator.ask_token(emulator.token_form())[0] == 500
    assert emulator.ask_token(emulator.token_form())[2] == b"nonsense"
    assert json.loads(emulator.ask_token(emulator.token_form())[2])["expires_in"] == "90"
    with pytest.raises(TimeoutError):
        emulator.ask_token(emulator.token_form(), seconds=0.2)
    assert emulator.counters()["token_requests"] == 5


def test_revoked_and_expired_tokens_are_refused(emulator):
    for what in ("revoke", "expire"):
        metadata = emulator.metadata()
        assert emulator.control("POST", f"tokens/{what}", table="a.b.c") == {"tokens": 0}
        assert emulator.control("POST", f"tokens/{what}")["tokens"] >= 1
        with pytest.raises(flight.FlightUnauthenticatedError, match=what):
            Put(emulator, metadata=metadata).read()


def test_the_table_api_describes_tables(emulator):
    token = {"Authorization": "Bearer " + emulator.token()}
    path = "/api/2.1/unity-catalog/tables/"
    status, _, body = emulator.request("GET", path + "main%2Eweb.events", headers=token)
    assert status == 200
    assert json.loads(body)["columns"] == COLUMNS
    status, _, body = emulator.request("GET", path + "main.web.no", headers=token)
    assert status == 404 and json.loads(body)["error_code"] == "TABLE_DOES_NOT_EXIST"
    assert emulator.request("GET", path + TABLE)[0] == 401


def test_the_control_interface_refuses_what_it_does_not_know(emulator):
    assert "faults[0].point" in emulator.control(
        "PUT", "script", {"faults": [{"point": "x", "action": {"type": "ok"}}]}, expect=400)["message"]
    assert emulator.control("GET", "nothing", expect=404)
    assert emulator.control("POST", "counters", expect=405)
    assert emulator.control("PUT", "table", {"columns": []}, expect=400, name="two.parts")
    assert emulator.control("PUT", "table", {"columns": [{}]}, expect=400, name="a.b.c")
    assert emulator.control("GET", "tables") == {"tables": [TABLE]}


def test_the_log_is_read_and_cleared(emulator):
    put = Put(emulator)
    put.read()
    put.send(rows(0, 2), 0)
    put.end()
    status, headers, body = emulator.request("GET", "/control/log")
    assert status == 200 and json.loads(body)["ids"] == [0, 1]
    assert emulator.request("GET", "/control/log?from=" + headers["x-log-next"])[2] == b""
    emulator.control("DELETE", "log")
    assert emulator.request("GET", "/control/log")[2] == b""
    emulator.control("DELETE", "counters")
    assert emulator.counters()["requests"] == 0


def test_the_command_ends_in_order_and_refuses_bad_files(tmp_path):
    with Emulator(tmp_path / "ok") as emulator:
        assert emulator.stop() == 0
        assert not emulator.ready_path.exists()
    tables = tmp_path / "tables.json"
    tables.write_text('{"only.two": {"columns": []}}')
    done = run_cli("zerobus", "emulate", "--tables", tables)
    assert done.returncode == 1 and "catalog.schema.table" in done.stderr
    done = run_cli("zerobus", "emulate", "--script", tmp_path / "missing.json")
    assert done.returncode == 1 and "missing.json" in done.stderr
    done = run_cli("zerobus", "emulate", "--client", "no-colon")
    assert done.returncode != 0 and "ID:SECRET" in done.stderr
