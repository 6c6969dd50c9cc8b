"""No secret shows: in reprs, exceptions, results, logs, debug files, telemetry; also when the
service repeats what it was sent."""

import json
import logging
import traceback

import pyarrow as pa
import pytest

from arrow_zerobus_sdk_wrapper import WrapperConfiguration, ZerobusError, ZerobusWrapper
from arrowport import zerobus
from otlp_testing import Collector
from zerobus_testing import CLIENT, TABLE

SECRET = "hush-2f6b7c8d9e"
COLLECTOR_KEY = "collector-key-77aa"
ADDRESS = f"http://me:{SECRET}@host:1"


@pytest.fixture
def seen(caplog, capfd, tmp_path):
    """What somebody could read: seen(*objects) adds their texts; at the end no secret is in it."""
    caplog.set_level(logging.DEBUG)
    texts, secrets = [], [SECRET, COLLECTOR_KEY, CLIENT[1]]

    def add(*objects):
        for thing in objects:
            texts.extend([repr(thing), str(thing)])
            if isinstance(thing, BaseException):
                texts.extend(traceback.format_exception(thing))

    add.secrets = secrets
    yield add
    texts.extend(capfd.readouterr())
    texts.append(caplog.text)
    texts.extend(path.read_bytes().decode(errors="replace")
                 for path in (tmp_path / "out").rglob("*") if path.is_file())
    everything = "\n".join(texts)
    assert everything
    for secret in secrets:
        assert secret not in everything


def rows(*ids):
    return pa.record_batch({"id": pa.array(ids, pa.int64())})


def settings(emulator, **changes):
    return {"endpoint": emulator.grpc_url, "table_name": TABLE, "client_id": CLIENT[0],
            "client_secret": CLIENT[1], "unity_catalog_url": emulator.http_url,
            "recovery_retries": 1, "recovery_backoff_base_ms": 1, "recovery_backoff_max_ms": 2,
            "retry_max_attempts": 2, "retry_base_delay_ms": 1, "retry_max_delay_ms": 2, **changes}


def use(seen, emulator, tmp_path, **changes):
    """Sends with everything that writes switched on; whether it worked."""
    with Collector() as collector:
        configuration = WrapperConfiguration(**settings(
            emulator, debug_enabled=True, debug_output_dir=tmp_path / "out",
            observability_enabled=True, observability_config={
                "endpoint": collector.url, "output_dir": str(tmp_path / "out"),
                "headers": {"authorization": f"Bearer {COLLECTOR_KEY}"}, "log_level": "debug"},
            **changes))
        seen(configuration)
        wrapper = ZerobusWrapper(configuration)
        result = wrapper.send_batch(rows(1, 2))
        seen(wrapper, result, result.error, result.get_error_messages(), wrapper.statistics())
        try:
            wrapper.shutdown()
        except ZerobusError as error:
            seen(error)
        assert collector.bodies
        seen(*collector.bodies)
    assert (tmp_path / "out/otlp/traces.jsonl").exists()
    return result.success


def test_what_works(seen, make_emulator, tmp_path):
    assert use(seen, make_emulator(), tmp_path)


def test_a_token_endpoint_that_repeats_the_secret(seen, make_emulator, tmp_path):
    emulator = make_emulator({"oauth": {"faults": [
        {"request": [1, 1000], "status": 401,
         "body": json.dumps({"error": "invalid_client", "secret": CLIENT[1]})}]}})
    assert not use(seen, emulator, tmp_path)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INVALID_ARGUMENT", "UNAUTHENTICATED"])
@pytest.mark.parametrize("point", ["after_headers", "before_log"])
def test_a_service_that_repeats_the_token(seen, make_emulator, tmp_path, code, point):
    emulator = make_emulator()
    token = emulator.control("POST", "tokens", table=TABLE)["access_token"]
    seen.secrets.append(token)
    emulator.script(faults=[{"point": point, "action": {
        "type": "status", "code": code, "message": f"no good: {token}", "reason": token,
        "metadata": {"causes": token}}}])
    assert not use(seen, emulator, tmp_path,
                   header_provider=lambda: {"authorization": f"Bearer {token}"})


def test_what_is_refused(seen, tmp_path):
    for build in (
            lambda: zerobus.Writer(ADDRESS, TABLE, client_id="a", client_secret=SECRET),
            lambda: zerobus.Writer("http://host", TABLE, client_id="a", client_secret=SECRET,
                                   unity_catalog_url=ADDRESS),
            lambda: zerobus.Writer("http://host", TABLE, client_id="a", client_secret=SECRET,
                                   unity_catalog_url="http://host",
                                   https_proxy=f"ftp://me:{SECRET}@p:1"),
            lambda: ZerobusWrapper(endpoint=ADDRESS, table_name=TABLE, client_id="a",
                                   client_secret=SECRET, unity_catalog_url=ADDRESS),
            lambda: zerobus.Telemetry(ADDRESS),
            lambda: zerobus.Telemetry(headers={"a b": SECRET}),
            lambda: ZerobusWrapper(endpoint="http://host", table_name=TABLE, client_id="a",
                                   client_secret=SECRET, unity_catalog_url="http://host",
                                   observability_enabled=True,
                                   observability_config={"endpoint": ADDRESS})):
        with pytest.raises(ZerobusError) as raised:
            build()
        seen(raised.value)
    (tmp_path / "bad.yaml").write_text(f"client_secret: [{SECRET}\n")
    with pytest.raises(ZerobusError) as raised:
        WrapperConfiguration.from_yaml(tmp_path / "bad.yaml")
    seen(raised.value)
    seen(zerobus.Options(ADDRESS, TABLE, client_id="a", client_secret=SECRET,
                         unity_catalog_url=ADDRESS, http_proxy=ADDRESS, https_proxy=ADDRESS,
                         grpc_proxy=ADDRESS),
         WrapperConfiguration(ADDRESS, TABLE, client_id="a", client_secret=SECRET,
                              unity_catalog_url=ADDRESS, grpc_proxy=ADDRESS,
                              observability_config={"endpoint": ADDRESS,
                                                    "headers": {"a": SECRET}}))
