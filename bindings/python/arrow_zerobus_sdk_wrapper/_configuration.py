"""Every setting of the wrapper: in code, in YAML, in the environment."""

from __future__ import annotations

import dataclasses
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from arrowport.zerobus import ConfigurationError, Options

_YAML_BYTES_MAX = 1 << 20


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(value, str) and value.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("wants true or false")


def _number(value: Any) -> int:
    if isinstance(value, bool) or isinstance(value, float):
        raise ValueError("wants a whole number")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("wants a whole number") from None


def _ratio(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("wants a number") from None


def _number_or_none(value: Any) -> int | None:
    """None, and in the environment "none", is unlimited."""
    if value is None or (isinstance(value, str) and value.lower() in ("none", "unlimited")):
        return None
    return _number(value)


def _text(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("wants text")
    return os.fspath(value)


def _pairs(value: Any) -> dict[str, str]:
    """A mapping, or as OpenTelemetry writes it: name=value,name=value with %XX."""
    if isinstance(value, Mapping):
        return {_text(name): _text(text) for name, text in value.items()}
    pairs = {}
    for part in filter(None, map(str.strip, _text(value).split(","))):
        name, equals, text = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("wants name=value, separated by commas")
        pairs[urllib.parse.unquote(name.strip())] = urllib.parse.unquote(text.strip())
    return pairs


@dataclasses.dataclass(frozen=True)
class _Setting:
    name: str  # in code; those of observability_config after a dot
    yaml: str  # group.key
    environment: str
    parse: Callable[[Any], Any]


_NAMED = [
    _Setting("endpoint", "zerobus_endpoint", "ZEROBUS_ENDPOINT", _text),
    _Setting("table_name", "table_name", "ZEROBUS_TABLE_NAME", _text),
    _Setting("unity_catalog_url", "unity_catalog_url", "UNITY_CATALOG_URL", _text),
    _Setting("client_id", "client_id", "ZEROBUS_CLIENT_ID", _text),
    _Setting("client_secret", "client_secret", "ZEROBUS_CLIENT_SECRET", _text),
    _Setting("observability_enabled", "observability.enabled", "OTLP_ENABLED", _flag),
    _Setting("observability_config.endpoint", "observability.endpoint", "OTLP_ENDPOINT", _text),
    _Setting("observability_config.output_dir", "observability.output_dir", "OTLP_OUTPUT_DIR",
             _text),
    _Setting("observability_config.write_interval_secs", "observability.write_interval_secs",
             "OTLP_WRITE_INTERVAL_SECS", _number),
    _Setting("observability_config.log_level", "observability.log_level", "OTLP_LOG_LEVEL", _text),
    _Setting("observability_config.headers", "observability.headers", "OTLP_HEADERS", _pairs),
    _Setting("observability_config.timeout_secs", "observability.timeout_secs",
             "OTLP_TIMEOUT_SECS", _number),
    _Setting("observability_config.service_name", "observability.service_name",
             "OTLP_SERVICE_NAME", _text),
    _Setting("observability_config.resource_attributes", "observability.resource_attributes",
             "OTLP_RESOURCE_ATTRIBUTES", _pairs),
    _Setting("debug_enabled", "debug.enabled", "DEBUG_ENABLED", _flag),
    _Setting("debug_arrow_enabled", "debug.arrow_enabled", "DEBUG_ARROW_ENABLED", _flag),
    _Setting("debug_protobuf_enabled", "debug.protobuf_enabled", "DEBUG_PROTOBUF_ENABLED", _flag),
    _Setting("debug_output_dir", "debug.output_dir", "DEBUG_OUTPUT_DIR", _text),
    _Setting("debug_flush_interval_secs", "debug.flush_interval_secs",
             "DEBUG_FLUSH_INTERVAL_SECS", _number),
    _Setting("debug_max_file_size", "debug.max_file_size", "DEBUG_MAX_FILE_SIZE",
             _number_or_none),
    _Setting("debug_max_files_retained", "debug.max_files_retained", "DEBUG_MAX_FILES_RETAINED",
             _number_or_none),
    _Setting("retry_max_attempts", "retry.max_attempts", "RETRY_MAX_ATTEMPTS", _number),
    _Setting("retry_base_delay_ms", "retry.base_delay_ms", "RETRY_BASE_DELAY_MS", _number),
    _Setting("retry_max_delay_ms", "retry.max_delay_ms", "RETRY_MAX_DELAY_MS", _number),
    _Setting("zerobus_writer_disabled", "writer_disabled", "ZEROBUS_WRITER_DISABLED", _flag),
    _Setting("mode", "mode", "ZEROBUS_MODE", _text),
]


def _stream_settings() -> list[_Setting]:
    """The writer's other options, under `stream` in YAML and ZEROBUS_<NAME> in the environment."""
    named = {setting.name for setting in _NAMED} | {"table"}
    parse = {"int | None": _number, "bool | None": _flag, "float | None": _ratio,
             "str | None": _text}
    settings = []
    for field in dataclasses.fields(Options):
        kind = "str | None" if field.type.startswith("Literal") else field.type
        if field.name not in named and kind in parse:
            settings.append(_Setting(field.name, f"stream.{field.name}",
                                     f"ZEROBUS_{field.name.upper()}", parse[kind]))
    return settings


SETTINGS = _NAMED + _stream_settings()
_CODE_ONLY = {"header_provider", "subject_token", "on_durable", "on_failed", "client", "telemetry"}
_STREAM_OPTIONS = {setting.name for setting in _stream_settings()} | _CODE_ONLY | {"mode"}
_OBSERVABILITY = {setting.name.partition(".")[2] for setting in _NAMED
                  if setting.name.startswith("observability_config.")}
_LOG_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning",
               "warning": "warning", "error": "error", "off": "off"}
_DEFAULT_COLLECTOR = "http://localhost:4318"  # OpenTelemetry's own default
_TABLE_PART = re.compile(r"[A-Za-z0-9_]+", re.ASCII)


class WrapperConfiguration:
    """What a ZerobusWrapper does. Immutable; secrets are in no text made of it.

    Args:
        endpoint: of Zerobus, with http:// or https://.
        table_name: catalog.schema.table (one to three parts with the writer disabled).
        client_id, client_secret, unity_catalog_url: required unless the writer is disabled.
        observability_enabled, observability_config: {"endpoint", "output_dir",
            "write_interval_secs": 5, "log_level": "info", "headers", "timeout_secs": 10,
            "service_name", "resource_attributes"}: OpenTelemetry metrics and traces to a collector
            (http://localhost:4318 when neither endpoint nor output_dir is given), into files, or
            both.
        debug_enabled: the old name: turns both formats on unless one of them is set.
        debug_arrow_enabled, debug_protobuf_enabled: files of what is sent.
        debug_output_dir: required when a format is on.
        debug_flush_interval_secs: above 0.
        debug_max_file_size: bytes at which a file is rotated; None: never.
        debug_max_files_retained: rotated files kept per format and table; None: all.
        retry_max_attempts, retry_base_delay_ms, retry_max_delay_ms: of whole sends.
        zerobus_writer_disabled: conversion and files still run, nothing is sent.
        stream_options: further fields of arrowport.zerobus.Options: mode, max_inflight_bytes ...
    """

    endpoint: str
    table_name: str
    client_id: str | None
    client_secret: str | None
    unity_catalog_url: str | None
    observability_enabled: bool
    observability_config: dict[str, Any]
    debug_enabled: bool
    debug_arrow_enabled: bool
    debug_protobuf_enabled: bool
    debug_output_dir: str | None
    debug_flush_interval_secs: int
    debug_max_file_size: int | None
    debug_max_files_retained: int | None
    retry_max_attempts: int
    retry_base_delay_ms: int
    retry_max_delay_ms: int
    zerobus_writer_disabled: bool
    stream_options: dict[str, Any]

    def __init__(self, endpoint: str, table_name: str, *, client_id: str | None = None,
                 client_secret: str | None = None, unity_catalog_url: str | None = None,
                 observability_enabled: bool = False,
                 observability_config: Mapping[str, Any] | None = None,
                 debug_enabled: bool = False, debug_arrow_enabled: bool | None = None,
                 debug_protobuf_enabled: bool | None = None,
                 debug_output_dir: str | os.PathLike[str] | None = None,
                 debug_flush_interval_secs: int = 5, debug_max_file_size: int | None = None,
                 debug_max_files_retained: int | None = 10, retry_max_attempts: int = 5,
                 retry_base_delay_ms: int = 100, retry_max_delay_ms: int = 30_000,
                 zerobus_writer_disabled: bool = False, **stream_options: Any):
        unknown = sorted(stream_options.keys() - _STREAM_OPTIONS)
        if unknown:
            raise TypeError(f"WrapperConfiguration has no option {', '.join(unknown)}")
        both = debug_enabled and debug_arrow_enabled is None and debug_protobuf_enabled is None
        self.__dict__.update(
            endpoint=endpoint, table_name=table_name, client_id=client_id,
            client_secret=client_secret, unity_catalog_url=unity_catalog_url,
            observability_enabled=observability_enabled,
            observability_config={"write_interval_secs": 5, "log_level": "info",
                                  **(observability_config or {})},
            debug_enabled=debug_enabled, debug_arrow_enabled=both or bool(debug_arrow_enabled),
            debug_protobuf_enabled=both or bool(debug_protobuf_enabled),
            debug_output_dir=None if debug_output_dir is None else os.fspath(debug_output_dir),
            debug_flush_interval_secs=debug_flush_interval_secs,
            debug_max_file_size=debug_max_file_size,
            debug_max_files_retained=debug_max_files_retained,
            retry_max_attempts=retry_max_attempts, retry_base_delay_ms=retry_base_delay_ms,
            retry_max_delay_ms=retry_max_delay_ms,
            zerobus_writer_disabled=zerobus_writer_disabled, stream_options=dict(stream_options))
        if self._debug_on and not self.debug_output_dir:
            raise ConfigurationError("debug_output_dir is required when a debug format is on")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a WrapperConfiguration is immutable: use a with_ method for {name}")

    @property
    def _debug_on(self) -> bool:
        return self.debug_arrow_enabled or self.debug_protobuf_enabled

    @property
    def zerobus_endpoint(self) -> str:
        """The same as `endpoint`."""
        return self.endpoint

    def _changed(self, **changes: Any) -> WrapperConfiguration:
        arguments = {**self.__dict__, **changes}
        options = arguments.pop("stream_options")
        return WrapperConfiguration(**arguments, **options)

    def with_credentials(self, client_id: str, client_secret: str) -> WrapperConfiguration:
        """The same with an OAuth client."""
        return self._changed(client_id=client_id, client_secret=client_secret)

    def with_unity_catalog(self, url: str) -> WrapperConfiguration:
        """The same with the workspace that issues tokens and knows the table."""
        return self._changed(unity_catalog_url=url)

    def validate(self) -> None:
        """Raises ConfigurationError for the first setting that cannot work."""
        self._require(isinstance(self.endpoint, str) and re.match(r"https?://[^/]", self.endpoint),
                      "endpoint must begin with https:// or http://: "
                      f"{_without_credentials(self.endpoint)}")
        self._require(self._is_table(), "table_name must be catalog.schema.table of ASCII letters, "
                      f"digits and underscores: {self.table_name}")
        if not self.zerobus_writer_disabled:
            for name in ("client_id", "client_secret", "unity_catalog_url"):
                self._require(getattr(self, name) or self._authorizes_otherwise(name),
                              f"{name} is required unless zerobus_writer_disabled is set")
        self._validate_debug()
        self._validate_observability()
        self._require(_is_count(self.retry_max_attempts, 1), "retry_max_attempts must be above 0")
        self._require(_is_count(self.retry_base_delay_ms, 0), "retry_base_delay_ms is a number")
        self._require(_is_count(self.retry_max_delay_ms, 0)
                      and self.retry_max_delay_ms >= self.retry_base_delay_ms,
                      "retry_max_delay_ms must not be below retry_base_delay_ms")

    def _validate_debug(self) -> None:
        self._require(not self._debug_on or self.debug_output_dir,
                      "debug_output_dir is required when a debug format is on")
        self._require(not self.zerobus_writer_disabled or self._debug_on,
                      "zerobus_writer_disabled needs debug_arrow_enabled or debug_protobuf_enabled")
        self._require(_is_count(self.debug_flush_interval_secs, 1),
                      "debug_flush_interval_secs must be above 0")
        for name in ("debug_max_file_size", "debug_max_files_retained"):
            self._require(getattr(self, name) is None or _is_count(getattr(self, name), 1),
                          f"{name} must be above 0, or None for no limit")

    def _validate_observability(self) -> None:
        given = self.observability_config
        unknown = sorted(given.keys() - _OBSERVABILITY)
        self._require(not unknown, f"observability_config has no key {', '.join(unknown)}")
        for name in ("write_interval_secs", "timeout_secs"):
            self._require(_is_count(given.get(name, 1), 1),
                          f"observability_config {name} must be above 0")
        self._require(str(given["log_level"]).lower() in _LOG_LEVELS,
                      f"observability_config log_level is one of {', '.join(_LOG_LEVELS)}")
        endpoint = given.get("endpoint")
        self._require(not endpoint or re.match(r"https?://[^/@]+(/|$)", str(endpoint)),
                      "observability_config endpoint must begin with https:// or http:// and hold "
                      "no credentials")
        for name in ("headers", "resource_attributes"):
            try:
                _pairs(given.get(name) or {})
            except ValueError as error:
                raise ConfigurationError(f"observability_config {name} {error}") from None

    def _is_table(self) -> bool:
        if not isinstance(self.table_name, str):
            return False
        parts = self.table_name.split(".")
        counts = (1, 2, 3) if self.zerobus_writer_disabled else (3,)
        return len(parts) in counts and all(map(_TABLE_PART.fullmatch, parts))

    def _authorizes_otherwise(self, name: str) -> bool:
        if "header_provider" in self.stream_options:
            return True
        return name != "unity_catalog_url" and "subject_token" in self.stream_options

    @staticmethod
    def _require(condition: Any, message: str) -> None:
        if not condition:
            raise ConfigurationError(message)

    def telemetry_options(self) -> dict[str, Any]:
        """The same as arguments of arrowport.zerobus.Telemetry."""
        given = {name: value for name, value in self.observability_config.items() if value}
        options = {
            "endpoint": given.get("endpoint"), "output_dir": given.get("output_dir"),
            "interval_ms": given["write_interval_secs"] * 1000,
            "log_level": _LOG_LEVELS[given["log_level"].lower()],
            "headers": _pairs(given.get("headers", {})),
            "resource_attributes": _pairs(given.get("resource_attributes", {}))}
        if not options["endpoint"] and not options["output_dir"]:
            options["endpoint"] = _DEFAULT_COLLECTOR
        if "timeout_secs" in given:
            options["timeout_ms"] = given["timeout_secs"] * 1000
        if "service_name" in given:
            options["service_name"] = given["service_name"]
        return options

    def debug_file_options(self) -> dict[str, Any] | None:
        """The same as arguments of arrowport.zerobus.DebugFiles; None when no format is on."""
        if not self._debug_on:
            return None
        return {"table": self.table_name, "output_dir": self.debug_output_dir,
                "mode": self.stream_options.get("mode") or "proto",
                "arrow": self.debug_arrow_enabled, "protobuf": self.debug_protobuf_enabled,
                "flush_interval_ms": self.debug_flush_interval_secs * 1000,
                "max_file_size": self.debug_max_file_size,
                "max_files_retained": self.debug_max_files_retained}

    def writer_options(self) -> Options:
        """The same as options of arrowport.zerobus.Writer."""
        return Options(self.endpoint, self.table_name, client_id=self.client_id,
                       client_secret=self.client_secret, unity_catalog_url=self.unity_catalog_url,
                       retry_max_attempts=self.retry_max_attempts,
                       retry_base_delay_ms=self.retry_base_delay_ms,
                       retry_max_delay_ms=self.retry_max_delay_ms,
                       zerobus_writer_disabled=self.zerobus_writer_disabled, **self.stream_options)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None,
             environment: Mapping[str, str] | None = None,
             **explicit: Any) -> WrapperConfiguration:
        """From arguments, then the environment, then a YAML file, then the defaults.

        Raises ConfigurationError for unknown keys of the file, naming them, and for values that
        do not fit, naming where they came from. `environment` defaults to the process's.
        """
        found = _from_yaml(path) if path is not None else {}
        found.update(_from_environment(os.environ if environment is None else environment))
        arguments: dict[str, Any] = {}
        for name, value in found.items():
            group, _, key = name.rpartition(".")
            (arguments.setdefault(group, {}) if group else arguments)[key] = value
        if "observability_config" in explicit:
            explicit["observability_config"] = {**arguments.get("observability_config", {}),
                                                **(explicit["observability_config"] or {})}
        arguments.update(explicit)
        for name in ("endpoint", "table_name"):
            if name not in arguments:
                setting = next(s for s in SETTINGS if s.name == name)
                raise ConfigurationError(f"{name} is required: argument {name}, environment "
                                         f"{setting.environment} or key {setting.yaml}")
        configuration = cls(**arguments)
        configuration.validate()
        return configuration

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> WrapperConfiguration:
        """From a YAML file alone."""
        return cls.load(path, environment={})

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> WrapperConfiguration:
        """From the environment alone."""
        return cls.load(environment=environment)

    def __repr__(self) -> str:
        shown = {name: "***" if name == "client_secret" and value else value
                 for name, value in self.__dict__.items()}
        for name in ("endpoint", "unity_catalog_url"):
            shown[name] = _without_credentials(shown[name])
        if self.observability_config.get("endpoint"):
            shown["observability_config"] = {
                **self.observability_config,
                "endpoint": _without_credentials(self.observability_config["endpoint"])}
        if self.observability_config.get("headers"):  # they may authorize
            shown["observability_config"] = {**shown["observability_config"], "headers": "***"}
        fields = ", ".join(f"{name}={value!r}" for name, value in shown.items()
                           if name != "stream_options")
        return f"WrapperConfiguration({fields}, stream_options={sorted(self.stream_options)})"


