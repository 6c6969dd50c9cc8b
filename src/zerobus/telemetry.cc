#include "arrowport/zerobus/telemetry.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "arrowport/version.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "zerobus/failure.h"
#include "zerobus/telemetry_destination.h"
#include "zerobus/telemetry_metrics.h"
#include "zerobus/telemetry_observer.h"

namespace arrowport::zerobus {
namespace {

constexpr size_t kSpansPerRequest = 512;
constexpr std::chrono::hours kTimesMax{24};

uint64_t WallNanos() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   SystemClock().WallNow().time_since_epoch())
                                   .count());
}

arrow::Status Check(const TelemetryOptions& options) {
  const auto refuse = [](const char* message) {
    return MakeFailure(ErrorKind::kConfiguration, message);
  };
  if (options.endpoint.empty() && options.output_folder.empty()) {
    return refuse("telemetry needs an endpoint or an output folder");
  }
  for (const auto time : {options.interval, options.timeout, options.flush_timeout}) {
    if (time.count() <= 0 || time > kTimesMax) {
      return refuse("times of telemetry must be above 0 and at most a day");
    }
  }
  if (options.service_name.empty()) return refuse("telemetry needs a service name");
  if (options.queued_spans_max < 1) {
    return refuse("the queue of spans must have room for one");
  }
  return {};
}

otlp::Resource ResourceOf(const TelemetryOptions& options) {
  otlp::Resource resource;
  auto* attributes = resource.mutable_attributes();
  std::map<std::string, std::string> values = {{"service.name", options.service_name},
                                               {"service.instance.id", NewRandomId()},
                                               {"telemetry.sdk.name", "arrowport"},
                                               {"telemetry.sdk.language", "cpp"},
                                               {"telemetry.sdk.version", kVersionText}};
  for (const auto& [key, value] : options.resource_attributes) values[key] = value;
  for (const auto& [key, value] : values) AddAttribute(key, value, attributes);
  return resource;
}

void Describe(otlp::InstrumentationScope* scope) {
  scope->set_name("arrowport.zerobus");
  scope->set_version(kVersionText);
}

