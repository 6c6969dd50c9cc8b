"""OpenTelemetry: what a real collector reads, and what a broken one harms (nothing)."""

import json
import logging
import re
import time

import pyarrow as pa
import pytest

from arrow_zerobus_sdk_wrapper import ConfigurationError, ZerobusWrapper
from arrowport import zerobus
from arrowport_testing import SOURCE_DIR
from otlp_testing import Collector, texts
from zerobus_testing import TABLE


@pytest.fixture
def collector():
    with Collector() as running:
        yield running


@pytest.fixture
def keywords(options):
    """Keywords of a ZerobusWrapper for the module's emulator."""
    given = options()
    given["table_name"] = given.pop("table")
    return given


def rows(*ids):
    return pa.record_batch({"id": pa.array(ids, pa.int64())})


def test_the_wrapper_exports(collector, keywords):
    with ZerobusWrapper(observability_enabled=True, observability_config={
            "endpoint": collector.url, "headers": {"authorization": "Bearer collector-key"},
            "service_name": "orders", "resource_attributes": {"team": "sales"}},
            **keywords) as wrapper:
        assert wrapper.send_batch(rows(1, 2)).success
        assert wrapper.send_batch(rows(3)).success
    headers, message = collector.of("/v1/metrics")[-1]
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Authorization"] == "Bearer collector-key"
    resource = texts(message.resource_metrics[0].resource.attributes)
    assert resource["service.name"] == "orders" and resource["team"] == "sales"
    metrics = collector.newest_metrics()
    common = {"messaging.system": "zerobus", "messaging.destination.name": TABLE,
              "arrowport.zerobus.mode": "proto", "server.address": "127.0.0.1"}
    assert metrics["arrowport.zerobus.rows.durable"] == [(common, 3)]
    assert metrics["arrowport.zerobus.sends"] == [(common | {"outcome": "durable"}, 2)]
    assert metrics["arrowport.zerobus.token.mints"][0][1] >= 1
    assert metrics["arrowport.zerobus.ack.duration"][0][1] == 2
    sends = [span for span in collector.spans() if span.name == f"send {TABLE}"]
    assert [texts(span.attributes)["messaging.batch.message_count"] for span in sends] == [2, 1]
    assert all(span.kind == span.SPAN_KIND_CLIENT and len(span.trace_id) == 16
               and span.start_time_unix_nano < span.end_time_unix_nano for span in sends)
    assert f"connect {TABLE}" in {span.name for span in collector.spans()}


def test_the_reference_page_has_every_name():
    page = (SOURCE_DIR / "docs/reference/zerobus-telemetry.md").read_text()
    told = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", page))
    used = set()
    for file in ("telemetry_metrics.cc", "telemetry_observer.cc"):
        text = (SOURCE_DIR / "src/zerobus" / file).read_text()
        used |= set(re.findall(r'"((?:arrowport|messaging|rpc|server|error)\.[a-z_.]+)"', text))
    assert len(used) > 25
    assert used - told == set()


def test_a_failure_is_told(collector, keywords):
    keywords["client_secret"] = "wrong"
    with ZerobusWrapper(observability_enabled=True, retry_max_attempts=1, recovery_retries=1,
                        observability_config={"endpoint": collector.url}, **keywords) as wrapper:
        result = wrapper.send_batch(rows(1))
        assert not result.success
    span, = [span for span in collector.spans() if span.name.startswith("send ")]
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert texts(span.attributes)["error.type"] == "Authentication"
    failed = collector.newest_metrics()["arrowport.zerobus.rows.failed"]
    assert [(own["error.type"], count) for own, count in failed] == [("Authentication", 1)]


@pytest.mark.parametrize("status", [500, 503, None])
def test_a_broken_collector_harms_nothing(collector, keywords, status, caplog):
    collector.status = status
    with caplog.at_level(logging.INFO, "arrowport.zerobus.telemetry"):
        began = time.monotonic()
        with ZerobusWrapper(observability_enabled=True, observability_config={
                "endpoint": collector.url}, **keywords) as wrapper:
            for i in range(20):
                assert wrapper.send_batch(rows(i)).success
        assert time.monotonic() - began < 15
    assert collector.received
    if status is not None:
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"status {status}" in caplog.text


def test_one_telemetry_for_several_writers(collector, options):
    telemetry = zerobus.Telemetry(collector.url, interval_ms=60_000)
    for i in range(2):
        with zerobus.Writer(zerobus.Options(**options(), telemetry=telemetry)) as writer:
            assert writer.send_batch(rows(i)).success
    telemetry.flush()
    (_, count), = collector.newest_metrics()["arrowport.zerobus.rows.durable"]
    assert count == 2
    assert telemetry.statistics().spans_exported == len(collector.spans()) == 4
    telemetry.close()
    telemetry.close()
    with pytest.raises(zerobus.ClosedError):
        telemetry.flush()


def test_files_instead_of_a_collector(keywords, tmp_path):
    with ZerobusWrapper(observability_enabled=True,
                        observability_config={"output_dir": str(tmp_path)}, **keywords) as wrapper:
        assert wrapper.send_batch(rows(1)).success
    lines = (tmp_path / "otlp/traces.jsonl").read_text().splitlines()
    spans = [span for line in lines for resource in json.loads(line)["resourceSpans"]
             for scope in resource["scopeSpans"] for span in scope["spans"]]
    assert {span["name"] for span in spans} == {f"connect {TABLE}", f"send {TABLE}"}
    assert all(len(bytes.fromhex(span["traceId"])) == 16 for span in spans)
    assert "arrowport.zerobus.rows.durable" in (tmp_path / "otlp/metrics.jsonl").read_text()


@pytest.mark.parametrize("config, part", [
    ({"endpoint": "localhost:4318"}, "http://"), ({"endpoint": "http://a:b@host"}, "credentials"),
    ({"write_interval_secs": 0}, "write_interval_secs"), ({"log_level": "loud"}, "log_level"),
    ({"headers": "no-equals"}, "headers"), ({"sampling": 1}, "sampling")])
def test_what_cannot_work_is_refused(keywords, config, part):
    with pytest.raises(ConfigurationError, match=part):
        ZerobusWrapper(observability_enabled=True, observability_config=config, **keywords)
