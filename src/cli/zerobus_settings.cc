#include "cli/zerobus_settings.h"

#include <arrow/util/uri.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "config/load.h"
#include "config/value.h"

namespace arrowport::cli {
namespace {

using std::chrono::milliseconds;

// Variables of those who wrote for Zerobus before. They carry no prefix, so only the
// command that sends to Zerobus listens to them.
constexpr std::pair<const char*, const char*> kVariables[] = {
    {"ZEROBUS_ENDPOINT", "zerobus_endpoint"},
    {"ZEROBUS_TABLE_NAME", "table_name"},
    {"UNITY_CATALOG_URL", "unity_catalog_url"},
    {"ZEROBUS_CLIENT_ID", "client_id"},
    {"ZEROBUS_CLIENT_SECRET", "client_secret"},
    {"ZEROBUS_WRITER_DISABLED", "writer_disabled"},
    {"OTLP_ENABLED", "observability.enabled"},
    {"OTLP_ENDPOINT", "observability.endpoint"},
    {"OTLP_OUTPUT_DIR", "observability.output_dir"},
    {"OTLP_WRITE_INTERVAL_SECS", "observability.write_interval_secs"},
    {"OTLP_LOG_LEVEL", "observability.log_level"},
    {"OTLP_HEADERS", "observability.headers"},
    {"OTLP_TIMEOUT_SECS", "observability.timeout_secs"},
    {"OTLP_SERVICE_NAME", "observability.service_name"},
    {"OTLP_RESOURCE_ATTRIBUTES", "observability.resource_attributes"},
    {"DEBUG_ENABLED", "debug.enabled"},
    {"DEBUG_ARROW_ENABLED", "debug.arrow_enabled"},
    {"DEBUG_PROTOBUF_ENABLED", "debug.protobuf_enabled"},
    {"DEBUG_OUTPUT_DIR", "debug.output_dir"},
    {"DEBUG_FLUSH_INTERVAL_SECS", "debug.flush_interval_secs"},
    {"DEBUG_MAX_FILE_SIZE", "debug.max_file_size"},
    {"DEBUG_MAX_FILES_RETAINED", "debug.max_files_retained"},
    {"RETRY_MAX_ATTEMPTS", "retry.max_attempts"},
    {"RETRY_BASE_DELAY_MS", "retry.base_delay_ms"},
    {"RETRY_MAX_DELAY_MS", "retry.max_delay_ms"},
};

/// The settings below `zerobus`, checked and canonical, by type.
class Values {
 public:
  explicit Values(const std::map<std::string, std::string>& texts) : texts_(texts) {}

  const std::string* Find(const char* key) const {
    const auto found = texts_.find(key);
    return found == texts_.end() ? nullptr : &found->second;
  }
  std::string Text(const char* key) const {
    const std::string* text = Find(key);
    return text ? *text : "";
  }
  bool Bool(const char* key, bool otherwise = false) const {
    const std::string* text = Find(key);
    return text ? *text == "true" : otherwise;
  }
  std::optional<int64_t> Number(const char* key) const {
    const std::string* text = Find(key);
    int64_t value = 0;
    if (!text) return std::nullopt;
    std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
  }
  void Read(const char* key, int64_t* value) const {
    if (const auto number = Number(key)) *value = *number;
  }
  void Read(const char* key, bool* value) const { *value = Bool(key, *value); }
  arrow::Status Read(const char* key, int* value) const {
    const auto number = Number(key);
    if (!number) return {};
    if (!std::in_range<int>(*number)) {
      return Error(ErrorCode::kBadConfig, "zerobus.", key, " is too large: ", *number);
    }
    *value = static_cast<int>(*number);
    return {};
  }
  template <typename Duration>
  arrow::Status ReadTime(const char* key, Duration* value) const {
    const auto number = Number(key);
    if (!number) return {};
    // A year: what is added to a clock must not overflow it.
    if (*number > int64_t{366} * 86'400'000 || *number < 0) {
      return Error(ErrorCode::kBadConfig, "zerobus.", key,
                   " must be between 0 and a year: ", *number);
    }
    *value = Duration(*number);
    return {};
  }
  arrow::Status ReadTime(const char* key, std::optional<milliseconds>* value) const {
    if (!Find(key)) return {};
    return ReadTime(key, &value->emplace());
  }
  arrow::Status ReadBytes(const char* key, int64_t* value) const {
    const std::string* text = Find(key);
    return text ? config::ParseBytes(*text).Value(value) : arrow::Status();
  }

