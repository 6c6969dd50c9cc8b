// The metrics of writers: a fixed table of instruments, and their values.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "zerobus/otlp/arrowport_otlp.pb.h"

namespace arrowport::zerobus {

/// docs/reference/zerobus-telemetry.md describes each.
enum class Instrument {
  kSends,
  kRowsDurable,
  kRowsFailed,
  kArrowBytes,
  kEncodedBytes,
  kRequestsSent,
  kRequestsAcked,
  kRequestsFailed,
  kRetries,
  kReconnects,
  kConnections,
  kTokenMints,
  kInFlightRequests,
  kInFlightBytes,
  kSendDuration,
  kAckDuration,
  kEncodeDuration,
  kConnectDuration,
  kCount,
};

/// Values since it was made, of one set of attributes. Thread-safe; each call is a few
/// nanoseconds under a lock of its own.
class MetricSet {
 public:
  using Attributes = std::vector<std::pair<std::string, std::string>>;
  explicit MetricSet(Attributes attributes) : attributes_(std::move(attributes)) {}

  /// `label`: value of the instrument's own attribute; empty: without it.
  void Add(Instrument instrument, int64_t amount, std::string_view label = {});
  /// REQUIRES: a duration.
  void Record(Instrument instrument, std::chrono::nanoseconds time,
              std::string_view label = {});

  /// Appends every metric that has a value. Times in nanoseconds since 1970.
  void AppendTo(uint64_t start_nanos, uint64_t now_nanos,
                otlp::ScopeMetrics* metrics) const;

  const Attributes& attributes() const { return attributes_; }

 private:
  static constexpr size_t kInstruments = static_cast<size_t>(Instrument::kCount);
  static constexpr size_t kBounds = 16;
  struct Distribution {
    std::array<uint64_t, kBounds + 1> counts{};
    uint64_t count = 0;
    double sum = 0;
    double min = 0;
    double max = 0;
  };
  static const std::array<double, kBounds> kBoundsSeconds;
  static void Append(const Distribution& distribution, otlp::HistogramDataPoint* point);

  const Attributes attributes_;
  mutable Mutex mutex_;
  std::array<std::map<std::string, int64_t, std::less<>>, kInstruments> sums_
      GUARDED_BY(mutex_);
  std::array<std::map<std::string, Distribution, std::less<>>, kInstruments>
      distributions_ GUARDED_BY(mutex_);
};

void AddAttribute(std::string_view key, std::string_view value,
                  google::protobuf::RepeatedPtrField<otlp::KeyValue>* attributes);
void AddAttribute(std::string_view key, int64_t value,
                  google::protobuf::RepeatedPtrField<otlp::KeyValue>* attributes);

}  // namespace arrowport::zerobus
