// Options of the client library; plain structs with working defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace arrowport {

/// Exponential backoff with full jitter: before attempt n + 1 the client sleeps a random
/// time up to min(delay_max, delay_base * 2^(n-1)), or as long as the server asked for.
struct RetryOptions {
  int attempts_max = 5;
  std::chrono::milliseconds delay_base{100};
  std::chrono::milliseconds delay_max{30000};
};

struct ClientOptions {
  std::string user;  ///< with password: basic credentials on every call
  std::string password;
  std::string token;        ///< a bearer token; wins over user
  std::string tls_ca_file;  ///< PEM; empty: the system's
  std::string tls_cert_file;
  std::string tls_key_file;
  /// For a call as a whole; none: as long as it takes.
  std::optional<std::chrono::milliseconds> call_timeout;
  RetryOptions retry;
};

/// How one upload is identified and where it lands.
struct SendOptions {
  /// Makes a repeat harmless. Send makes one when neither key nor producer is given, so
  /// that its own retries are exactly once.
  std::string idempotency_key;
  std::string producer;             ///< with sequence, instead of a key
  std::optional<int64_t> sequence;  ///< of this upload
  /// Stream settings for this upload: {"target_table", "sales.events"}, {"mode",
  /// "overwrite"}, {"delta_options.partition_by", "date,kind"} ...
  std::map<std::string, std::string> settings;
};

/// The server's answer to an upload that is durable and visible to the next query.
struct Receipt {
  std::string stream;
  std::string table;
  std::string storage_backend;
  std::string durability;  ///< "file" or "memory"
  std::string version;     ///< "duckdb:17": a read after it sees the rows
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t batches = 0;
  bool idempotent_replay = false;
  bool quarantined = false;
  std::string warning;
};

/// Everything up to and including `offset` is durable.
struct Ack {
  int64_t offset = -1;  ///< of the batch, from 0, within this writer
  int64_t rows = 0;     ///< so far, of this writer
  std::string version;
  std::vector<int64_t> quarantined;  ///< offsets set aside, of this message
};

struct WriterOptions {
  std::string producer;             ///< with sequence: repeats are recognised
  std::optional<int64_t> sequence;  ///< of the first batch
  std::map<std::string, std::string> settings;
  int64_t unacknowledged_batches_max = 1000;          ///< Write waits beyond this
  int64_t unacknowledged_bytes_max = int64_t{256} << 20;
  /// Called from the writer's own thread, in order; must not call the writer.
  std::function<void(const Ack&)> on_ack;
};

enum class QueryRoute {
  kTicket,     ///< one round trip; Arrowport
  kFlightSql,  ///< GetFlightInfo, then its endpoints; any Flight SQL server
};

struct QueryOptions {
  QueryRoute route = QueryRoute::kTicket;
};

}  // namespace arrowport
