// Metrics of the process: counters, gauges and histograms with labels, and their text
// form for Prometheus. Format: "Prometheus text exposition format", version 0.0.4.
//
// Every metric is declared once, in kMetrics (metrics.cc); nothing else can be counted.
// Names are a stable contract with users' dashboards.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace arrowport::observe {

enum class Metric {
  kRowsProcessed,
  kBytesReceived,
  kIngestLatency,
  kActiveConnections,
  kRequests,
  kCompressionRatio,
  kSchemaMismatches,
  kMemoryBytes,
  kCommitSeconds,
  kCommitGroupRequests,
  kInflightBytes,
  kAdmissionRejected,
  kWalBytes,
  kCheckpointSeconds,
  kQuarantineBytes,
  kQuerySeconds,
  kConfigReloads,
  kDeltaTableVersion,
  kDeltaTableFiles,
  kDeltaTableSizeBytes,
  kDeltaTableSmallFiles,
  kDeltaCommits,
  kFreshness,
  kBuildInfo,
  kProcessResidentBytes,
  kProcessCpuSeconds,
  kProcessStartTime,
  kProcessOpenFiles,
};

enum class MetricKind { kCounter, kGauge, kHistogram };

/// Fixed facts of a metric.
struct MetricInfo {
  Metric metric;
  std::string_view name;  ///< "arrowport_rows_processed_total"
  std::string_view help;
  MetricKind kind;
  std::span<const std::string_view> labels;
  std::span<const double> buckets;  ///< upper bounds, ascending, without +Inf
};

const MetricInfo& InfoOf(Metric metric);
/// Every metric, in declaration order.
std::span<const MetricInfo> AllMetrics();

/// Only grows. Thread-safe, one relaxed atomic addition.
class Counter {
 public:
  void Add(int64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

/// Goes up and down. Thread-safe.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations by size. Thread-safe, lock-free.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void Observe(double value);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  /// Observations not above bounds()[i]; i == bounds().size(): all.
  uint64_t CumulativeCount(size_t i) const;
  std::span<const double> bounds() const { return bounds_; }

 private:
  const std::span<const double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

/// Values of a metric's labels, in declared order.
using LabelValues = std::vector<std::string>;

/// What a callback gauge reports.
struct Sample {
  LabelValues labels;
  double value = 0;
};

/// All series of a process. Thread-safe. The references it hands out live as long as it
/// does; callers keep them, so that the hot path takes no lock.
class Registry {
 public:
  /// Of the labels `stream` and `table` at most `names_max` different values each become
  /// series; later ones are counted under "other".
  explicit Registry(size_t names_max = 1000) : names_max_(names_max) {}

  /// REQUIRES: `metric` is of that kind and `labels` has its number of labels.
  Counter& GetCounter(Metric metric, LabelValues labels = {});
  Gauge& GetGauge(Metric metric, LabelValues labels = {});
  Histogram& GetHistogram(Metric metric, LabelValues labels = {});

  using Callback = std::function<std::vector<Sample>()>;

  /// Reports what `callback` says, at scrape time, until the returned handle goes; no
  /// call is running once the handle is gone. `callback` runs on the scraping thread,
  /// must not block for long and must not use this registry. REQUIRES: a gauge or counter
  /// metric.
  [[nodiscard]] std::shared_ptr<void> AddCallback(Metric metric, Callback callback);

  /// Everything, in the text format. Metrics without a series are left out.
  std::string Expose() const;

 private:
  struct Observed;
  struct Family {
    std::map<LabelValues, std::unique_ptr<Counter>> counters;
    std::map<LabelValues, std::unique_ptr<Gauge>> gauges;
    std::map<LabelValues, std::unique_ptr<Histogram>> histograms;
  };

  void BoundNames(const MetricInfo& info, LabelValues* labels) REQUIRES(mutex_);

  const size_t names_max_;
  mutable Mutex mutex_;
  std::map<Metric, Family> families_ GUARDED_BY(mutex_);
  std::map<std::string_view, std::set<std::string>> names_ GUARDED_BY(mutex_);
  std::list<std::weak_ptr<Observed>> callbacks_ GUARDED_BY(mutex_);
};

/// Registers memory, CPU time, start time and open files of this process and the build
/// information; they are reported while the result lives.
[[nodiscard]] std::vector<std::shared_ptr<void>> AddProcessMetrics(
    Registry* registry, const std::string& version);

/// Media type of Registry::Expose.
inline constexpr std::string_view kExpositionMediaType =
    "text/plain; version=0.0.4; charset=utf-8";

}  // namespace arrowport::observe
