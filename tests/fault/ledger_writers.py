"""Writers of both protocols that send until they are answered and keep a ledger of it."""

import random
import threading
import time

import pyarrow as pa

from arrowport_testing import Ledger, command, ipc_stream, put, read_ack

TABLE = "ledger_rows"


class Writer(threading.Thread):
    """Sends keyed requests one after the other; one that got no answer is sent again until it has."""

    settings = {}  # of the stream, with every request

    def __init__(self, server, ledger, name, seed):
        super().__init__(name=name)
        self.server, self.ledger, self.random = server, ledger, random.Random(seed)
        self.stop = threading.Event()
        self.failure = None
        self.acknowledged = 0
        self.replays = 0

    def rows(self):
        # Mostly small; sometimes over a row group, where the storage takes another path. Seldom in a
        # long loop: what is there is judged again after each few rounds.
        large = 0.02 if self.acknowledged < 200 else 0.001
        return 130_000 if self.random.random() < large else self.random.randint(1, 2_000)

    def run(self):
        number = 0
        try:
            while not self.stop.is_set():
                key = f"{self.name}-{number:06d}"
                rows = self.rows()
                batch = self.ledger.send(key, rows)
                self.deliver(key, batch)
                number += 1
        except BaseException as error:
            self.failure = error

    def deliver(self, key, batch):
        deadline = time.monotonic() + 60
        while True:
            try:
                summary = self.send(key, batch)
            except (OSError, pa.ArrowException, EOFError) as error:
                refusal = isinstance(error, pa.ArrowInvalid) or isinstance(error, KeyError)
                assert not refusal, f"{key} was refused: {error}"
            except Exception as error:
                assert type(error).__module__ == "http.client", error
            else:
                if summary is not None:
                    assert summary["rows_processed"] == batch.num_rows, summary
                    self.ledger.acknowledge(key)
                    self.acknowledged += 1
                    self.replays += summary["idempotent_replay"]
                    return
            if self.stop.is_set():
                return  # left unacknowledged: applied wholly or not at all
            assert time.monotonic() < deadline, f"{key} found no server for 60 s"
            self.stop.wait(0.01)


class HttpWriter(Writer):
    connection = None

    def send(self, key, batch):
        if self.connection is None:
            self.connection = self.server.connect(timeout=20)
        try:
            reply = self.server.ingest(TABLE, ipc_stream(batch), key=key, connection=self.connection,
                                       parameters=self.settings)
        except BaseException:
            self.connection.close()
            self.connection = None
            raise
        assert reply.status in (200, 429, 503), reply.body
        return reply.json if reply.status == 200 else None


class FlightWriter(Writer):
    client = None

    def send(self, key, batch):
        if self.client is None:
            self.client = self.server.flight()
        try:
            return put(self.client, command(TABLE, idempotency_key=key, **self.settings), [batch])[-1]
        except BaseException:
            self.client.close()
            self.client = None
            raise


class FlightBatchWriter(Writer):
    """A producer with sequences on long streams in batch mode, resuming after each break.

    Its keys are its messages: an acknowledged offset acknowledges every key up to it.
    """

    def rows(self):
        return self.random.randint(1, 500)

    def run(self):
        try:
            self.sent_batches = []
            while not self.stop.is_set():
                try:
                    self.stream()
                except (OSError, pa.ArrowException):
                    self.stop.wait(0.01)
        except BaseException as error:
            self.failure = error

    def batch_of(self, sequence):
        while len(self.sent_batches) <= sequence:
            key = f"{self.name}-{len(self.sent_batches):06d}"
            self.sent_batches.append((key, self.ledger.send(key, self.rows())))
        return self.sent_batches[sequence]

    def acknowledge_to(self, sequence):
        for key, _ in self.sent_batches[self.acknowledged:sequence + 1]:
            self.ledger.acknowledge(key)
            self.acknowledged += 1

    def stream(self):
        first = self.acknowledged
        with self.server.flight() as client:
            writer, reader = client.do_put(
                command(TABLE, producer=self.name, sequence=first, commit="batch", **self.settings),
                Ledger.SCHEMA)
            try:
                opened = read_ack(reader)
                last = opened["producer_last_sequence"]
                assert (last if last is not None else -1) >= first - 1, \
                    f"{self.name}: acknowledged up to {first - 1}, the server knows {last}"
                in_flight = sent = 0
                while not self.stop.is_set() and sent < 200:
                    writer.write_batch(self.batch_of(first + sent)[1])
                    sent += 1
                    while sent - in_flight > 8:
                        ack = read_ack(reader)
                        in_flight = ack["ack_up_to_offset"] + 1
                        self.acknowledge_to(first + ack["ack_up_to_offset"])
                writer.done_writing()
                while (ack := read_ack(reader)) is not None:
                    if "ack_up_to_offset" in ack:
                        self.acknowledge_to(first + ack["ack_up_to_offset"])
            finally:
                writer.close()
