// The second half of the table: what carries a user's names (streams, data sets, users),
// and the small groups behind it.
#include <charconv>

#include "config/assign.h"
#include "config/setting_table.h"

namespace arrowport::config::internal {
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int>::max();

/// Behind "streams.<name>." or "delta_options.".
std::string TailOf(std::string_view key, int parts_before) {
  for (int i = 0; i < parts_before; ++i) key.remove_prefix(key.find('.') + 1);
  return std::string(key);
}

void AssignStream(Settings& settings, const Assignment& assignment) {
  settings.streams[assignment.names[0]][TailOf(assignment.setting.key, 2)] =
      assignment.text;
}

void AssignStreamCompression(Settings& settings, const Assignment& assignment) {
  // Kept as one text, "zstd:3": the algorithm stands first in the table.
  std::string& text = settings.streams[assignment.names[0]]["compression"];
  if (assignment.setting.key.ends_with(".algorithm")) {
    text = assignment.text;
  } else if (text.empty()) {
    text = "zstd:" + assignment.text;
  } else if (text == "zstd") {
    text += ":" + assignment.text;
  }
}

void AssignDeltaOption(Settings& settings, const Assignment& assignment) {
  if (std::holds_alternative<std::monostate>(assignment.value)) return;
  settings.delta_options[TailOf(assignment.setting.key, 1)] = assignment.text;
}

void AssignDataset(Settings& settings, const Assignment& assignment) {
  settings.datasets[assignment.names[0]] = assignment.text;
}

void AssignZerobus(Settings& settings, const Assignment& assignment) {
  if (std::holds_alternative<std::monostate>(assignment.value)) return;
  settings.zerobus[TailOf(assignment.setting.key, 1)] = assignment.text;
}

template <auto Field>
void AssignRole(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &(settings.roles[assignment.names[0]].*Field));
}

template <auto Field>
void AssignUser(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &(settings.auth.users[assignment.names[0]].*Field));
}

template <typename T>
T& At(std::vector<T>& list, const std::string& index_text) {
  size_t index = 0;
  std::from_chars(index_text.data(), index_text.data() + index_text.size(), index);
  if (list.size() <= index) list.resize(index + 1);
  return list[index];
}

template <auto Field>
void AssignUserGrant(Settings& settings, const Assignment& assignment) {
  auto& grants = settings.auth.users[assignment.names[0]].grants;
  Convert(assignment.value, &(At(grants, assignment.names[1]).*Field));
}

template <auto Field>
void AssignToken(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &(At(settings.auth.tokens, assignment.names[0]).*Field));
}

template <auto Field>
void AssignTokenGrant(Settings& settings, const Assignment& assignment) {
  auto& grants = At(settings.auth.tokens, assignment.names[0]).grants;
  Convert(assignment.value, &(At(grants, assignment.names[1]).*Field));
}

template <auto Field>
void AssignJwt(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &(settings.auth.jwt.*Field));
}

/// The Delta options, once for all tables and once per stream.
struct DeltaOption {
  std::string_view global_key;
  std::string_view stream_key;
  Type type;
  std::string_view default_text;
  std::string_view doc;
  std::vector<std::string_view> allowed = {};
  int64_t minimum = 0;
};

std::vector<DeltaOption> DeltaOptions() {
  return {
      {"delta_options.partition_by", "streams.<name>.delta_options.partition_by",
       Type::kTextList, "[]", "Columns a new table is partitioned by."},
      {"delta_options.z_order_by", "streams.<name>.delta_options.z_order_by",
       Type::kTextList, "[]", "Columns optimise sorts by along a z-curve."},
      {"delta_options.target_file_size", "streams.<name>.delta_options.target_file_size",
       Type::kBytes, "134217728", "Size of a data file to aim at.", {}, 1024},
      {"delta_options.compression", "streams.<name>.delta_options.compression",
       Type::kText, "snappy", "Codec of the Parquet files.",
       {"snappy", "zstd", "gzip", "lz4", "none"}},
      {"delta_options.schema_mode", "streams.<name>.delta_options.schema_mode",
       Type::kText, "merge", "As defaults.schema_mode, for Delta; wins over the stream's.",
       {"strict", "merge", "widen"}},
      {"delta_options.mode", "streams.<name>.delta_options.mode", Type::kText, "append",
       "append, or overwrite the table with each request.", {"append", "overwrite"}},
      {"delta_options.type_widening", "streams.<name>.delta_options.type_widening",
       Type::kBoolean, "false", "Enable Delta's type widening feature when needed."},
      {"delta_options.commit_interval_ms",
       "streams.<name>.delta_options.commit_interval_ms", Type::kInteger, "500",
       "Sustained spacing of versions in milliseconds, up to 20 saved up for bursts."},
      {"delta_options.optimize", "streams.<name>.delta_options.optimize", Type::kText,
       "off", "Compact small files beside the writer.", {"off", "auto"}},
  };
}

