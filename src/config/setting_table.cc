#include "config/setting_table.h"

#include <algorithm>
#include <cctype>

#include "config/assign.h"

namespace arrowport::config {
namespace internal {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kIntMax = std::numeric_limits<int>::max();

std::vector<Setting> ListenSettings() {
  return {
      {.key = "api.host",
       .default_text = "127.0.0.1",
       .doc = "Address or name to listen on; a name binds all its addresses.",
       .apply = Assign<&Settings::api, &Api::host>,
       .flag = "--host"},
      {.key = "api.port",
       .type = Type::kPort,
       .default_text = "8888",
       .doc = "HTTP and Flight on one port; 0 picks a free one. Setting it drops the "
              "alias ports 8000 and 8815.",
       .apply = Assign<&Settings::api, &Api::port>,
       .flag = "--port",
       .environment = {"ARROWPORT_PORT"}},
      {.key = "flight.port",
       .type = Type::kPort,
       .default_text = "8889",
       .doc = "The direct Flight port; it is the same listener. 0 picks a free one.",
       .apply = Assign<&Settings::flight, &Flight::port>,
       .flag = "--flight-port"},
      {.key = "api.enable_metrics",
       .type = Type::kBoolean,
       .default_text = "true",
       .doc = "Serve GET /metrics.",
       .apply = Assign<&Settings::api, &Api::enable_metrics>,
       .environment = {"ARROWPORT_ENABLE_METRICS"}},
      {.key = "api.metrics_port",
       .type = Type::kPort,
       .doc = "A further port that serves only /metrics.",
       .apply = Assign<&Settings::api, &Api::metrics_port>,
       .presence = Presence::kOptional,
       .environment = {"ARROWPORT_METRICS_PORT"}},
      {.key = "storage_backend",
       .default_text = "duckdb",
       .doc = "Where streams land that do not say otherwise.",
       .apply = Assign<&Settings::storage_backend>,
       .allowed = {"duckdb", "ducklake", "delta"},
       .reload = Reload::kLive,
       .flag = "--storage-backend"},
  };
}

std::vector<Setting> DuckDbSettings() {
  return {
      {.key = "duckdb.path",
       .type = Type::kPath,
       .default_text = "arrowport.duckdb",
       .doc = "The database file, or :memory:.",
       .apply = Assign<&Settings::duckdb, &DuckDb::path>,
       .flag = "--db",
       .environment = {"ARROWPORT_DB"},
       .aliases = {"db_path"}},
      {.key = "duckdb.memory_limit",
       .type = Type::kMemory,
       .default_text = "25%",
       .default_note = "25 % of the memory available, at most 4 GiB",
       .doc = "Memory DuckDB may use.",
       .apply = Assign<&Settings::duckdb, &DuckDb::memory_limit_bytes>,
       .minimum = 16 * kMiB,
       .default_bytes_max = 4 * kGiB},
      {.key = "duckdb.threads",
       .type = Type::kInteger,
       .default_text = "0",
       .default_note = "0: all cores",
       .doc = "Threads of DuckDB.",
       .apply = Assign<&Settings::duckdb, &DuckDb::threads>,
       .maximum = 4096},
      {.key = "duckdb.checkpoint_wal_bytes",
       .type = Type::kBytes,
       .default_text = "64MiB",
       .doc = "A checkpoint runs in the background when the log has grown to this.",
       .apply = Assign<&Settings::duckdb, &DuckDb::checkpoint_wal_bytes>,
       .minimum = 1},
      {.key = "duckdb.wal_bytes_max",
       .type = Type::kBytes,
       .default_text = "512MiB",
       .doc = "Ingest waits for a checkpoint at this size of the log.",
       .apply = Assign<&Settings::duckdb, &DuckDb::wal_bytes_max>,
       .minimum = 1},
      {.key = "duckdb_extensions",
       .type = Type::kTextList,
       .default_text = "[]",
       .doc = "Extensions to load. Names of built-in abilities (parquet, json, icu, arrow) "
              "are accepted and do nothing.",
       .apply = Assign<&Settings::duckdb_extensions>},
  };
}

std::vector<Setting> LakeSettings() {
  return {
      {.key = "ducklake.catalog",
       .type = Type::kText,
       .default_text = "./lake.ducklake",
       .doc = "DuckLake catalog: a file, or postgres:...",
       .apply = Assign<&Settings::ducklake, &DuckLake::catalog>},
      {.key = "ducklake.data_path",
       .type = Type::kPath,
       .default_text = "./lake_data",
       .doc = "Folder of DuckLake's data files.",
       .apply = Assign<&Settings::ducklake, &DuckLake::data_path>},
      {.key = "delta_config.table_path",
       .type = Type::kPath,
       .default_text = "./delta_tables",
       .doc = "Folder of the Delta tables, or s3://...",
       .apply = Assign<&Settings::delta_config, &DeltaConfig::table_path>,
       .flag = "--delta-path"},
      {.key = "delta_config.version_retention_hours",
       .type = Type::kInteger,
       .default_text = "168",
       .doc = "How long old versions stay readable.",
       .apply = Assign<&Settings::delta_config, &DeltaConfig::version_retention_hours>,
       .maximum = 24 * 36500},
      {.key = "delta_config.checkpoint_interval",
       .type = Type::kInteger,
       .default_text = "10",
       .doc = "Versions between checkpoints; at most one checkpoint every 30 s.",
       .apply = Assign<&Settings::delta_config, &DeltaConfig::checkpoint_interval>,
       .minimum = 1},
      {.key = "delta_config.enable_cdc",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "Write Delta's change data feed.",
       .apply = Assign<&Settings::delta_config, &DeltaConfig::enable_cdc>},
      {.key = "delta_config.maintenance",
       .default_text = "off",
       .doc = "Housekeeping of Delta tables beside the writer.",
       .apply = Assign<&Settings::delta_config, &DeltaConfig::maintenance>,
       .allowed = {"off", "auto"},
       .reload = Reload::kLive},
  };
}

std::vector<Setting> LandingSettings() {
  return {
      {.key = "compression.algorithm",
       .default_text = "zstd",
       .doc = "Codec of the Arrow data the server itself writes. `compression: zstd:3` sets "
              "both.",
       .apply = Assign<&Settings::compression, &Compression::algorithm>,
       .allowed = {"zstd", "lz4", "none"},
       .reload = Reload::kLive},
      {.key = "compression.level",
       .type = Type::kInteger,
       .default_text = "3",
       .doc = "Level of zstd; ignored for lz4.",
       .apply = Assign<&Settings::compression, &Compression::level>,
       .minimum = 1,
       .maximum = 22,
       .reload = Reload::kLive},
      {.key = "defaults.chunk_size",
       .type = Type::kInteger,
       .default_text = "122880",
       .doc = "Rows in a unit of validation.",
       .apply = Assign<&Settings::defaults, &Defaults::chunk_size>,
       .minimum = 1,
       .maximum = kIntMax,
       .reload = Reload::kLive},
      {.key = "defaults.schema_mode",
       .default_note = "by backend: duckdb and ducklake strict, delta merge",
       .doc = "What happens to columns the table does not have.",
       .apply = Assign<&Settings::defaults, &Defaults::schema_mode>,
       .allowed = {"strict", "merge", "widen"},
       .presence = Presence::kOptional,
       .reload = Reload::kLive},
      {.key = "defaults.on_mismatch",
       .default_text = "reject",
       .doc = "What happens to data that does not fit.",
       .apply = Assign<&Settings::defaults, &Defaults::on_mismatch>,
       .allowed = {"reject", "quarantine", "skip"},
       .reload = Reload::kLive},
  };
}

std::vector<Setting> MemoryLimits() {
  return {
      {.key = "idempotency.window_hours",
       .type = Type::kInteger,
       .default_text = "24",
       .doc = "How long a repeated idempotency key gives the first answer.",
       .apply = Assign<&Settings::idempotency_window_hours>,
       .minimum = 1,
       .maximum = 24 * 3650},
      {.key = "limits.body_bytes_max",
       .type = Type::kBytes,
       .default_note = "none: bodies are streamed",
       .doc = "Largest request body.",
       .apply = Assign<&Settings::limits, &Limits::body_bytes_max>,
       .minimum = 1,
       .presence = Presence::kOptional,
       .reload = Reload::kLive},
      {.key = "limits.message_bytes_max",
       .type = Type::kBytes,
       .default_text = "256MiB",
       .doc = "Largest single Arrow message.",
       .apply = Assign<&Settings::limits, &Limits::message_bytes_max>,
       .minimum = 1024,
       .maximum = std::numeric_limits<int32_t>::max(),
       .reload = Reload::kLive},
      {.key = "limits.request_memory_max",
       .type = Type::kMemory,
       .default_text = "64MiB",
       .doc = "Decoded bytes one request may hold while they wait. One larger message is "
              "admitted alone.",
       .apply = Assign<&Settings::limits, &Limits::request_memory_max>,
       .minimum = 1024,
       .reload = Reload::kLive},
      {.key = "limits.ingest_memory_max",
       .type = Type::kMemory,
       .default_text = "25%",
       .default_note = "25 % of the memory available, at most 2 GiB",
       .doc = "Decoded bytes all requests together may hold.",
       .apply = Assign<&Settings::limits, &Limits::ingest_memory_max>,
       .minimum = 1024,
       .default_bytes_max = 2 * kGiB,
       .reload = Reload::kLive},
      {.key = "limits.free_space_min",
       .type = Type::kBytes,
       .default_text = "64MiB",
       .doc = "Uploads are refused at their start (507) while the disk has less room: a "
              "checkpoint needs about as much as the log holds. 0 asks only the disk.",
       .apply = Assign<&Settings::limits, &Limits::free_space_min>,
       .minimum = 0},
  };
}

std::vector<Setting> ShapeLimits() {
  return {
      {.key = "limits.columns_max",
       .type = Type::kInteger,
       .default_text = "5000",
       .doc = "Columns of one batch.",
       .apply = Assign<&Settings::limits, &Limits::columns_max>,
       .minimum = 1,
       .maximum = 1000000,
       .reload = Reload::kLive},
      {.key = "limits.nesting_max",
       .type = Type::kInteger,
       .default_text = "64",
       .doc = "Depth of nested types.",
       .apply = Assign<&Settings::limits, &Limits::nesting_max>,
       .minimum = 1,
       .maximum = 1000,
       .reload = Reload::kLive},
      {.key = "limits.decompress_ratio_max",
       .type = Type::kInteger,
       .default_text = "200",
       .doc = "Decompressed bytes per received byte.",
       .apply = Assign<&Settings::limits, &Limits::decompress_ratio_max>,
       .minimum = 1,
       .maximum = kIntMax,
       .reload = Reload::kLive},
      {.key = "limits.identifier_bytes_max",
       .type = Type::kInteger,
       .default_text = "255",
       .doc = "Length of a stream, table or column name.",
       .apply = Assign<&Settings::limits, &Limits::identifier_bytes_max>,
       .minimum = 1,
       .maximum = 255,
       .reload = Reload::kLive},
  };
}

std::vector<Setting> ConnectionLimits() {
  return {
      {.key = "limits.connections_max",
       .type = Type::kInteger,
       .default_text = "10000",
       .doc = "Open connections.",
       .apply = Assign<&Settings::limits, &Limits::connections_max>,
       .minimum = 1,
       .maximum = kIntMax,
       .reload = Reload::kLive},
      {.key = "limits.connections_per_address_max",
       .type = Type::kInteger,
       .default_text = "1000",
       .doc = "Open connections of one address; peers on loopback count only against the "
              "total.",
       .apply = Assign<&Settings::limits, &Limits::connections_per_address_max>,
       .minimum = 1,
       .maximum = kIntMax,
       .reload = Reload::kLive},
      {.key = "limits.requests_in_flight_max",
       .type = Type::kInteger,
       .default_text = "256",
       .doc = "Requests worked on at once; further ones wait.",
       .apply = Assign<&Settings::limits, &Limits::requests_in_flight_max>,
       .minimum = 1,
       .maximum = kIntMax,
       .reload = Reload::kLive},
      {.key = "limits.queue_wait",
       .type = Type::kDuration,
       .default_text = "5s",
       .doc = "How long a request waits before 429 / RESOURCE_EXHAUSTED.",
       .apply = Assign<&Settings::limits, &Limits::queue_wait>,
       .reload = Reload::kLive},
      {.key = "limits.header_timeout",
       .type = Type::kDuration,
       .default_text = "10s",
       .doc = "Time for a connection to send a request's head.",
       .apply = Assign<&Settings::limits, &Limits::header_timeout>,
       .minimum = 1,
       .reload = Reload::kLive},
      {.key = "limits.body_rate_min",
       .type = Type::kRate,
       .default_text = "1KiB/s",
       .doc = "Slowest HTTP/1.1 body, over 30 s.",
       .apply = Assign<&Settings::limits, &Limits::body_rate_min>,
       .reload = Reload::kLive},
      {.key = "limits.idle_timeout",
       .type = Type::kDuration,
       .default_text = "5m",
       .doc = "A connection without an open call is closed after this.",
       .apply = Assign<&Settings::limits, &Limits::idle_timeout>,
       .minimum = 1,
       .reload = Reload::kLive},
      {.key = "limits.write_stall_timeout",
       .type = Type::kDuration,
       .default_text = "60s",
       .doc = "A reader that takes nothing for this long is cut.",
       .apply = Assign<&Settings::limits, &Limits::write_stall_timeout>,
       .minimum = 1,
       .reload = Reload::kLive},
  };
}

std::vector<Setting> QueryLimits() {
  return {
      {.key = "limits.query_timeout",
       .type = Type::kDuration,
       .doc = "Longest run of one statement.",
       .apply = Assign<&Settings::limits, &Limits::query_timeout>,
       .minimum = 1,
       .presence = Presence::kOptional,
       .reload = Reload::kLive},
      {.key = "limits.result_bytes_max",
       .type = Type::kBytes,
       .doc = "Largest result of one statement.",
       .apply = Assign<&Settings::limits, &Limits::result_bytes_max>,
       .minimum = 1,
       .presence = Presence::kOptional,
       .reload = Reload::kLive},
      {.key = "limits.idle_transaction",
       .type = Type::kDuration,
       .default_text = "60s",
       .doc = "An open transaction without a statement is rolled back after this.",
       .apply = Assign<&Settings::limits, &Limits::idle_transaction>,
       .minimum = 1,
       .reload = Reload::kLive},
      {.key = "limits.session_idle",
       .type = Type::kDuration,
       .default_text = "30m",
       .doc = "A session without a call ends after this.",
       .apply = Assign<&Settings::limits, &Limits::session_idle>,
       .minimum = 1,
       .reload = Reload::kLive},
  };
}

}  // namespace

std::vector<Setting> ServerSettings() {
  std::vector<Setting> table;
  for (auto part : {ListenSettings(), DuckDbSettings(), LakeSettings(), LandingSettings(),
                    MemoryLimits(), ShapeLimits(), ConnectionLimits(), QueryLimits()}) {
    for (Setting& setting : part) table.push_back(std::move(setting));
  }
  return table;
}

}  // namespace internal