/// The queue, the values and the thread that exports them.
class Exporter final : public Telemetry,
                       public SpanSink,
                       public std::enable_shared_from_this<Exporter> {
 public:
  Exporter(TelemetryOptions options, std::unique_ptr<OtlpCollector> collector,
           std::unique_ptr<OtlpFiles> files)
      : options_(std::move(options)),
        resource_(ResourceOf(options_)),
        start_nanos_(WallNanos()),
        collector_(std::move(collector)),
        files_(std::move(files)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Exporter() override { static_cast<void>(Close()); }

  void Add(otlp::Span span) override {
    MutexLock lock(mutex_);
    if (closing_ || static_cast<int64_t>(spans_.size()) >= options_.queued_spans_max) {
      ++statistics_.spans_dropped;
      return;
    }
    spans_.push_back(std::move(span));
    if (spans_.size() == kSpansPerRequest) work_.notify_one();
  }

  void OnWriterShutdown() override { static_cast<void>(Flush()); }

  std::shared_ptr<WriterObserver> ObserverOf(const Options& options) override {
    const auto attributes = AttributesOf(options);
    MutexLock lock(mutex_);
    auto& metrics = metrics_[attributes];
    if (!metrics) metrics = std::make_shared<MetricSet>(attributes);
    return MakeTelemetryObserver(metrics, shared_from_this());
  }

  arrow::Status Flush() override {
    const auto deadline = SystemClock().SteadyNow() + options_.flush_timeout;
    MutexLock lock(mutex_);
    if (closing_) return MakeFailure(ErrorKind::kClosed, "the telemetry is closed");
    const uint64_t wanted = ++flushes_wanted_;
    work_.notify_one();
    return WaitForRound(wanted, deadline, &lock);
  }

  arrow::Status Close() override {
    MutexLock closing(close_mutex_);
    if (!thread_.joinable()) return closed_;
    const auto deadline = SystemClock().SteadyNow() + options_.flush_timeout;
    {
      MutexLock lock(mutex_);
      closing_ = true;
      const uint64_t wanted = ++flushes_wanted_;
      work_.notify_one();
      closed_ = WaitForRound(wanted, deadline, &lock);
    }
    cancelled_ = true;
    thread_.join();
    if (files_) {
      const arrow::Status status = files_->Close();
      if (closed_.ok()) closed_ = status;
    }
    return closed_;
  }

  TelemetryStatistics statistics() const override {
    MutexLock lock(mutex_);
    return statistics_;
  }

 private:
  arrow::Status WaitForRound(uint64_t wanted, Clock::Steady deadline, MutexLock* lock)
      REQUIRES(mutex_) {
    while (flushes_done_ < wanted) {
      if (lock->WaitUntil(done_, deadline) == std::cv_status::timeout &&
          flushes_done_ < wanted) {
        return MakeFailure(ErrorKind::kClosed,
                           "telemetry was not exported in time: the collector is slow");
      }
    }
    return last_export_;
  }

  // --- The thread ---

  void Run() {
    auto due = SystemClock().SteadyNow() + options_.interval;
    MutexLock lock(mutex_);
    while (true) {
      while (!closing_ && flushes_wanted_ == flushes_done_ &&
             SystemClock().SteadyNow() < due &&
             (failing_ || spans_.size() < kSpansPerRequest)) {
        lock.WaitUntil(work_, due);
      }
      const bool last = closing_;
      const uint64_t wanted = flushes_wanted_;
      const bool spans_only =
          !last && wanted == flushes_done_ && SystemClock().SteadyNow() < due;
      lock.Unlock();
      wait_seconds_ = 0;
      arrow::Status status = spans_only ? arrow::Status() : ExportMetrics();
      const arrow::Status spans_status = ExportSpans();
      if (status.ok()) status = spans_status;
      Tell(status);
      lock.Lock();
      failing_ = !status.ok();
      last_export_ = status;
      flushes_done_ = wanted;
      done_.notify_all();
      if (last) return;
      if (!spans_only || failing_) {
        due = SystemClock().SteadyNow() +
              std::max<std::chrono::milliseconds>(options_.interval,
                                                  std::chrono::seconds(wait_seconds_));
      }
    }
  }

  arrow::Status ExportMetrics() {
    otlp::ExportMetricsServiceRequest request;
    otlp::ResourceMetrics* resource = request.add_resource_metrics();
    *resource->mutable_resource() = resource_;
    otlp::ScopeMetrics* scope = resource->add_scope_metrics();
    Describe(scope->mutable_scope());
    const uint64_t now = WallNanos();
    {
      MutexLock lock(mutex_);
      for (const auto& [attributes, metrics] : metrics_) {
        metrics->AppendTo(start_nanos_, now, scope);
      }
    }
    if (scope->metrics().empty()) return {};
    WriteToFiles(request);
    // Cumulative: what is not delivered now is told by the next export.
    return Deliver(Signal::kMetrics, request.SerializeAsString()).status;
  }

  arrow::Status ExportSpans() {
    while (!cancelled_) {
      if (pending_spans_ == 0 && !TakeSpans()) return {};
      const ExportAnswer answer = Deliver(Signal::kTraces, pending_body_);
      if (answer.retry) return answer.status;
      const int64_t lost = answer.status.ok() ? answer.rejected : pending_spans_;
      {
        MutexLock lock(mutex_);
        statistics_.spans_dropped += std::min(lost, pending_spans_);
        statistics_.spans_exported += pending_spans_ - std::min(lost, pending_spans_);
      }
      pending_spans_ = 0;
      if (!answer.status.ok()) return answer.status;
    }
    return {};
  }

  /// Makes the next request of spans; false: there are none.
  bool TakeSpans() {
    otlp::ExportTraceServiceRequest request;
    otlp::ResourceSpans* resource = request.add_resource_spans();
    *resource->mutable_resource() = resource_;
    otlp::ScopeSpans* scope = resource->add_scope_spans();
    Describe(scope->mutable_scope());
    {
      MutexLock lock(mutex_);
      while (!spans_.empty() &&
             scope->spans_size() < static_cast<int>(kSpansPerRequest)) {
        *scope->add_spans() = std::move(spans_.front());
        spans_.pop_front();
      }
    }
    if (scope->spans().empty()) return false;
    WriteToFiles(request);
    pending_spans_ = scope->spans_size();
    pending_body_ = collector_ ? request.SerializeAsString() : std::string();
    return true;
  }

  template <typename Request>
  void WriteToFiles(const Request& request) {
    if (!files_) return;
    const arrow::Status status = files_->Write(request);
    if (status.ok()) return;
    {
      MutexLock lock(mutex_);
      ++statistics_.file_errors;
    }
    Log(TelemetryLevel::kWarning,
        "telemetry lacks something in its files: " + status.message());
  }

  ExportAnswer Deliver(Signal signal, const std::string& body) {
    if (!collector_) return {};
    ExportAnswer answer = collector_->Send(signal, body, options_.timeout, cancelled_);
    if (answer.retry_after_seconds) {
      wait_seconds_ = std::max(wait_seconds_, *answer.retry_after_seconds);
    }
    const char* name = signal == Signal::kMetrics ? "metrics" : "spans";
    if (answer.status.ok()) {
      Log(TelemetryLevel::kDebug, std::string("exported ") + name);
    }
    if (answer.rejected > 0) {
      Log(TelemetryLevel::kWarning, std::string("the collector refused some ") + name +
                                        ": " + std::to_string(answer.rejected));
    }
    MutexLock lock(mutex_);
    ++(answer.status.ok() ? statistics_.exports : statistics_.failed_exports);
    return answer;
  }

  /// Once when exports begin to fail, and once when they work again.
  void Tell(const arrow::Status& status) {
    if (status.ok() == !told_failing_) return;
    told_failing_ = !status.ok();
    if (status.ok()) return Log(TelemetryLevel::kInfo, "telemetry is exported again");
    Log(TelemetryLevel::kWarning,
        "telemetry cannot be exported, sends go on: " + status.message());
  }

  void Log(TelemetryLevel level, std::string_view message) const {
    if (options_.log && level >= options_.log_level) options_.log(level, message);
  }

  const TelemetryOptions options_;
  const otlp::Resource resource_;
  const uint64_t start_nanos_;
  const std::unique_ptr<OtlpCollector> collector_;  ///< may be null
  std::atomic<bool> cancelled_{false};

  // The thread's own.
  const std::unique_ptr<OtlpFiles> files_;  ///< may be null; Close's when it has ended
  std::string pending_body_;
  int64_t pending_spans_ = 0;
  int wait_seconds_ = 0;
  bool told_failing_ = false;

  mutable Mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<otlp::Span> spans_ GUARDED_BY(mutex_);
  std::map<MetricSet::Attributes, std::shared_ptr<MetricSet>> metrics_ GUARDED_BY(mutex_);
  TelemetryStatistics statistics_ GUARDED_BY(mutex_);
  uint64_t flushes_wanted_ GUARDED_BY(mutex_) = 0;
  uint64_t flushes_done_ GUARDED_BY(mutex_) = 0;
  bool failing_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  arrow::Status last_export_ GUARDED_BY(mutex_);

  Mutex close_mutex_;  ///< before mutex_
  arrow::Status closed_ GUARDED_BY(close_mutex_);
  std::thread thread_ GUARDED_BY(close_mutex_);
};

}  // namespace

arrow::Result<std::shared_ptr<Telemetry>> Telemetry::Make(TelemetryOptions options) {
  ARROW_RETURN_NOT_OK(Check(options));
  std::unique_ptr<OtlpCollector> collector;
  if (!options.endpoint.empty()) {
    ARROW_ASSIGN_OR_RAISE(collector, OtlpCollector::Make(options));
  }
  std::unique_ptr<OtlpFiles> files;
  if (!options.output_folder.empty()) {
    ARROW_ASSIGN_OR_RAISE(files, OtlpFiles::Make(options.output_folder));
  }
  return std::make_shared<Exporter>(std::move(options), std::move(collector),
                                    std::move(files));
}

}  // namespace arrowport::zerobus
