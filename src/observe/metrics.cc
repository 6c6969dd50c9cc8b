#include "observe/metrics.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace arrowport::observe {
namespace {

using Labels = std::span<const std::string_view>;

constexpr std::array<std::string_view, 3> kStreamBackendProtocol = {"stream", "backend",
                                                                    "protocol"};
constexpr std::array<std::string_view, 2> kRouteCode = {"route", "code"};
constexpr std::array<std::string_view, 2> kTableResult = {"table", "result"};
constexpr std::array<std::string_view, 1> kStream = {"stream"};
constexpr std::array<std::string_view, 1> kTable = {"table"};
constexpr std::array<std::string_view, 1> kProtocol = {"protocol"};
constexpr std::array<std::string_view, 1> kArea = {"area"};
constexpr std::array<std::string_view, 1> kReason = {"reason"};
constexpr std::array<std::string_view, 1> kResult = {"result"};
constexpr std::array<std::string_view, 1> kVersion = {"version"};

constexpr std::array kSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                 0.25,   0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 120.0};
constexpr std::array kCounts = {1.0,  2.0,  4.0,   8.0,   16.0,
                                32.0, 64.0, 128.0, 256.0, 1024.0};
constexpr std::array kRatios = {1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 100.0};

constexpr auto kCounter = MetricKind::kCounter;
constexpr auto kGauge = MetricKind::kGauge;
constexpr auto kHistogram = MetricKind::kHistogram;

constexpr MetricInfo kMetrics[] = {
    {Metric::kRowsProcessed,
     "arrowport_rows_processed_total",
     "Rows made durable.",
     kCounter,
     kStreamBackendProtocol,
     {}},
    {Metric::kBytesReceived,
     "arrowport_bytes_received_total",
     "Decoded Arrow bytes of uploads made durable.",
     kCounter,
     kStreamBackendProtocol,
     {}},
    {Metric::kIngestLatency, "arrowport_ingest_latency_seconds",
     "Time from the head of an upload to its acknowledgement.", kHistogram, kStream,
     kSeconds},
    {Metric::kActiveConnections,
     "arrowport_active_connections",
     "Open connections.",
     kGauge,
     kProtocol,
     {}},
    {Metric::kRequests,
     "arrowport_requests_total",
     "Requests answered, by route and status.",
     kCounter,
     kRouteCode,
     {}},
    {Metric::kCompressionRatio, "arrowport_compression_ratio",
     "Decoded bytes per byte on the wire of compressed uploads.", kHistogram, kStream,
     kRatios},
    {Metric::kSchemaMismatches,
     "arrowport_schema_mismatches_total",
     "Uploads whose schema or values did not fit their table.",
     kCounter,
     kStream,
     {}},
    {Metric::kMemoryBytes,
     "arrowport_memory_bytes",
     "Memory held, by area.",
     kGauge,
     kArea,
     {}},
    {Metric::kCommitSeconds, "arrowport_commit_seconds", "Duration of a group commit.",
     kHistogram, Labels{}, kSeconds},
    {Metric::kCommitGroupRequests, "arrowport_commit_group_requests",
     "Requests applied by one group commit.", kHistogram, Labels{}, kCounts},
    {Metric::kInflightBytes,
     "arrowport_inflight_bytes",
     "Bytes of requests received and not yet durable.",
     kGauge,
     Labels{},
     {}},
    {Metric::kAdmissionRejected,
     "arrowport_admission_rejected_total",
     "Requests refused for lack of room.",
     kCounter,
     kReason,
     {}},
    {Metric::kWalBytes,
     "arrowport_wal_bytes",
     "Size of the write-ahead log.",
     kGauge,
     Labels{},
     {}},
    {Metric::kCheckpointSeconds, "arrowport_checkpoint_seconds",
     "Duration of a checkpoint.", kHistogram, Labels{}, kSeconds},
    {Metric::kQuarantineBytes,
     "arrowport_quarantine_bytes",
     "Bytes in quarantine.",
     kGauge,
     Labels{},
     {}},
    {Metric::kQuerySeconds, "arrowport_query_seconds",
     "Time from a statement's arrival to the end of its result.", kHistogram, Labels{},
     kSeconds},
    {Metric::kConfigReloads,
     "arrowport_config_reloads_total",
     "Configuration reloads.",
     kCounter,
     kResult,
     {}},
    {Metric::kDeltaTableVersion,
     "arrowport_delta_table_version",
     "Newest version of a Delta table.",
     kGauge,
     kTable,
     {}},
    {Metric::kDeltaTableFiles,
     "arrowport_delta_table_files",
     "Live data files of a Delta table.",
     kGauge,
     kTable,
     {}},
    {Metric::kDeltaTableSizeBytes,
     "arrowport_delta_table_size_bytes",
     "Bytes of live data files of a Delta table.",
     kGauge,
     kTable,
     {}},
    {Metric::kDeltaTableSmallFiles,
     "arrowport_delta_table_small_files",
     "Live data files worth merging.",
     kGauge,
     kTable,
     {}},
    {Metric::kDeltaCommits,
     "arrowport_delta_commits_total",
     "Delta commits tried.",
     kCounter,
     kTableResult,
     {}},
    {Metric::kFreshness,
     "arrowport_freshness_seconds",
     "Age of the newest acknowledged rows of a table.",
     kGauge,
     kTable,
     {}},
    {Metric::kBuildInfo,
     "arrowport_build_info",
     "Always 1; the version is the label.",
     kGauge,
     kVersion,
     {}},
    {Metric::kProcessResidentBytes,
     "process_resident_memory_bytes",
     "Resident memory.",
     kGauge,
     Labels{},
     {}},
    {Metric::kProcessCpuSeconds,
     "process_cpu_seconds_total",
     "User and system CPU time.",
     kCounter,
     Labels{},
     {}},
    {Metric::kProcessStartTime,
     "process_start_time_seconds",
     "Start of the process since the Unix epoch.",
     kGauge,
     Labels{},
     {}},
    {Metric::kProcessOpenFiles,
     "process_open_fds",
     "Open file descriptors.",
     kGauge,
     Labels{},
     {}},
};

