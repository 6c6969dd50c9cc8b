#include "zerobus/telemetry_observer.h"

#include <arrow/util/utf8.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "zerobus/rpc/target.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::nanoseconds;

constexpr size_t kMessageBytesMax = 512;
constexpr const char* kTableAttribute = "messaging.destination.name";

std::string_view CauseName(ReconnectCause cause) {
  switch (cause) {
    case ReconnectCause::kRotation:
      return "rotation";
    case ReconnectCause::kFailure:
      return "failure";
    case ReconnectCause::kAuthentication:
      return "authentication";
    case ReconnectCause::kRejectedRequest:
      return "rejected_request";
  }
  return "failure";
}

std::string_view KindName(const arrow::Status& error) {
  return ErrorKindName(KindOf(error));
}

/// REQUIRES: size <= 16.
std::string RandomBytes(size_t size) {
  const std::string digits = NewRandomId();
  std::string bytes;
  for (size_t i = 0; i < size; ++i) {
    bytes += static_cast<char>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

/// Protobuf takes valid UTF-8 only, and a service's text may be anything.
std::string SafeText(std::string text) {
  if (text.size() > kMessageBytesMax) text.resize(kMessageBytesMax);
  while (!text.empty() && (static_cast<uint8_t>(text.back()) & 0xC0) == 0x80) {
    text.pop_back();
  }
  if (!text.empty() && static_cast<uint8_t>(text.back()) >= 0x80) text.pop_back();
  arrow::util::InitializeUTF8();
  if (arrow::util::ValidateUTF8(text)) return text;
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) >= 0x80; },
      '?');
  return text;
}

uint64_t NanosSinceEpoch(Clock::Wall time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<nanoseconds>(time.time_since_epoch()).count());
}

/// Failed rows by kind. Rows that failed together share their status.
std::map<ErrorKind, int64_t> CountByKind(const TransmissionResult& result) {
  std::map<ErrorKind, int64_t> counts;
  const arrow::Status* last = nullptr;
  int64_t* count = nullptr;
  for (const FailedRow& row : result.failed_rows()) {
    if (row.error.get() != last) {
      last = row.error.get();
      count = &counts[KindOf(*last)];
    }
    ++*count;
  }
  return counts;
}

std::string TableOf(const MetricSet::Attributes& attributes) {
  for (const auto& [key, value] : attributes) {
    if (key == kTableAttribute) return value;
  }
  return {};
}

class TelemetryObserver final : public WriterObserver {
 public:
  TelemetryObserver(std::shared_ptr<MetricSet> metrics, std::shared_ptr<SpanSink> spans)
      : table_(TableOf(metrics->attributes())),
        metrics_(std::move(metrics)),
        spans_(std::move(spans)) {}
  // What was in flight is so no more; another writer of the table goes on.
  ~TelemetryObserver() override { ChangeInFlight(0, 0); }

  void OnConverted(int64_t rows, int64_t failed_rows, int64_t arrow_bytes,
                   int64_t encoded_bytes, nanoseconds time) override {
    metrics_->Add(Instrument::kEncodedBytes, encoded_bytes);
    metrics_->Record(Instrument::kEncodeDuration, time);
  }
  void OnRequestSent(const RequestEvent& request, bool replay) override {
    metrics_->Add(Instrument::kRequestsSent, 1, replay ? "true" : "false");
  }
  void OnRequestAcked(const RequestEvent& request, nanoseconds since_sent) override {
    metrics_->Record(Instrument::kAckDuration, since_sent);
    if (request.is_last) metrics_->Add(Instrument::kRequestsAcked, 1);
  }
  void OnRequestFailed(const RequestEvent& request, const arrow::Status& error) override {
    if (request.is_last) metrics_->Add(Instrument::kRequestsFailed, 1, KindName(error));
  }
  void OnInFlight(int64_t requests, int64_t bytes) override {
    ChangeInFlight(requests, bytes);
  }
  void OnReconnect(ReconnectCause cause, int attempt, std::chrono::milliseconds wait,
                   const arrow::Status& error) override {
    metrics_->Add(Instrument::kReconnects, 1, CauseName(cause));
  }
  void OnTokenMinted(bool success, nanoseconds time) override {
    metrics_->Add(Instrument::kTokenMints, 1, success ? "success" : "failure");
  }

  void OnConnected(std::string_view stream_id, nanoseconds time) override {
    metrics_->Add(Instrument::kConnections, 1);
    metrics_->Record(Instrument::kConnectDuration, time);
    otlp::Span span = MakeSpan("connect", time);
    AddAttribute("arrowport.zerobus.stream.id", SafeText(std::string(stream_id)),
                 span.mutable_attributes());
    spans_->Add(std::move(span));
  }
  void OnConnectFailed(const arrow::Status& error, nanoseconds time) override {
    metrics_->Add(Instrument::kConnections, 1, KindName(error));
    metrics_->Record(Instrument::kConnectDuration, time, KindName(error));
    otlp::Span span = MakeSpan("connect", time);
    SetError(error, &span);
    spans_->Add(std::move(span));
  }

