#include "zerobus/telemetry_metrics.h"

#include <algorithm>

namespace arrowport::zerobus {
namespace {

enum class Kind { kCounter, kUpDown, kDuration };

struct InstrumentInfo {
  Kind kind;
  const char* name;
  const char* unit;
  const char* label;  ///< its own attribute; null: none
  const char* description;
};

constexpr InstrumentInfo kInstrumentTable[] = {
    {Kind::kCounter, "arrowport.zerobus.sends", "{batch}", "outcome",
     "Batches that were sent: durable, partial or failed."},
    {Kind::kCounter, "arrowport.zerobus.rows.durable", "{row}", nullptr,
     "Rows that are durable."},
    {Kind::kCounter, "arrowport.zerobus.rows.failed", "{row}", "error.type",
     "Rows that are not, by kind of error."},
    {Kind::kCounter, "arrowport.zerobus.arrow.size", "By", nullptr,
     "Arrow memory of the batches, before encoding."},
    {Kind::kCounter, "arrowport.zerobus.encoded.size", "By", nullptr,
     "The same rows, encoded."},
    {Kind::kCounter, "arrowport.zerobus.requests.sent", "{request}", "replay",
     "Requests that were sent, replays after a break included."},
    {Kind::kCounter, "arrowport.zerobus.requests.acked", "{request}", nullptr,
     "Requests that are durable."},
    {Kind::kCounter, "arrowport.zerobus.requests.failed", "{request}", "error.type",
     "Requests that are not, by kind of error."},
    {Kind::kCounter, "arrowport.zerobus.retries", "{retry}", nullptr,
     "Further attempts of sends."},
    {Kind::kCounter, "arrowport.zerobus.reconnects", "{reconnect}", "cause",
     "Connections that were replaced."},
    {Kind::kCounter, "arrowport.zerobus.connections", "{connection}", "error.type",
     "Attempts to connect, by kind of error."},
    {Kind::kCounter, "arrowport.zerobus.token.mints", "{token}", "outcome",
     "Tokens that were asked for."},
    {Kind::kUpDown, "arrowport.zerobus.in_flight.requests", "{request}", nullptr,
     "Requests accepted and not durable."},
    {Kind::kUpDown, "arrowport.zerobus.in_flight.size", "By", nullptr,
     "Their encoded bytes."},
    {Kind::kDuration, "arrowport.zerobus.send.duration", "s", "outcome",
     "From the call to the last acknowledgement."},
    {Kind::kDuration, "arrowport.zerobus.ack.duration", "s", nullptr,
     "From sending a request to its acknowledgement."},
    {Kind::kDuration, "arrowport.zerobus.encode.duration", "s", nullptr,
     "Encoding the rows of a batch, or of a part of a large one."},
    {Kind::kDuration, "arrowport.zerobus.connect.duration", "s", "error.type",
     "An attempt to connect, token included."},
};
static_assert(std::size(kInstrumentTable) == static_cast<size_t>(Instrument::kCount));

constexpr size_t Index(Instrument instrument) { return static_cast<size_t>(instrument); }

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Finds or adds the value of a label without making a string for one that is known.
template <typename Map>
typename Map::mapped_type& ValueOf(Map* map, std::string_view label) {
  const auto found = map->find(label);
  if (found != map->end()) return found->second;
  return map->emplace(std::string(label), typename Map::mapped_type{}).first->second;
}

template <typename Point>
void Describe(const MetricSet::Attributes& attributes, const char* key,
              const std::string& label, uint64_t start_nanos, uint64_t now_nanos,
              Point* point) {
  point->set_start_time_unix_nano(start_nanos);
  point->set_time_unix_nano(now_nanos);
  for (const auto& [name, value] : attributes) {
    AddAttribute(name, value, point->mutable_attributes());
  }
  if (key && !label.empty()) AddAttribute(key, label, point->mutable_attributes());
}

}  // namespace

// As OpenTelemetry's conventions advise for durations, with finer and coarser ends.
const std::array<double, MetricSet::kBounds> MetricSet::kBoundsSeconds = {
    0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60};

void MetricSet::Add(Instrument instrument, int64_t amount, std::string_view label) {
  MutexLock lock(mutex_);
  ValueOf(&sums_[Index(instrument)], label) += amount;
}

void MetricSet::Record(Instrument instrument, std::chrono::nanoseconds time,
                       std::string_view label) {
  const double seconds = Seconds(time);
  const auto bucket = static_cast<size_t>(
      std::lower_bound(kBoundsSeconds.begin(), kBoundsSeconds.end(), seconds) -
      kBoundsSeconds.begin());
  MutexLock lock(mutex_);
  Distribution& distribution = ValueOf(&distributions_[Index(instrument)], label);
  ++distribution.counts[bucket];
  const bool first = distribution.count++ == 0;
  distribution.sum += seconds;
  distribution.min = first ? seconds : std::min(distribution.min, seconds);
  distribution.max = first ? seconds : std::max(distribution.max, seconds);
}

void MetricSet::Append(const Distribution& distribution,
                       otlp::HistogramDataPoint* point) {
  point->set_count(distribution.count);
  point->set_sum(distribution.sum);
  point->set_min(distribution.min);
  point->set_max(distribution.max);
  for (const uint64_t count : distribution.counts) point->add_bucket_counts(count);
  for (const double bound : kBoundsSeconds) point->add_explicit_bounds(bound);
}

void MetricSet::AppendTo(uint64_t start_nanos, uint64_t now_nanos,
                         otlp::ScopeMetrics* metrics) const {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < kInstruments; ++i) {
    if (sums_[i].empty() && distributions_[i].empty()) continue;
    const InstrumentInfo& info = kInstrumentTable[i];
    otlp::Metric* metric = metrics->add_metrics();
    metric->set_name(info.name);
    metric->set_unit(info.unit);
    metric->set_description(info.description);
    if (info.kind == Kind::kDuration) {
      otlp::Histogram* histogram = metric->mutable_histogram();
      histogram->set_aggregation_temporality(otlp::AGGREGATION_TEMPORALITY_CUMULATIVE);
      for (const auto& [label, distribution] : distributions_[i]) {
        otlp::HistogramDataPoint* point = histogram->add_data_points();
        Describe(attributes_, info.label, label, start_nanos, now_nanos, point);
        Append(distribution, point);
      }
      continue;
    }
    otlp::Sum* sum = metric->mutable_sum();
    sum->set_aggregation_temporality(otlp::AGGREGATION_TEMPORALITY_CUMULATIVE);
    sum->set_is_monotonic(info.kind == Kind::kCounter);
    for (const auto& [label, value] : sums_[i]) {
      otlp::NumberDataPoint* point = sum->add_data_points();
      Describe(attributes_, info.label, label, start_nanos, now_nanos, point);
      point->set_as_int(value);
    }
  }
}

void AddAttribute(std::string_view key, std::string_view value,
                  google::protobuf::RepeatedPtrField<otlp::KeyValue>* attributes) {
  otlp::KeyValue* attribute = attributes->Add();
  attribute->set_key(std::string(key));
  attribute->mutable_value()->set_string_value(std::string(value));
}

void AddAttribute(std::string_view key, int64_t value,
                  google::protobuf::RepeatedPtrField<otlp::KeyValue>* attributes) {
  otlp::KeyValue* attribute = attributes->Add();
  attribute->set_key(std::string(key));
  attribute->mutable_value()->set_int_value(value);
}

}  // namespace arrowport::zerobus