void AppendNumber(double value, std::string* out) {
  if (std::isnan(value)) {
    out->append("NaN");
  } else if (std::isinf(value)) {
    out->append(value > 0 ? "+Inf" : "-Inf");
  } else {
    char text[32];
    auto [end, error] = std::to_chars(text, text + sizeof(text), value);
    out->append(text, end);
  }
}

void AppendEscaped(std::string_view value, std::string* out) {
  for (char c : value) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '"') {
      out->append("\\\"");
    } else if (c == '\n') {
      out->append("\\n");
    } else {
      out->push_back(c);
    }
  }
}

/// `name{labels,extra}`; `extra` is a ready `le="..."` or empty.
void AppendSeries(std::string_view name, Labels labels, const LabelValues& values,
                  std::string_view extra, std::string* out) {
  out->append(name);
  if (!labels.empty() || !extra.empty()) {
    char separator = '{';
    for (size_t i = 0; i < labels.size(); ++i) {
      out->push_back(separator);
      out->append(labels[i]).append("=\"");
      AppendEscaped(values[i], out);
      out->push_back('"');
      separator = ',';
    }
    if (!extra.empty()) {
      out->push_back(separator);
      out->append(extra);
    }
    out->push_back('}');
  }
  out->push_back(' ');
}

void AppendHistogram(const MetricInfo& info, const LabelValues& labels,
                     const Histogram& histogram, std::string* out) {
  const std::string name(info.name);
  const size_t bounds = histogram.bounds().size();
  uint64_t total = 0;
  for (size_t i = 0; i <= bounds; ++i) {
    std::string le = "le=\"";
    AppendNumber(i < bounds ? histogram.bounds()[i] : INFINITY, &le);
    le.push_back('"');
    AppendSeries(name + "_bucket", info.labels, labels, le, out);
    // An observation may land between two reads; a cumulative count must not fall.
    total = std::max(total, histogram.CumulativeCount(i));
    out->append(std::to_string(total)).push_back('\n');
  }
  AppendSeries(name + "_sum", info.labels, labels, {}, out);
  AppendNumber(histogram.sum(), out);
  out->push_back('\n');
  AppendSeries(name + "_count", info.labels, labels, {}, out);
  out->append(std::to_string(total)).push_back('\n');
}

}  // namespace

const MetricInfo& InfoOf(Metric metric) { return kMetrics[static_cast<size_t>(metric)]; }

std::span<const MetricInfo> AllMetrics() { return kMetrics; }

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds),
      counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {}

