#include "server/landing_metrics.h"

namespace arrowport::server {
namespace {

constexpr size_t kSeriesMax = 4096;

}  // namespace

LandingMetrics::LandingMetrics(std::shared_ptr<observe::Registry> metrics)
    : metrics_(std::move(metrics)),
      commit_seconds_(metrics_->GetHistogram(observe::Metric::kCommitSeconds)),
      group_requests_(metrics_->GetHistogram(observe::Metric::kCommitGroupRequests)) {}

LandingMetrics::StreamSeries LandingMetrics::SeriesOf(const Landed& landed) {
  std::string key;
  key.append(landed.stream).append(1, '\0').append(landed.backend).append(1, '\0').append(
      landed.protocol);
  {
    MutexLock lock(mutex_);
    auto found = series_.find(key);
    if (found != series_.end()) return found->second;
  }
  observe::LabelValues labels = {std::string(landed.stream), std::string(landed.backend),
                                 std::string(landed.protocol)};
  StreamSeries series{
      &metrics_->GetCounter(observe::Metric::kRowsProcessed, labels),
      &metrics_->GetCounter(observe::Metric::kBytesReceived, labels),
      &metrics_->GetHistogram(observe::Metric::kIngestLatency, {std::string(landed.stream)})};
  MutexLock lock(mutex_);
  if (series_.size() < kSeriesMax) series_.emplace(std::move(key), series);
  return series;
}

void LandingMetrics::OnLanded(const Landed& landed) {
  StreamSeries series = SeriesOf(landed);
  if (!landed.replay) {
    series.rows->Add(landed.rows);
    series.bytes->Add(landed.bytes);
  }
  series.latency->Observe(landed.seconds);
}

void LandingMetrics::OnSchemaMismatch(std::string_view stream) {
  metrics_->GetCounter(observe::Metric::kSchemaMismatches, {std::string(stream)}).Add();
}

void LandingMetrics::OnGroupCommitted(std::string_view, int64_t requests, int64_t,
                                      double seconds) {
  commit_seconds_.Observe(seconds);
  group_requests_.Observe(static_cast<double>(requests));
}

}  // namespace arrowport::server