def _without_credentials(url: Any) -> Any:
    return re.sub(r"//[^/]*@", "//***@", url) if isinstance(url, str) else url


def load_from_yaml(path: str | os.PathLike[str]) -> WrapperConfiguration:
    """As WrapperConfiguration.from_yaml."""
    return WrapperConfiguration.from_yaml(path)


def load_from_env() -> WrapperConfiguration:
    """As WrapperConfiguration.from_env."""
    return WrapperConfiguration.from_env()


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _parsed(setting: _Setting, value: Any, where: str) -> Any:
    try:
        return setting.parse(value)
    except ValueError as error:
        raise ConfigurationError(f"{where} {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {setting.name: _parsed(setting, environment[setting.environment],
                                  f"environment variable {setting.environment}")
            for setting in SETTINGS if environment.get(setting.environment)}


def _from_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _YAML_BYTES_MAX:
        raise ConfigurationError(f"{path} has more than {_YAML_BYTES_MAX} bytes")
    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Where, not what: the text of the parser may quote a secret.
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{line} is not YAML") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} is not a mapping")
    by_key = {setting.yaml: setting for setting in SETTINGS}
    groups = {key.partition(".")[0] for key in by_key if "." in key}
    found = {}
    for key, value in _flattened(document, groups, path).items():
        if key not in by_key:
            raise ConfigurationError(f"{path} has an unknown key: {key}")
        if value is None and by_key[key].parse is not _number_or_none:
            continue
        found[by_key[key].name] = _parsed(by_key[key], value, f"{path}: {key}")
    return found


def _flattened(document: dict[Any, Any], groups: set[str],
               path: str | os.PathLike[str]) -> dict[str, Any]:
    flat = {}
    for key, value in document.items():
        if key in groups and isinstance(value, dict):
            flat.update({f"{key}.{inner}": part for inner, part in value.items()})
        elif key in groups and value is not None:
            raise ConfigurationError(f"{path}: {key} is not a mapping")
        elif key not in groups:
            flat[str(key)] = value
    return flat