  void OnShutdown() override { spans_->OnWriterShutdown(); }

  void OnSendFinished(const TransmissionResult& result, nanoseconds time) override {
    if (result.total_rows() == 0) return;
    const bool failed = result.successful_count() == 0;
    const std::string_view outcome = result.success() ? "durable"
                                     : failed         ? "failed"
                                                      : "partial";
    metrics_->Add(Instrument::kSends, 1, outcome);
    metrics_->Record(Instrument::kSendDuration, time, outcome);
    metrics_->Add(Instrument::kArrowBytes, result.batch_size_bytes());
    metrics_->Add(Instrument::kRowsDurable, result.successful_count());
    for (const auto& [kind, count] : CountByKind(result)) {
      metrics_->Add(Instrument::kRowsFailed, count, ErrorKindName(kind));
    }
    if (result.attempts() > 1) {
      metrics_->Add(Instrument::kRetries, result.attempts() - 1);
    }
    otlp::Span span = MakeSpan("send", time);
    auto* attributes = span.mutable_attributes();
    AddAttribute("messaging.operation.name", "send", attributes);
    AddAttribute("messaging.operation.type", "send", attributes);
    AddAttribute("messaging.batch.message_count", result.total_rows(), attributes);
    AddAttribute("arrowport.zerobus.rows.failed", result.failed_count(), attributes);
    AddAttribute("arrowport.zerobus.arrow.size", result.batch_size_bytes(), attributes);
    AddAttribute("arrowport.zerobus.attempts", int64_t{result.attempts()}, attributes);
    AddAttribute("arrowport.zerobus.outcome", outcome, attributes);
    if (!result.error().ok()) {
      SetError(result.error(), &span);
    } else if (!result.success()) {
      // The text of a row's failure may quote the row: the kind must do.
      AddAttribute("error.type", KindName(*result.failed_rows().front().error),
                   attributes);
      span.mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
    }
    spans_->Add(std::move(span));
  }

 private:
  void ChangeInFlight(int64_t requests, int64_t bytes) {
    MutexLock lock(mutex_);
    if (requests != requests_) {
      metrics_->Add(Instrument::kInFlightRequests, requests - requests_);
    }
    if (bytes != bytes_) metrics_->Add(Instrument::kInFlightBytes, bytes - bytes_);
    requests_ = requests;
    bytes_ = bytes;
  }

  otlp::Span MakeSpan(std::string_view operation, nanoseconds time) const {
    otlp::Span span;
    span.set_trace_id(RandomBytes(16));
    span.set_span_id(RandomBytes(8));
    span.set_name(std::string(operation) + " " + table_);
    span.set_kind(otlp::Span::SPAN_KIND_CLIENT);
    const uint64_t now = NanosSinceEpoch(SystemClock().WallNow());
    const auto taken = static_cast<uint64_t>(std::max<int64_t>(0, time.count()));
    span.set_start_time_unix_nano(now - std::min(now, taken));
    span.set_end_time_unix_nano(now);
    for (const auto& [key, value] : metrics_->attributes()) {
      AddAttribute(key, value, span.mutable_attributes());
    }
    return span;
  }

  static void SetError(const arrow::Status& error, otlp::Span* span) {
    const ErrorFacts facts = FactsOf(error);
    AddAttribute("error.type", ErrorKindName(facts.kind), span->mutable_attributes());
    if (facts.grpc_status) {
      AddAttribute("rpc.grpc.status_code", int64_t{*facts.grpc_status},
                   span->mutable_attributes());
    }
    if (facts.service_code) {
      AddAttribute("arrowport.zerobus.service_code", int64_t{*facts.service_code},
                   span->mutable_attributes());
    }
    span->mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
    span->mutable_status()->set_message(SafeText(error.message()));
  }

  const std::string table_;
  const std::shared_ptr<MetricSet> metrics_;
  const std::shared_ptr<SpanSink> spans_;

  Mutex mutex_;
  int64_t requests_ GUARDED_BY(mutex_) = 0;
  int64_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

MetricSet::Attributes AttributesOf(const Options& options) {
  MetricSet::Attributes attributes = {
      {"messaging.system", "zerobus"},
      {kTableAttribute, SafeText(options.table)},
      {"arrowport.zerobus.mode", std::string(ModeName(options.mode))}};
  if (const auto endpoint = rpc::ParseEndpoint(options.endpoint); endpoint.ok()) {
    attributes.emplace_back("server.address", SafeText(endpoint->host));
  }
  return attributes;
}

std::shared_ptr<WriterObserver> MakeTelemetryObserver(std::shared_ptr<MetricSet> metrics,
                                                      std::shared_ptr<SpanSink> spans) {
  return std::make_shared<TelemetryObserver>(std::move(metrics), std::move(spans));
}

}  // namespace arrowport::zerobus