 private:
  const std::map<std::string, std::string>& texts_;
};

arrow::Status ReadStream(const Values& values, zerobus::StreamOptions* stream) {
  values.Read("stream.max_inflight_requests", &stream->max_inflight_requests);
  values.Read("stream.max_inflight_batches", &stream->max_inflight_batches);
  values.Read("stream.recovery", &stream->recovery);
  values.Read("stream.token_cache", &stream->token_cache);
  values.Read("stream.connection_per_stream", &stream->connection_per_stream);
  const arrow::Status read[] = {
      values.ReadBytes("stream.max_inflight_bytes", &stream->max_inflight_bytes),
      values.ReadBytes("stream.max_request_bytes", &stream->max_request_bytes),
      values.Read("stream.recovery_retries", &stream->recovery_retries),
      values.ReadTime("stream.recovery_timeout_ms", &stream->recovery_timeout),
      values.ReadTime("stream.recovery_backoff_base_ms", &stream->recovery_backoff_base),
      values.ReadTime("stream.recovery_backoff_max_ms", &stream->recovery_backoff_max),
      values.ReadTime("stream.connection_timeout_ms", &stream->connection_timeout),
      values.ReadTime("stream.server_lack_of_ack_timeout_ms",
                      &stream->server_lack_of_ack_timeout),
      values.ReadTime("stream.flush_timeout_ms", &stream->flush_timeout),
      values.ReadTime("stream.stream_paused_max_wait_ms",
                      &stream->stream_paused_max_wait),
      values.ReadTime("stream.callback_max_wait_ms", &stream->callback_max_wait),
      values.ReadTime("stream.token_refresh_buffer_s", &stream->token_refresh_buffer),
  };
  for (const arrow::Status& status : read) ARROW_RETURN_NOT_OK(status);
  const std::string compression = values.Text("stream.ipc_compression");
  if (compression == "lz4") stream->ipc_compression = zerobus::IpcCompression::kLz4Frame;
  if (compression == "none") stream->ipc_compression = zerobus::IpcCompression::kNone;
  return {};
}

arrow::Status ReadDebug(const Values& values, ZerobusSettings* settings) {
  zerobus::DebugFileOptions debug;
  const bool both = values.Bool("debug.enabled");
  const bool proto_mode = settings->options.mode == zerobus::Mode::kProto;
  debug.arrow = values.Bool("debug.arrow_enabled", both);
  debug.protobuf = values.Bool("debug.protobuf_enabled", both && proto_mode);
  if (!debug.arrow && !debug.protobuf) {
    if (!settings->options.writer_disabled) return {};
    return Error(ErrorCode::kBadConfig,
                 "with zerobus.writer_disabled nothing but debug files is made: give "
                 "--debug-dir, or switch a format on below zerobus.debug");
  }
  if (debug.protobuf && !proto_mode) {
    return Error(ErrorCode::kBadConfig,
                 "zerobus.debug.protobuf_enabled needs zerobus.mode proto");
  }
  debug.output_folder = values.Text("debug.output_dir");
  std::chrono::seconds interval(5);
  ARROW_RETURN_NOT_OK(values.ReadTime("debug.flush_interval_secs", &interval));
  debug.flush_interval = interval;
  if (values.Find("debug.max_file_size")) {
    ARROW_RETURN_NOT_OK(
        values.ReadBytes("debug.max_file_size", &debug.file_bytes_max.emplace()));
  }
  if (const auto count = values.Number("debug.max_files_retained")) {
    debug.rotated_files_max = *count;
  }
  settings->debug = std::move(debug);
  return {};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// As OpenTelemetry writes them: name=value,name=value with %XX. `key` is for the error,
/// which quotes nothing: values may be secrets.
arrow::Result<Pairs> ReadPairs(const Values& values, const char* key) {
  const std::string text = values.Text(key);
  Pairs pairs;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    const size_t equals = part.find('=');
    if (equals == 0 || equals == part.npos) {
      return Error(ErrorCode::kBadConfig, "zerobus.", key,
                   " wants name=value, separated by commas, special characters as %XX");
    }
    pairs.emplace_back(arrow::util::UriUnescape(part.substr(0, equals)),
                       arrow::util::UriUnescape(part.substr(equals + 1)));
    begin = end + 1;
  }
  return pairs;
}

zerobus::TelemetryLevel LevelOf(const std::string& name) {
  using Level = zerobus::TelemetryLevel;
  if (name == "trace" || name == "debug") return Level::kDebug;
  if (name == "warn" || name == "warning") return Level::kWarning;
  if (name == "error") return Level::kError;
  return name == "off" ? Level::kOff : Level::kInfo;
}

arrow::Status ReadTelemetry(const Values& values, ZerobusSettings* settings) {
  if (!values.Bool("observability.enabled")) return {};
  zerobus::TelemetryOptions telemetry;
  telemetry.output_folder = values.Text("observability.output_dir");
  const std::string endpoint = values.Text("observability.endpoint");
  if (!endpoint.empty() || !telemetry.output_folder.empty())
    telemetry.endpoint = endpoint;
  std::chrono::seconds interval(5);
  ARROW_RETURN_NOT_OK(values.ReadTime("observability.write_interval_secs", &interval));
  telemetry.interval = interval;
  std::chrono::seconds timeout(10);
  ARROW_RETURN_NOT_OK(values.ReadTime("observability.timeout_secs", &timeout));
  telemetry.timeout = timeout;
  if (const std::string* name = values.Find("observability.service_name")) {
    telemetry.service_name = *name;
  }
  ARROW_ASSIGN_OR_RAISE(telemetry.headers, ReadPairs(values, "observability.headers"));
  ARROW_ASSIGN_OR_RAISE(telemetry.resource_attributes,
                        ReadPairs(values, "observability.resource_attributes"));
  telemetry.log_level = LevelOf(values.Text("observability.log_level"));
  telemetry.proxy = settings->options.proxy;
  settings->telemetry = std::move(telemetry);
  return {};
}

arrow::Result<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) {
    return Error(ErrorCode::kBadConfig, "cannot read the client secret file ", path);
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

arrow::Result<config::Settings> Load(const ZerobusFlags& flags, const Context& context) {
  std::map<std::string, std::string> given;
  for (const auto& [variable, key] : kVariables) {
    if (std::string value = context.Environment(variable); !value.empty()) {
      given[std::string("zerobus.") + key] = std::move(value);
    }
  }
  for (const auto& [key, value] : flags.settings) given["zerobus." + key] = value;
  if (!flags.client_secret_file.empty()) {
    ARROW_ASSIGN_OR_RAISE(given["zerobus.client_secret"],
                          FirstLine(flags.client_secret_file));
  }
  config::LoadRequest request;
  request.environment = context.environment;
  if (!flags.config_file.empty()) request.args = {"--config", flags.config_file};
  for (const std::string& set : flags.sets) {
    given.erase(set.substr(0, set.find('=')));
    request.args.insert(request.args.end(), {"--set", set});
  }
  for (const auto& [key, value] : given) {
    request.args.insert(request.args.end(), {"--set", key + "=" + value});
  }
  return config::LoadSettings(request);
}

}  // namespace

std::shared_ptr<ZerobusFlags> AddZerobusFlags(CLI::App& command) {
  auto flags = std::make_shared<ZerobusFlags>();
  const auto add = [&](const char* flag, const char* key, const char* doc) {
    return command.add_option_function<std::string>(
        flag, [flags, key](const std::string& value) { flags->settings[key] = value; },
        doc);
  };
  add("--endpoint", "zerobus_endpoint", "Zerobus endpoint (or ZEROBUS_ENDPOINT)");
  add("--table", "table_name", "catalog.schema.table (or ZEROBUS_TABLE_NAME)");
  add("--unity-catalog-url", "unity_catalog_url",
      "Workspace that gives tokens and columns (or UNITY_CATALOG_URL)");
  add("--client-id", "client_id", "OAuth client (or ZEROBUS_CLIENT_ID)");
  command.add_option("--client-secret-file", flags->client_secret_file,
                     "File whose first line is the secret (or ZEROBUS_CLIENT_SECRET)");
  add("--mode", "mode", "proto, json or flight (default: proto)");
  command.add_option_function<std::string>(
      "--debug-dir",
      [flags](const std::string& folder) {
        flags->settings["debug.output_dir"] = folder;
        flags->settings["debug.enabled"] = "true";
      },
      "Keep Arrow and protobuf files of what is sent in this folder");
  command.add_flag_callback(
      "--dry-run", [flags] { flags->settings["writer_disabled"] = "true"; },
      "Convert, write debug files, send nothing; needs no credentials");
  command.add_option("--tls-ca", flags->tls_ca,
                     "PEM certificates to trust beside the system's");
  command.add_option("--config", flags->config_file, "Configuration file (YAML)");
  command.add_option("--set", flags->sets, "Any setting: zerobus.stream.recovery=false")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return flags;
}

arrow::Result<ZerobusSettings> LoadZerobusSettings(const ZerobusFlags& flags,
                                                   const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const config::Settings loaded, Load(flags, context));
  const Values values(loaded.zerobus);
  ZerobusSettings settings;
  zerobus::Options& options = settings.options;
  options = zerobus::Options(values.Text("zerobus_endpoint"), values.Text("table_name"))
                .WithCredentials(values.Text("client_id"), values.Text("client_secret"))
                .WithUnityCatalog(values.Text("unity_catalog_url"));
  const std::string mode = values.Text("mode");
  if (mode == "json") options.mode = zerobus::Mode::kJson;
  if (mode == "flight") options.mode = zerobus::Mode::kFlight;
  options.writer_disabled = values.Bool("writer_disabled");
  options.application_name = "arrowport-cli";
  options.tls.ca_file = flags.tls_ca;
  options.proxy = zerobus::ProxyOptions::From([&](const char* name) -> const char* {
    const auto found = context.environment.find(name);
    return found == context.environment.end() ? nullptr : found->second.c_str();
  });
  ARROW_RETURN_NOT_OK(values.Read("retry.max_attempts", &options.retry.attempts_max));
  ARROW_RETURN_NOT_OK(values.ReadTime("retry.base_delay_ms", &options.retry.delay_base));
  ARROW_RETURN_NOT_OK(values.ReadTime("retry.max_delay_ms", &options.retry.delay_max));
  ARROW_RETURN_NOT_OK(ReadStream(values, &options.stream));
  ARROW_RETURN_NOT_OK(ReadDebug(values, &settings));
  ARROW_RETURN_NOT_OK(ReadTelemetry(values, &settings));
  ARROW_RETURN_NOT_OK(options.Validate());
  return settings;
}

}  // namespace arrowport::cli
