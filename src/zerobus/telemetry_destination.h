// Where telemetry goes: a collector by OTLP/HTTP, files of JSON lines.
// https://opentelemetry.io/docs/specs/otlp/ and .../protocol/file-exporter/
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrowport/zerobus/telemetry.h"
#include "zerobus/debug_lane.h"
#include "zerobus/debug_lock.h"
#include "zerobus/http_fetch.h"
#include "zerobus/otlp/arrowport_otlp.pb.h"

namespace arrowport::zerobus {

enum class Signal { kMetrics, kTraces };

/// What a collector answered. Not OK and not `retry`: the same request is refused again.
struct ExportAnswer {
  arrow::Status status;
  bool retry = false;
  std::optional<int> retry_after_seconds;
  int64_t rejected = 0;  ///< data points or spans of an accepted request
};

/// Thread-safe.
class OtlpCollector {
 public:
  /// Errors: Configuration: the endpoint, a header, a certificate.
  static arrow::Result<std::unique_ptr<OtlpCollector>> Make(
      const TelemetryOptions& options);
  /// Blocks for `timeout` at most, or until about a second after `cancelled`.
  ExportAnswer Send(Signal signal, const std::string& body,
                    std::chrono::milliseconds timeout,
                    const std::atomic<bool>& cancelled) const;

 private:
  OtlpCollector(std::string base_url, std::vector<std::string> headers,
                std::unique_ptr<HttpFetcher> http)
      : base_url_(std::move(base_url)),
        headers_(std::move(headers)),
        http_(std::move(http)) {}
  const std::string base_url_;
  const std::vector<std::string> headers_;
  const std::unique_ptr<HttpFetcher> http_;
};

/// One request a line, ids in hexadecimal, enumerations as numbers. Caller-locked.
class OtlpFiles {
 public:
  /// Takes <folder>/otlp/{metrics,traces}.jsonl, or with a suffix _2, _3 ... what no
  /// other telemetry has. Errors: Configuration.
  static arrow::Result<std::unique_ptr<OtlpFiles>> Make(const std::string& folder);
  /// The line is in the file when this returns.
  arrow::Status Write(const otlp::ExportMetricsServiceRequest& request);
  arrow::Status Write(const otlp::ExportTraceServiceRequest& request);
  arrow::Status Close();

 private:
  OtlpFiles(const DebugLaneOptions& metrics, const DebugLaneOptions& traces,
            std::unique_ptr<DebugLock> lock);
  static arrow::Status WriteLine(const std::string& line, DebugFile* file);

  const std::unique_ptr<DebugLock> lock_;
  DebugFile metrics_;
  DebugFile traces_;
};

}  // namespace arrowport::zerobus
