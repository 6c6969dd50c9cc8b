// What one writer tells, as metrics and spans.
#pragma once

#include <memory>
#include <string>

#include "arrowport/zerobus/observer.h"
#include "arrowport/zerobus/options.h"
#include "zerobus/otlp/arrowport_otlp.pb.h"
#include "zerobus/telemetry_metrics.h"

namespace arrowport::zerobus {

/// Thread-safe.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  /// Never waits.
  virtual void Add(otlp::Span span) = 0;
  /// A writer ends: what it told should be exported, within a bounded time.
  virtual void OnWriterShutdown() = 0;
};

/// The attributes that every metric and span of a writer carries.
MetricSet::Attributes AttributesOf(const Options& options);

std::shared_ptr<WriterObserver> MakeTelemetryObserver(std::shared_ptr<MetricSet> metrics,
                                                      std::shared_ptr<SpanSink> spans);

}  // namespace arrowport::zerobus
