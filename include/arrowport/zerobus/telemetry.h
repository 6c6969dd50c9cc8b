// OpenTelemetry metrics and traces of writers, exported by OTLP/HTTP (protobuf) or into
// files. docs/reference/zerobus-telemetry.md names every metric and span.
//
//   ARROW_ASSIGN_OR_RAISE(auto telemetry, Telemetry::Make({}));
//   options.observers.push_back(telemetry->ObserverOf(options));
//   ...
//   writer->Shutdown();   // exports what is left, for at most flush_timeout
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrowport/zerobus/observer.h"
#include "arrowport/zerobus/options.h"

namespace arrowport::zerobus {

enum class TelemetryLevel { kDebug, kInfo, kWarning, kError, kOff };

struct TelemetryOptions {
  /// http:// or https://, without credentials; /v1/metrics and /v1/traces are appended.
  /// Empty: no export by HTTP.
  std::string endpoint = "http://localhost:4318";
  /// More request headers, for example {"authorization", "Bearer ..."}. Never logged.
  Headers headers;
  /// Also (or, without an endpoint, only) <folder>/otlp/{metrics,traces}.jsonl, one OTLP
  /// request a line as JSON, rotated at 64 MiB, 10 rotated files kept. Made when missing.
  std::string output_folder;
  std::chrono::milliseconds interval{5'000};
  std::chrono::milliseconds timeout{10'000};  ///< of one export
  /// How long Flush, a writer's Shutdown and Close wait for a last export.
  std::chrono::milliseconds flush_timeout{2'000};
  std::string service_name = "arrowport-zerobus";
  /// More attributes of the resource: deployment.environment.name ...
  std::vector<std::pair<std::string, std::string>> resource_attributes;
  /// Spans that wait for their export; beyond it new ones are dropped and counted.
  int64_t queued_spans_max = 8'192;
  TlsOptions tls;
  ProxyOptions proxy;
  /// Told, on the exporter's thread, when exports begin to fail (kWarning), work again
  /// (kInfo), and of each one (kDebug). Must not call the telemetry.
  std::function<void(TelemetryLevel, std::string_view)> log;
  TelemetryLevel log_level = TelemetryLevel::kInfo;  ///< the least that is told
};

struct TelemetryStatistics {
  int64_t exports = 0;         ///< requests that were accepted
  int64_t failed_exports = 0;  ///< requests that were refused, or not answered
  int64_t spans_exported = 0;
  int64_t spans_dropped = 0;  ///< the queue was full, or the collector refused them
  int64_t file_errors = 0;
};

/// Thread-safe. One thread exports; nothing here waits for it but Flush and Close. What
/// cannot be exported never delays or fails a send: metrics are cumulative and told
/// again, spans wait in a bounded queue. Exported are counts, times, table, host and the
/// texts of errors; never rows, credentials or headers.
class Telemetry {
 public:
  /// Errors: Configuration.
  static arrow::Result<std::shared_ptr<Telemetry>> Make(TelemetryOptions options);
  /// As Close.
  virtual ~Telemetry() = default;

  /// What a writer with these options tells; for its `observers`. Keeps the telemetry
  /// alive. Writers of one table and mode are added up.
  virtual std::shared_ptr<WriterObserver> ObserverOf(const Options& options) = 0;
  /// Exports now. Errors: why an export failed; Closed after flush_timeout.
  virtual arrow::Status Flush() = 0;
  /// A last export within flush_timeout (and about a second, to stop one under way), then
  /// nothing more. Idempotent. Errors: as Flush.
  virtual arrow::Status Close() = 0;
  virtual TelemetryStatistics statistics() const = 0;
};

}  // namespace arrowport::zerobus