std::vector<Setting> Live(std::vector<Setting> table) {
  for (Setting& setting : table) setting.reload = Reload::kLive;
  return table;
}

std::vector<Setting> OwnStreamSettings() {
  return {
      {.key = "streams.<name>.target_table",
       .default_note = "the stream's name",
       .doc = "Table the stream lands in; one dot splits schema and table.",
       .apply = AssignStream},
      {.key = "streams.<name>.storage_backend",
       .default_note = "storage_backend",
       .doc = "Where this stream lands.",
       .apply = AssignStream,
       .allowed = {"duckdb", "ducklake", "delta"}},
      {.key = "streams.<name>.chunk_size",
       .type = Type::kInteger,
       .default_note = "defaults.chunk_size",
       .doc = "Rows in a unit of validation.",
       .apply = AssignStream,
       .minimum = 1,
       .maximum = kIntMax},
      {.key = "streams.<name>.compression.algorithm",
       .default_note = "compression",
       .doc = "Codec of Arrow data the server writes for this stream; also "
              "`compression: zstd:3`.",
       .apply = AssignStreamCompression,
       .allowed = {"zstd", "lz4", "none"}},
      {.key = "streams.<name>.compression.level",
       .type = Type::kInteger,
       .default_note = "compression",
       .doc = "Level of zstd.",
       .apply = AssignStreamCompression,
       .minimum = 1,
       .maximum = 22},
      {.key = "streams.<name>.schema_mode",
       .default_note = "defaults.schema_mode",
       .doc = "What happens to columns the table does not have.",
       .apply = AssignStream,
       .allowed = {"strict", "merge", "widen"}},
      {.key = "streams.<name>.on_mismatch",
       .default_note = "defaults.on_mismatch",
       .doc = "What happens to data that does not fit.",
       .apply = AssignStream,
       .allowed = {"reject", "quarantine", "skip"}},
      {.key = "streams.<name>.mode",
       .default_note = "append",
       .doc = "append, or overwrite the table with each request.",
       .apply = AssignStream,
       .allowed = {"append", "overwrite"}},
  };
}

std::vector<Setting> StreamTable() {
  std::vector<Setting> table = OwnStreamSettings();
  const std::vector<DeltaOption> options = DeltaOptions();
  for (const DeltaOption& option : options) {
    table.push_back({.key = option.stream_key,
                     .type = option.type,
                     .default_note = option.global_key,
                     .doc = option.doc,
                     .apply = AssignStream,
                     .allowed = option.allowed,
                     .minimum = option.minimum});
  }
  table.push_back({.key = "streams_path",
                   .type = Type::kPath,
                   .doc = "A file of further streams, or a folder of such *.yaml files.",
                   .apply = Assign<&Settings::streams_path>,
                   .presence = Presence::kOptional});
  for (const DeltaOption& option : options) {
    table.push_back({.key = option.global_key,
                     .type = option.type,
                     .default_text = option.default_text,
                     .doc = option.doc,
                     .apply = AssignDeltaOption,
                     .allowed = option.allowed,
                     .minimum = option.minimum});
  }
  table.push_back({.key = "datasets.<name>",
                   .type = Type::kPath,
                   .doc = "A file, folder, glob or s3:// of Parquet or Arrow files, shown as "
                          "a view of that name. --parquet-path is datasets.dataset.",
                   .apply = AssignDataset});
  return Live(std::move(table));
}

