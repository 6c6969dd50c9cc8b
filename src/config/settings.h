// Every setting of the program as plain values: what the composition root reads. Made by
// LoadSettings (config/load.h) from the table of config/setting_table.h, and immutable from
// then on. Text values that name one of several choices hold a validated choice.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace arrowport::config {

using std::chrono::milliseconds;

struct Api {
  std::string host;  ///< a name binds all its addresses
  uint16_t port = 0;
  bool enable_metrics = true;
  std::optional<uint16_t> metrics_port;  ///< a further port that serves only /metrics
  bool port_given = false;               ///< by file, environment or flag: no alias ports
};

struct Flight {
  uint16_t port = 0;
  bool port_given = false;
};

struct DuckDb {
  std::string path;  ///< or ":memory:"
  int64_t memory_limit_bytes = 0;
  int threads = 0;  ///< 0: all cores
  int64_t checkpoint_wal_bytes = 0;
  int64_t wal_bytes_max = 0;
};

struct DuckLake {
  std::string catalog;  ///< a path or "postgres:..."
  std::string data_path;
};

struct DeltaConfig {
  std::string table_path;  ///< a folder or s3://
  int64_t version_retention_hours = 0;
  int64_t checkpoint_interval = 0;  ///< versions
  bool enable_cdc = false;
  std::string maintenance;  ///< "off", "auto"
};

struct Compression {
  std::string algorithm;  ///< "zstd", "lz4", "none"
  int level = 0;          ///< of zstd
};

struct Defaults {
  int64_t chunk_size = 0;   ///< rows
  std::string schema_mode;  ///< "strict", "merge", "widen"; empty: by backend
  std::string on_mismatch;  ///< "reject", "quarantine", "skip"
};

/// Validated settings of one stream, or of delta_options, by name without the prefix:
/// "target_table", "mode", "delta_options.partition_by" ...; lists are comma-separated.
using StreamSettings = std::map<std::string, std::string>;

struct Limits {
  std::optional<int64_t> body_bytes_max;
  int64_t message_bytes_max = 0;
  int64_t request_memory_max = 0;  ///< bytes
  int64_t ingest_memory_max = 0;   ///< bytes
  int64_t free_space_min = 0;      ///< bytes
  int columns_max = 0;
  int nesting_max = 0;
  int decompress_ratio_max = 0;
  int identifier_bytes_max = 0;
  int connections_max = 0;
  int connections_per_address_max = 0;
  int requests_in_flight_max = 0;
  milliseconds queue_wait{0};
  milliseconds header_timeout{0};
  int64_t body_rate_min = 0;  ///< bytes per second, over 30 s
  milliseconds idle_timeout{0};
  milliseconds write_stall_timeout{0};
  std::optional<milliseconds> query_timeout;
  std::optional<int64_t> result_bytes_max;
  milliseconds idle_transaction{0};
  milliseconds session_idle{0};
};

/// Limits of one role; what is not set is taken from Limits.
struct RoleLimits {
  std::optional<milliseconds> query_timeout;
  std::optional<int64_t> result_bytes_max;
  std::optional<milliseconds> idle_transaction;
  std::optional<milliseconds> session_idle;
};

struct Quarantine {
  std::string path;
  int64_t bytes_max = 0;
};

struct Grant {
  std::string on;                     ///< "sales.*"
  std::vector<std::string> abilities;  ///< "read", "write"
};

struct User {
  std::string password_hash;  ///< scrypt or bcrypt
  std::string role;           ///< "admin", "writer", "reader"
  std::vector<Grant> grants;
};

struct Token {
  std::string name;
  std::string hash;
  std::string role;
  std::vector<Grant> grants;
};

struct Jwt {
  std::string issuer;
  std::string audience;
  std::string jwks_url;
  std::string user_claim;
  std::string role_claim;
};

struct Auth {
  std::map<std::string, User> users;
  std::vector<Token> tokens;
  milliseconds session_ttl{0};
  bool allow_anonymous = false;
  Jwt jwt;
  std::string flag_user;      ///< --user: one user with role admin, or empty
  std::string password_file;  ///< its password is the file's first line
};

struct Tls {
  std::string cert;  ///< PEM files; empty: no TLS
  std::string key;
  std::string client_ca;
};

struct LogSettings {
  std::string level;   ///< "debug", "info", "warn", "error", "off"
  std::string format;  ///< "auto", "pretty", "json"
};

struct S3 {
  std::string endpoint;
  std::string region;
  std::string key;
  std::string secret;
  std::optional<bool> path_style;
};

struct Shutdown {
  int64_t grace_seconds = 0;
};

enum class OriginKind { kDefault, kFile, kEnvironment, kFlag };

/// One line of `config show`.
struct EffectiveValue {
  std::string key;
  std::string value;   ///< canonical text; "none" when unset; never a secret's text
  std::string origin;  ///< "default", "arrowport.yaml:3", "ARROWPORT_PORT", "--port"
  OriginKind kind = OriginKind::kDefault;
  bool reloadable = false;
  /// Changes with the true value, also of a secret: what CompareSettings compares.
  std::size_t fingerprint = 0;
};

struct Settings {
  Api api;
  Flight flight;
  std::string storage_backend;  ///< "duckdb", "ducklake", "delta"
  DuckDb duckdb;
  std::vector<std::string> duckdb_extensions;
  DuckLake ducklake;
  DeltaConfig delta_config;
  Compression compression;
  Defaults defaults;
  std::map<std::string, StreamSettings> streams;
  StreamSettings delta_options;
  std::string streams_path;  ///< a file or folder of further streams, or empty
  std::map<std::string, std::string> datasets;  ///< name -> path, glob or s3://
  bool parquet_path_given = false;              ///< --parquet-path
  int64_t idempotency_window_hours = 0;
  Limits limits;
  std::map<std::string, RoleLimits> roles;
  Quarantine quarantine;
  Auth auth;
  Tls tls;
  LogSettings log;
  S3 s3;
  Shutdown shutdown;
  std::map<std::string, std::string> zerobus;  ///< raw, by key without the prefix
  std::string ready_file;                      ///< or empty
  std::string test_faults;                     ///< for ArmFaultPoints; tests only

  std::vector<EffectiveValue> effective;  ///< in the table's order
  std::vector<std::string> files;         ///< read for this, absolute: what to watch
  std::vector<std::string> warnings;      ///< to be logged at start
};

}  // namespace arrowport::config