const std::vector<Setting>& SettingTable() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> all = internal::ServerSettings();
    for (Setting& setting : internal::NamedSettings()) all.push_back(std::move(setting));
    return all;
  }();
  return table;
}

const std::vector<std::string_view>& CompressionKeys() {
  static const std::vector<std::string_view> keys = {"compression",
                                                     "streams.<name>.compression"};
  return keys;
}

std::vector<std::string> SplitKey(std::string_view key) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (true) {
    size_t dot = key.find('.', start);
    parts.emplace_back(key.substr(start, dot - start));
    if (dot == std::string_view::npos) return parts;
    start = dot + 1;
  }
}

bool HasWildcard(const Setting& setting) {
  return setting.key.find('<') != std::string_view::npos;
}

std::string EnvironmentName(const Setting& setting) {
  std::string name = "ARROWPORT_";
  for (char c : setting.key) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kText:
      return "text";
    case Type::kPath:
      return "path";
    case Type::kInteger:
      return "number";
    case Type::kPort:
      return "port";
    case Type::kBoolean:
      return "true or false";
    case Type::kBytes:
      return "size";
    case Type::kMemory:
      return "size or %";
    case Type::kRate:
      return "size per second";
    case Type::kDuration:
      return "time";
    case Type::kTextList:
      return "list";
  }
  return "text";
}

}  // namespace arrowport::config