std::vector<Setting> UserTable() {
  const std::vector<std::string_view> roles = {"admin", "writer", "reader"};
  const std::vector<std::string_view> abilities = {"read", "write"};
  return Live({
      {.key = "auth.users.<name>.password_hash",
       .doc = "scrypt or bcrypt hash; `arrowport user hash` makes one.",
       .apply = AssignUser<&User::password_hash>,
       .visibility = Visibility::kSecret},
      {.key = "auth.users.<name>.role",
       .default_note = "none: only the grants",
       .doc = "What the user may do everywhere.",
       .apply = AssignUser<&User::role>,
       .allowed = roles},
      {.key = "auth.users.<name>.grants.<n>.on",
       .doc = "Tables of a grant: name, or pattern such as sales.*",
       .apply = AssignUserGrant<&Grant::on>},
      {.key = "auth.users.<name>.grants.<n>.do",
       .type = Type::kTextList,
       .doc = "What the grant allows.",
       .apply = AssignUserGrant<&Grant::abilities>,
       .allowed = abilities},
      {.key = "auth.tokens.<n>.name",
       .doc = "Name of a token, for logs.",
       .apply = AssignToken<&Token::name>},
      {.key = "auth.tokens.<n>.hash",
       .doc = "Hash of the token.",
       .apply = AssignToken<&Token::hash>,
       .visibility = Visibility::kSecret},
      {.key = "auth.tokens.<n>.role",
       .default_note = "none: only the grants",
       .doc = "What its bearer may do everywhere.",
       .apply = AssignToken<&Token::role>,
       .allowed = roles},
      {.key = "auth.tokens.<n>.grants.<n>.on",
       .doc = "Tables of a grant: name, or pattern such as sales.*",
       .apply = AssignTokenGrant<&Grant::on>},
      {.key = "auth.tokens.<n>.grants.<n>.do",
       .type = Type::kTextList,
       .doc = "What the grant allows.",
       .apply = AssignTokenGrant<&Grant::abilities>,
       .allowed = abilities},
  });
}

std::vector<Setting> SessionTable() {
  return Live({
      {.key = "auth.session_ttl",
       .type = Type::kDuration,
       .default_text = "12h",
       .doc = "How long a session token is good.",
       .apply = Assign<&Settings::auth, &Auth::session_ttl>,
       .minimum = 1000},
      {.key = "auth.allow_anonymous",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "Serve calls without credentials.",
       .apply = Assign<&Settings::auth, &Auth::allow_anonymous>,
       .flag = "--allow-anonymous"},
      {.key = "auth.jwt.issuer",
       .doc = "Issuer a JWT must name.",
       .apply = AssignJwt<&Jwt::issuer>,
       .presence = Presence::kOptional},
      {.key = "auth.jwt.audience",
       .doc = "Audience a JWT must name.",
       .apply = AssignJwt<&Jwt::audience>,
       .presence = Presence::kOptional},
      {.key = "auth.jwt.jwks_url",
       .doc = "Where the issuer's keys are.",
       .apply = AssignJwt<&Jwt::jwks_url>,
       .presence = Presence::kOptional},
      {.key = "auth.jwt.user_claim",
       .default_text = "sub",
       .doc = "Claim that holds the user's name.",
       .apply = AssignJwt<&Jwt::user_claim>},
      {.key = "auth.jwt.role_claim",
       .default_text = "role",
       .doc = "Claim that holds the role.",
       .apply = AssignJwt<&Jwt::role_claim>},
  });
}

std::vector<Setting> TlsAndLogTable() {
  return Live({
      {.key = "tls.cert",
       .type = Type::kPath,
       .doc = "PEM certificate chain; with tls.key it turns TLS on. The files are watched.",
       .apply = Assign<&Settings::tls, &Tls::cert>,
       .presence = Presence::kOptional},
      {.key = "tls.key",
       .type = Type::kPath,
       .doc = "PEM private key.",
       .apply = Assign<&Settings::tls, &Tls::key>,
       .presence = Presence::kOptional},
      {.key = "tls.client_ca",
       .type = Type::kPath,
       .doc = "PEM certificates that clients must be signed by.",
       .apply = Assign<&Settings::tls, &Tls::client_ca>,
       .presence = Presence::kOptional},
      {.key = "log.level",
       .default_text = "info",
       .doc = "Least level that is logged.",
       .apply = Assign<&Settings::log, &LogSettings::level>,
       .allowed = {"debug", "info", "warn", "error", "off"}},
      {.key = "log.format",
       .default_text = "auto",
       .doc = "auto is pretty on a terminal, JSON otherwise.",
       .apply = Assign<&Settings::log, &LogSettings::format>,
       .allowed = {"auto", "pretty", "json"}},
  });
}

