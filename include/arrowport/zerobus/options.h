// Options of the Zerobus writer; plain structs with working defaults.
//
//   auto options = arrowport::zerobus::Options{endpoint, "main.sales.orders"}
//                      .WithCredentials(client_id, client_secret)
//                      .WithUnityCatalog(workspace_url);
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrowport/options.h"
#include "arrowport/zerobus/observer.h"

namespace arrowport::zerobus {

enum class Mode {
  kProto,   ///< protobuf records over gRPC
  kJson,    ///< JSON records over gRPC
  kFlight,  ///< Arrow Flight DoPut
};
/// "proto", "json", "flight".
std::string_view ModeName(Mode mode);

/// What a send does while too much is in flight.
enum class BackPressure { kBlock, kFail };

/// What to do when the service refuses a request for good without saying which row.
enum class RejectedRequests {
  kFail,    ///< the stream fails; every row not durable is returned as failed
  kBisect,  ///< reopen and halve the oldest request until the bad rows are found
};

enum class SchemaChange { kNewStream, kRefuse };
enum class NullElements { kFailRow, kDrop };  ///< a null in a list or as a map's value
/// What becomes of columns whose type no table has: time, duration, interval, union.
enum class UnsupportedTypes {
  kRefuse,    ///< the batch fails, naming the column
  kIntegers,  ///< counts of the type's own unit; where there is no single one: refused
  kText,      ///< "HH:MM:SS.ffffff", ISO 8601 durations, the text of a union's value
};
enum class IpcCompression { kZstd, kLz4Frame, kNone };

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Adds or replaces request metadata. Called before every connection, not on the I/O
/// thread; it may block, within the time a connection may take. The table name cannot be
/// replaced. With an `authorization` of its own no token is fetched.
using HeaderProvider = std::function<arrow::Result<Headers>()>;

/// A token of another identity provider, exchanged for a token of the service.
struct SubjectToken {
  std::string value;
  std::optional<std::chrono::system_clock::time_point> expires;
};

/// Instead of client id and secret.
struct Federation {
  /// Called when a new token is needed, not on the I/O thread.
  std::function<arrow::Result<SubjectToken>()> subject_token;
  std::string client_id;  ///< only for workload identity
  std::string identity;   ///< names this identity in the token cache
};

/// Certificates. Files are read when the writer is made.
struct TlsOptions {
  std::string ca_file;    ///< PEM, beside the system's roots
  std::string cert_file;  ///< PEM, with key_file: client certificate
  std::string key_file;
  std::string server_name;  ///< checked and sent instead of the endpoint's host
};

/// Values of the proxy variables; empty: none. The tunnel is always CONNECT.
struct ProxyOptions {
  std::string grpc_proxy;
  std::string https_proxy;
  std::string http_proxy;
  std::string no_grpc_proxy;  ///< comma list of host suffixes, "*": all
  std::string no_proxy;
  /// Reads each variable, lower case first, by `lookup`, for example std::getenv.
  static ProxyOptions From(const std::function<const char*(const char*)>& lookup);
};

/// One stream: how much is under way, how long things may take, how it recovers.
struct StreamOptions {
  int64_t max_inflight_requests = 1'000'000;  ///< record modes: accepted and not durable
  int64_t max_inflight_batches = 1'000;       ///< Flight mode, in messages
  /// The same by encoded bytes. The rows' Arrow memory is held as well until durable.
  int64_t max_inflight_bytes = int64_t{256} << 20;
  int64_t max_request_bytes = 10'420'224;  ///< record modes; a row above it fails alone
  bool recovery = true;
  int recovery_retries = 4;                            ///< attempts per outage
  std::chrono::milliseconds recovery_timeout{15'000};  ///< one attempt, token included
  std::chrono::milliseconds recovery_backoff_base{2'000};
  std::chrono::milliseconds recovery_backoff_max{30'000};
  std::chrono::milliseconds connection_timeout{30'000};  ///< Flight: one attempt
  /// Age of the oldest sent request without any progress; zero: none.
  std::chrono::milliseconds server_lack_of_ack_timeout{60'000};
  std::chrono::milliseconds flush_timeout{300'000};
  /// Cap of the wait for acks after a close signal; none: as long as the signal says.
  std::optional<std::chrono::milliseconds> stream_paused_max_wait;
  /// For the callbacks still due at the end; none: as long as they take.
  std::optional<std::chrono::milliseconds> callback_max_wait{5'000};
  IpcCompression ipc_compression = IpcCompression::kZstd;
  bool token_cache = true;
  std::chrono::seconds token_refresh_buffer{300};
  bool connection_per_stream = true;  ///< false: streams of one client may share one
  RejectedRequests rejected_requests = RejectedRequests::kFail;
  int bisect_rejections_max = 256;  ///< refused probes before the stream fails after all
  BackPressure back_pressure = BackPressure::kBlock;
};

/// Refuses sends for a while when many rows fail. Off by default.
struct CircuitBreakerOptions {
  bool enabled = false;
  double failed_rows_ratio_max = 0.01;
  std::chrono::milliseconds window{300'000};
  int64_t rows_min = 100;  ///< in the window, before it judges
  std::chrono::milliseconds pause_min{30'000};
  std::chrono::milliseconds pause_max{45'000};
  /// When the service blocks new pipelines (code 6006).
  std::chrono::milliseconds blocked_pause_min{60'000};
  std::chrono::milliseconds blocked_pause_max{90'000};
};

/// Requests first_offset..last_offset are durable. Ranges come in order, without gaps,
/// each offset once; several acks may come as one range.
struct DurableRange {
  int64_t first_offset = 0;
  int64_t last_offset = 0;
};

/// Requests first_offset..last_offset will not become durable (or not wholly).
struct FailedRange {
  int64_t first_offset = 0;
  int64_t last_offset = 0;
  arrow::Status error;
};

class Client;  // writer.h

struct Options {
  Options(std::string endpoint, std::string table)
      : endpoint(std::move(endpoint)), table(std::move(table)) {}

  Options WithCredentials(std::string id, std::string secret) const {
    Options changed = *this;
    changed.client_id = std::move(id);
    changed.client_secret = std::move(secret);
    return changed;
  }
  Options WithUnityCatalog(std::string url) const {
    Options changed = *this;
    changed.unity_catalog_url = std::move(url);
    return changed;
  }
  Options WithMode(Mode new_mode) const {
    Options changed = *this;
    changed.mode = new_mode;
    return changed;
  }

  /// What ZerobusWriter::Make checks before anything else. Errors: Configuration.
  arrow::Status Validate() const;
  /// For logs: no secret in it.
  std::string ToString() const;

  std::string endpoint;  ///< [https://|http://]host[:port]; https without a scheme
  std::string table;     ///< catalog.schema.table; one to three parts when disabled
  std::string unity_catalog_url;
  std::string client_id;
  std::string client_secret;
  std::optional<Federation> federation;  ///< instead of the two above
  HeaderProvider header_provider;
  std::string workspace_id;  ///< empty: the endpoint's host up to its first dot
  std::string application_name;

  Mode mode = Mode::kProto;
  StreamOptions stream;
  RetryOptions retry;  ///< whole sends, on a new stream, of the rows that are not durable
  TlsOptions tls;
  ProxyOptions proxy;
  CircuitBreakerOptions circuit_breaker;
  SchemaChange schema_change = SchemaChange::kNewStream;
  NullElements null_elements = NullElements::kFailRow;
  UnsupportedTypes unsupported_types = UnsupportedTypes::kRefuse;
  /// Flight: batches are cast to the table's canonical types first.
  bool cast_to_table = true;
  /// Converts and shows rows to the observers, and sends nothing. No credentials needed.
  bool writer_disabled = false;

  /// Called in order on the client's callback thread; may block (it delays only other
  /// callbacks) and may call the writer, but neither shut it down nor
  /// destroy it.
  std::function<void(const DurableRange&)> on_durable;
  std::function<void(const FailedRange&)> on_failed;
  std::vector<std::shared_ptr<WriterObserver>> observers;
  /// Shares its threads, tokens and, if asked for, connections. Null: one of its own.
  std::shared_ptr<Client> client;
};

}  // namespace arrowport::zerobus