void Histogram::Observe(double value) {
  size_t i = 0;
  while (i < bounds_.size() && value > bounds_[i]) ++i;
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::CumulativeCount(size_t i) const {
  uint64_t total = 0;
  for (size_t j = 0; j <= i; ++j) total += counts_[j].load(std::memory_order_relaxed);
  return total;
}

uint64_t Histogram::count() const { return CumulativeCount(bounds_.size()); }

/// A callback and the lock that lets its owner wait for a running call.
struct Registry::Observed {
  Metric metric;
  Mutex mutex;
  Callback callback GUARDED_BY(mutex);
};

void Registry::BoundNames(const MetricInfo& info, LabelValues* labels) {
  ARROWPORT_CHECK(labels->size() == info.labels.size());
  for (size_t i = 0; i < labels->size(); ++i) {
    std::string_view label = info.labels[i];
    if (label != "stream" && label != "table") continue;
    auto& known = names_[label];
    std::string& value = (*labels)[i];
    if (known.contains(value)) continue;
    if (known.size() < names_max_) {
      known.insert(value);
    } else {
      value = "other";
    }
  }
}

Counter& Registry::GetCounter(Metric metric, LabelValues labels) {
  const MetricInfo& info = InfoOf(metric);
  ARROWPORT_CHECK(info.kind == MetricKind::kCounter);
  MutexLock lock(mutex_);
  BoundNames(info, &labels);
  auto& series = families_[metric].counters[std::move(labels)];
  if (!series) series = std::make_unique<Counter>();
  return *series;
}

Gauge& Registry::GetGauge(Metric metric, LabelValues labels) {
  const MetricInfo& info = InfoOf(metric);
  ARROWPORT_CHECK(info.kind == MetricKind::kGauge);
  MutexLock lock(mutex_);
  BoundNames(info, &labels);
  auto& series = families_[metric].gauges[std::move(labels)];
  if (!series) series = std::make_unique<Gauge>();
  return *series;
}

Histogram& Registry::GetHistogram(Metric metric, LabelValues labels) {
  const MetricInfo& info = InfoOf(metric);
  ARROWPORT_CHECK(info.kind == MetricKind::kHistogram);
  MutexLock lock(mutex_);
  BoundNames(info, &labels);
  auto& series = families_[metric].histograms[std::move(labels)];
  if (!series) series = std::make_unique<Histogram>(info.buckets);
  return *series;
}

std::shared_ptr<void> Registry::AddCallback(Metric metric, Callback callback) {
  ARROWPORT_CHECK(InfoOf(metric).kind != MetricKind::kHistogram);
  auto observed = std::make_shared<Observed>();
  observed->metric = metric;
  {
    MutexLock lock(observed->mutex);
    observed->callback = std::move(callback);
  }
  MutexLock lock(mutex_);
  callbacks_.remove_if([](const auto& weak) { return weak.expired(); });
  callbacks_.push_back(observed);
  // A scrape may hold the last reference: emptying under the lock waits for its call.
  return std::shared_ptr<void>(nullptr, [observed](void*) {
    MutexLock lock(observed->mutex);
    observed->callback = nullptr;
  });
}

std::string Registry::Expose() const {
  std::map<Metric, std::vector<Sample>> called;
  std::vector<std::shared_ptr<Observed>> callbacks;
  {
    MutexLock lock(mutex_);
    for (const auto& weak : callbacks_) {
      if (auto observed = weak.lock()) callbacks.push_back(std::move(observed));
    }
  }
  for (const auto& observed : callbacks) {
    MutexLock lock(observed->mutex);
    if (!observed->callback) continue;
    auto& samples = called[observed->metric];
    for (Sample& sample : observed->callback()) {
      if (sample.labels.size() != InfoOf(observed->metric).labels.size()) continue;
      if (samples.size() < names_max_) samples.push_back(std::move(sample));
    }
  }

  std::string out;
  MutexLock lock(mutex_);
  for (const MetricInfo& info : AllMetrics()) {
    auto family = families_.find(info.metric);
    auto samples = called.find(info.metric);
    if (family == families_.end() && samples == called.end()) continue;
    out.append("# HELP ").append(info.name).append(" ").append(info.help);
    out.append("\n# TYPE ").append(info.name);
    constexpr std::string_view kKindNames[] = {" counter\n", " gauge\n", " histogram\n"};
    out.append(kKindNames[static_cast<size_t>(info.kind)]);
    if (family != families_.end()) {
      for (const auto& [labels, counter] : family->second.counters) {
        AppendSeries(info.name, info.labels, labels, {}, &out);
        out.append(std::to_string(counter->value())).push_back('\n');
      }
      for (const auto& [labels, gauge] : family->second.gauges) {
        AppendSeries(info.name, info.labels, labels, {}, &out);
        AppendNumber(gauge->value(), &out);
        out.push_back('\n');
      }
      for (const auto& [labels, histogram] : family->second.histograms) {
        AppendHistogram(info, labels, *histogram, &out);
      }
    }
    if (samples == called.end()) continue;
    for (const Sample& sample : samples->second) {
      AppendSeries(info.name, info.labels, sample.labels, {}, &out);
      AppendNumber(sample.value, &out);
      out.push_back('\n');
    }
  }
  return out;
}

}  // namespace arrowport::observe