std::vector<Setting> RoleTable() {
  std::vector<Setting> table = {
      {.key = "roles.<name>.query_timeout",
       .type = Type::kDuration,
       .apply = AssignRole<&RoleLimits::query_timeout>},
      {.key = "roles.<name>.result_bytes_max",
       .type = Type::kBytes,
       .apply = AssignRole<&RoleLimits::result_bytes_max>},
      {.key = "roles.<name>.idle_transaction",
       .type = Type::kDuration,
       .apply = AssignRole<&RoleLimits::idle_transaction>},
      {.key = "roles.<name>.session_idle",
       .type = Type::kDuration,
       .apply = AssignRole<&RoleLimits::session_idle>},
  };
  for (Setting& setting : table) {
    setting.default_note = "the limit of that name";
    setting.doc = "For users of this role, instead of the limit of that name.";
    setting.minimum = 1;
    setting.presence = Presence::kOptional;
    setting.reload = Reload::kLive;
  }
  return table;
}

std::vector<Setting> PlaceTable() {
  return {
      {.key = "quarantine.path",
       .type = Type::kPath,
       .default_text = "./quarantine",
       .doc = "Folder for what was set aside.",
       .apply = Assign<&Settings::quarantine, &Quarantine::path>,
       .reload = Reload::kLive},
      {.key = "quarantine.bytes_max",
       .type = Type::kBytes,
       .default_text = "10GiB",
       .doc = "Room for it; beyond it data is rejected instead.",
       .apply = Assign<&Settings::quarantine, &Quarantine::bytes_max>,
       .reload = Reload::kLive},
      {.key = "s3.endpoint",
       .doc = "Endpoint of an S3 store that is not AWS.",
       .apply = Assign<&Settings::s3, &S3::endpoint>,
       .presence = Presence::kOptional},
      {.key = "s3.region",
       .doc = "Region.",
       .apply = Assign<&Settings::s3, &S3::region>,
       .presence = Presence::kOptional},
      {.key = "s3.key",
       .doc = "Access key id.",
       .apply = Assign<&Settings::s3, &S3::key>,
       .presence = Presence::kOptional,
       .visibility = Visibility::kSecret},
      {.key = "s3.secret",
       .doc = "Secret access key.",
       .apply = Assign<&Settings::s3, &S3::secret>,
       .presence = Presence::kOptional,
       .visibility = Visibility::kSecret},
      {.key = "s3.path_style",
       .type = Type::kBoolean,
       .default_note = "by endpoint",
       .doc = "Put the bucket into the path instead of the host name.",
       .apply = Assign<&Settings::s3, &S3::path_style>,
       .presence = Presence::kOptional},
      {.key = "shutdown.grace_seconds",
       .type = Type::kInteger,
       .default_text = "30",
       .doc = "How long what is in flight may take to end at shutdown.",
       .apply = Assign<&Settings::shutdown, &Shutdown::grace_seconds>,
       .maximum = 86400},
  };
}

struct ZerobusKey {
  std::string_view key;
  Type type = Type::kText;
  std::string_view doc = {};
  Visibility visibility = Visibility::kPlain;
  std::vector<std::string_view> allowed = {};
};

