// The landing service's events as metrics.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "ingest/service.h"
#include "observe/metrics.h"

namespace arrowport::server {

/// Thread-safe.
class LandingMetrics final : public ingest::ServiceObserver {
 public:
  explicit LandingMetrics(std::shared_ptr<observe::Registry> metrics);

  void OnLanded(const Landed& landed) override;
  void OnSchemaMismatch(std::string_view stream) override;
  void OnGroupCommitted(std::string_view backend, int64_t requests, int64_t rows,
                        double seconds) override;

 private:
  struct StreamSeries {
    observe::Counter* rows;
    observe::Counter* bytes;
    observe::Histogram* latency;
  };
  StreamSeries SeriesOf(const Landed& landed);

  const std::shared_ptr<observe::Registry> metrics_;
  observe::Histogram& commit_seconds_;
  observe::Histogram& group_requests_;
  Mutex mutex_;
  /// By stream, backend and protocol; bounded, beyond it the registry is asked each time.
  std::map<std::string, StreamSeries, std::less<>> series_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::server
