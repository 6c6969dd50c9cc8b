"""Every key in code, YAML and environment, their order, and what is refused."""

import pytest

from arrow_zerobus_sdk_wrapper import (ConfigurationError, WrapperConfiguration, load_from_env,
                                       load_from_yaml)
from arrow_zerobus_sdk_wrapper._configuration import SETTINGS

COMPLETE = {"endpoint": "https://127.zerobus.local", "table_name": "main.web.events",
            "client_id": "id", "client_secret": "s3cret", "unity_catalog_url": "https://uc"}

YAML = """
zerobus_endpoint: https://from-file
unity_catalog_url: https://uc-from-file
client_id: file-id
client_secret: file-secret
table_name: main.file.events
mode: flight
observability:
  enabled: true
  endpoint: http://collector:4318
  output_dir: /o
  write_interval_secs: 7
  log_level: debug
debug:
  arrow_enabled: true
  protobuf_enabled: false
  output_dir: /d
  flush_interval_secs: 9
  max_file_size: 1000
  max_files_retained: 3
retry:
  max_attempts: 8
stream:
  max_inflight_bytes: 1048576
  recovery: false
"""

ENVIRONMENT = {
    "ZEROBUS_ENDPOINT": "https://from-environment", "ZEROBUS_TABLE_NAME": "main.environment.events",
    "UNITY_CATALOG_URL": "https://uc-environment", "ZEROBUS_CLIENT_ID": "environment-id",
    "ZEROBUS_CLIENT_SECRET": "environment-secret", "OTLP_ENABLED": "true",
    "OTLP_ENDPOINT": "http://otlp", "OTLP_OUTPUT_DIR": "/otlp", "OTLP_WRITE_INTERVAL_SECS": "11",
    "OTLP_LOG_LEVEL": "warn", "DEBUG_ENABLED": "false", "DEBUG_ARROW_ENABLED": "false",
    "DEBUG_PROTOBUF_ENABLED": "true", "DEBUG_OUTPUT_DIR": "/environment",
    "DEBUG_FLUSH_INTERVAL_SECS": "12", "DEBUG_MAX_FILE_SIZE": "13",
    "DEBUG_MAX_FILES_RETAINED": "none", "RETRY_MAX_ATTEMPTS": "14", "RETRY_BASE_DELAY_MS": "15",
    "RETRY_MAX_DELAY_MS": "16", "ZEROBUS_WRITER_DISABLED": "true", "ZEROBUS_MODE": "json",
    "ZEROBUS_RECOVERY_RETRIES": "17"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "zerobus.yaml"
    path.write_text(YAML)
    return path


def test_defaults():
    configuration = WrapperConfiguration(**COMPLETE)
    configuration.validate()
    assert (configuration.retry_max_attempts, configuration.retry_base_delay_ms,
            configuration.retry_max_delay_ms) == (5, 100, 30_000)
    assert configuration.debug_flush_interval_secs == 5
    assert configuration.debug_max_file_size is None
    assert configuration.debug_max_files_retained == 10
    assert not (configuration.debug_enabled or configuration.observability_enabled
                or configuration.zerobus_writer_disabled)
    assert configuration.observability_config == {"write_interval_secs": 5, "log_level": "info"}


def test_a_file(file):
    configuration = load_from_yaml(file)
    assert configuration.endpoint == configuration.zerobus_endpoint == "https://from-file"
    assert configuration.observability_config == {
        "endpoint": "http://collector:4318", "output_dir": "/o", "write_interval_secs": 7,
        "log_level": "debug"}
    assert configuration.debug_arrow_enabled and not configuration.debug_protobuf_enabled
    assert (configuration.debug_flush_interval_secs, configuration.debug_max_file_size,
            configuration.debug_max_files_retained) == (9, 1000, 3)
    assert (configuration.retry_max_attempts, configuration.retry_base_delay_ms) == (8, 100)
    options = configuration.writer_options()
    assert (options.mode, options.max_inflight_bytes, options.recovery) == ("flight", 1048576, False)


def test_the_environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    configuration = load_from_env()
    assert configuration.endpoint == "https://from-environment"
    assert configuration.observability_config == {
        "endpoint": "http://otlp", "output_dir": "/otlp", "write_interval_secs": 11,
        "log_level": "warn"}
    assert configuration.debug_protobuf_enabled and not configuration.debug_arrow_enabled
    assert configuration.debug_max_files_retained is None
    assert configuration.debug_max_file_size == 13 and configuration.zerobus_writer_disabled
    assert (configuration.retry_max_attempts, configuration.retry_base_delay_ms,
            configuration.retry_max_delay_ms) == (14, 15, 16)
    assert configuration.writer_options().recovery_retries == 17


def test_arguments_win_over_the_environment_over_the_file(file):
    environment = {"ZEROBUS_TABLE_NAME": "main.environment.events", "RETRY_MAX_ATTEMPTS": "2",
                   "DEBUG_MAX_FILES_RETAINED": "4"}
    configuration = WrapperConfiguration.load(file, environment, retry_max_attempts=1)
    assert configuration.retry_max_attempts == 1
    assert configuration.table_name == "main.environment.events"
    assert configuration.debug_max_files_retained == 4
    assert configuration.client_id == "file-id" and configuration.retry_max_delay_ms == 30_000


def test_every_setting_has_one_name_in_each_place():
    for attribute in ("name", "yaml", "environment"):
        names = [getattr(setting, attribute) for setting in SETTINGS]
        assert len(names) == len(set(names))


def test_the_old_debug_name_turns_both_on_unless_one_is_set(tmp_path):
    both = WrapperConfiguration(**COMPLETE, debug_enabled=True, debug_output_dir=tmp_path)
    assert both.debug_arrow_enabled and both.debug_protobuf_enabled
    one = WrapperConfiguration(**COMPLETE, debug_enabled=True, debug_arrow_enabled=True,
                               debug_output_dir=tmp_path)
    assert one.debug_arrow_enabled and not one.debug_protobuf_enabled


@pytest.mark.parametrize("changes, named", [
    ({"endpoint": "host:443"}, "endpoint"), ({"table_name": "events"}, "table_name"),
    ({"table_name": "a.b.c\n"}, "table_name"), ({"client_id": None}, "client_id"),
    ({"client_secret": ""}, "client_secret"), ({"unity_catalog_url": None}, "unity_catalog_url"),
    ({"debug_enabled": True}, "debug_output_dir"),
    ({"debug_flush_interval_secs": 0}, "debug_flush_interval_secs"),
    ({"debug_max_files_retained": 0}, "debug_max_files_retained"),
    ({"retry_max_attempts": 0}, "retry_max_attempts"), ({"retry_max_delay_ms": 99}, "retry_max"),
    ({"zerobus_writer_disabled": True}, "zerobus_writer_disabled"),
    ({"observability_config": {"port": 1}}, "port")])
def test_wrong_settings_are_named(changes, named):
    with pytest.raises(ConfigurationError, match=named):
        WrapperConfiguration(**{**COMPLETE, **changes}).validate()


@pytest.mark.parametrize("text, named", [
    ("zerobus_endpoint: https://x\nzerobus_endpiont: y", "zerobus_endpiont"),
    ("debug: {arow_enabled: true}", "debug.arow_enabled"), ("debug: 7", "debug is not a mapping"),
    ("retry: {max_attempts: many}", "retry.max_attempts"), ("[1, 2]", "not a mapping"),
    ("client_secret: 's3cret", "not YAML"), ("{}", "ZEROBUS_ENDPOINT")])
def test_a_wrong_file_is_refused(tmp_path, text, named):
    path = tmp_path / "zerobus.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named) as refused:
        load_from_yaml(path)
    assert "s3cret" not in str(refused.value)


def test_a_wrong_variable_is_named():
    with pytest.raises(ConfigurationError, match="DEBUG_ENABLED"):
        WrapperConfiguration.from_env({"DEBUG_ENABLED": "perhaps"})
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_from_yaml("/nowhere/zerobus.yaml")


def test_secrets_are_in_no_text(run):
    configuration = WrapperConfiguration(**COMPLETE)
    assert "s3cret" not in repr(configuration) + str(configuration)
    assert "s3cret" not in repr(configuration.writer_options())
    assert configuration.client_secret == "s3cret"


def test_it_is_immutable():
    configuration = WrapperConfiguration("https://x", "a.b.c")
    changed = configuration.with_credentials("i", "s").with_unity_catalog("https://uc")
    changed.validate()
    assert configuration.client_id is None and changed.client_id == "i"
    with pytest.raises(AttributeError):
        configuration.client_id = "other"
    with pytest.raises(TypeError, match="tabel_name"):
        WrapperConfiguration("https://x", "a.b.c", tabel_name="x")