std::vector<Setting> ZerobusTable() {
  const std::vector<ZerobusKey> keys = {
      {"zerobus.zerobus_endpoint", Type::kText, "Endpoint of the service."},
      {"zerobus.unity_catalog_url", Type::kText, "Workspace that gives out tokens."},
      {"zerobus.client_id", Type::kText, "OAuth client."},
      {"zerobus.client_secret", Type::kText, "OAuth secret.", Visibility::kSecret},
      {"zerobus.table_name", Type::kText, "catalog.schema.table"},
      {"zerobus.mode", Type::kText, "Wire form.", Visibility::kPlain,
       {"proto", "json", "flight"}},
      {"zerobus.observability.enabled", Type::kBoolean, "Export metrics and traces."},
      {"zerobus.observability.endpoint", Type::kText, "OTLP endpoint."},
      {"zerobus.observability.output_dir", Type::kPath, "Folder, without an endpoint."},
      {"zerobus.observability.write_interval_secs", Type::kInteger, "Seconds."},
      {"zerobus.observability.log_level", Type::kText, "Level of its own log.",
       Visibility::kPlain,
       {"trace", "debug", "info", "warn", "warning", "error", "off"}},
      {"zerobus.observability.headers", Type::kText, "name=value,name=value with %XX.",
       Visibility::kSecret},
      {"zerobus.observability.timeout_secs", Type::kInteger, "One export."},
      {"zerobus.observability.service_name", Type::kText, "What it is of."},
      {"zerobus.observability.resource_attributes", Type::kText,
       "name=value,name=value with %XX."},
      {"zerobus.debug.enabled", Type::kBoolean, "Turns both debug formats on."},
      {"zerobus.debug.arrow_enabled", Type::kBoolean, "Keep Arrow files of what is sent."},
      {"zerobus.debug.protobuf_enabled", Type::kBoolean, "Keep Protobuf files."},
      {"zerobus.debug.output_dir", Type::kPath, "Folder of the debug files."},
      {"zerobus.debug.flush_interval_secs", Type::kInteger, "Seconds between flushes."},
      {"zerobus.debug.max_file_size", Type::kBytes, "Rotate before exceeding it."},
      {"zerobus.debug.max_files_retained", Type::kInteger, "Per format and table."},
      {"zerobus.retry.max_attempts", Type::kInteger, "Attempts to send."},
      {"zerobus.retry.base_delay_ms", Type::kInteger, "Milliseconds; full jitter."},
      {"zerobus.retry.max_delay_ms", Type::kInteger, "Milliseconds."},
      {"zerobus.writer_disabled", Type::kBoolean, "Convert and keep files, send nothing."},
      {"zerobus.stream.max_inflight_requests", Type::kInteger, "Accepted, not durable."},
      {"zerobus.stream.max_inflight_batches", Type::kInteger, "Accepted, not durable."},
      {"zerobus.stream.max_inflight_bytes", Type::kBytes, "Accepted, not durable."},
      {"zerobus.stream.max_request_bytes", Type::kBytes, "Largest request."},
      {"zerobus.stream.recovery", Type::kBoolean, "Recover a broken stream."},
      {"zerobus.stream.recovery_retries", Type::kInteger, "Attempts to recover."},
      {"zerobus.stream.recovery_timeout_ms", Type::kInteger, "One attempt."},
      {"zerobus.stream.recovery_backoff_base_ms", Type::kInteger, "Full jitter."},
      {"zerobus.stream.recovery_backoff_max_ms", Type::kInteger, "Full jitter."},
      {"zerobus.stream.connection_timeout_ms", Type::kInteger, "Connect and ready."},
      {"zerobus.stream.server_lack_of_ack_timeout_ms", Type::kInteger, "Oldest unacked."},
      {"zerobus.stream.flush_timeout_ms", Type::kInteger, "Flush, wait, close."},
      {"zerobus.stream.stream_paused_max_wait_ms", Type::kInteger, "Longest pause."},
      {"zerobus.stream.callback_max_wait_ms", Type::kInteger, "After close."},
      {"zerobus.stream.ipc_compression", Type::kText, "Of the Flight form.",
       Visibility::kPlain, {"zstd", "lz4", "none"}},
      {"zerobus.stream.token_cache", Type::kBoolean, "Share tokens between streams."},
      {"zerobus.stream.token_refresh_buffer_s", Type::kInteger, "Seconds before expiry."},
      {"zerobus.stream.connection_per_stream", Type::kBoolean, "Own connection."},
  };
  std::vector<Setting> table;
  for (const ZerobusKey& key : keys) {
    table.push_back({.key = key.key,
                     .type = key.type,
                     .doc = key.doc,
                     .apply = AssignZerobus,
                     .allowed = key.allowed,
                     .presence = Presence::kOptional,
                     .visibility = key.visibility});
  }
  return table;
}

std::vector<Setting> FlagTable() {
  return {
      {.key = "user",
       .doc = "One user with role admin; needs --password-file.",
       .apply = Assign<&Settings::auth, &Auth::flag_user>,
       .presence = Presence::kOptional,
       .flag = "--user",
       .in_files = false},
      {.key = "password_file",
       .type = Type::kPath,
       .doc = "That user's password is the first line of this file.",
       .apply = Assign<&Settings::auth, &Auth::password_file>,
       .presence = Presence::kOptional,
       .flag = "--password-file",
       .in_files = false},
      {.key = "ready_file",
       .type = Type::kPath,
       .doc = "Written as JSON with process and ports once everything serves.",
       .apply = Assign<&Settings::ready_file>,
       .presence = Presence::kOptional,
       .flag = "--ready-file",
       .in_files = false},
  };
}

}  // namespace

std::vector<Setting> NamedSettings() {
  std::vector<Setting> all;
  for (auto part : {StreamTable(), RoleTable(), UserTable(), SessionTable(), TlsAndLogTable(),
                    PlaceTable(), ZerobusTable(), FlagTable()}) {
    for (Setting& setting : part) all.push_back(std::move(setting));
  }
  return all;
}

}  // namespace arrowport::config::internal
