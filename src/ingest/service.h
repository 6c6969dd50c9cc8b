// The landing service: routes uploads to sinks and owns what they share: one committer
// per sink, the loader threads, the idempotency mirror, the statistics.
#pragma once

#include <arrow/result.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "ingest/committer.h"
#include "ingest/session.h"
#include "ingest/stream_settings.h"
#include "schema/cast_plan.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

struct Limits {
  schema::SchemaLimits schema;
  int64_t request_memory_max = 64 << 20;  ///< decoded bytes waiting, per upload
};

/// What happened, for metrics. Thread-safe; must not block.
class ServiceObserver {
 public:
  struct Landed {
    std::string_view stream;
    std::string_view backend;
    std::string_view protocol;
    int64_t rows = 0;
    int64_t bytes = 0;
    int64_t batches = 0;
    double seconds = 0;  ///< from Open to the durable answer
    bool replay = false;
  };
  virtual ~ServiceObserver() = default;
  /// An upload, or in batch mode a group of its batches, is durable.
  virtual void OnLanded(const Landed& landed) {}
  virtual void OnRefused(std::string_view stream, std::string_view protocol,
                         const arrow::Status& status) {}
  virtual void OnSchemaMismatch(std::string_view stream) {}
  virtual void OnGroupCommitted(std::string_view backend, int64_t requests, int64_t rows,
                                double seconds) {}
};

struct ServiceOptions {
  std::map<std::string, std::shared_ptr<sink::TableSink>> sinks;  ///< by backend
  StreamSettings defaults;
  /// `streams.<name>.*`, as texts.
  std::map<std::string, SettingTexts> streams;
  Limits limits;
  /// Shared with the wire, which charges what it decodes; may be null.
  std::shared_ptr<ByteBudget> budget;
  const Clock* clock = &SystemClock();
  std::shared_ptr<ServiceObserver> observer;  ///< may be null
  int64_t idempotency_window_hours = 24;
  int loader_threads = 2;
  CommitterOptions committer;  ///< of sinks that commit everything one after the other
  /// Of sinks that commit table by table; a group is one data file at best.
  CommitterOptions table_committer = {.threads = 4,
                                      .group_rows_max = int64_t{4} << 20,
                                      .group_bytes_max = int64_t{256} << 20};
  size_t streams_seen_max = 10000;  ///< statistics of unconfigured streams kept
};

class ServiceState;

/// Thread-safe. Sessions may outlive it; they then fail with kDraining.
class LandingService : public Service {
 public:
  /// Loads the ledgers and starts the threads. Errors: kBadConfig, those of LoadLedger.
  static arrow::Result<std::unique_ptr<LandingService>> Make(ServiceOptions options);
  ~LandingService() override;

  arrow::Result<std::unique_ptr<Session>> Open(
      Request request, std::shared_ptr<SessionObserver> observer) override;
  std::vector<StreamInfo> Streams() const override;
  arrow::Status Flush() override;
  arrow::Status Checkpoint() override;

  /// Replaces what reloads live; uploads under way keep what they began with.
  /// Errors: kBadConfig (nothing is changed).
  arrow::Status Reload(StreamSettings defaults,
                       std::map<std::string, SettingTexts> streams, Limits limits);

  /// Takes no more uploads, lets what was finished become durable for at most `grace`,
  /// then joins the threads. Idempotent.
  void Stop(std::chrono::milliseconds grace);

 private:
  explicit LandingService(std::shared_ptr<ServiceState> state);
  const std::shared_ptr<ServiceState> state_;
};

}  // namespace arrowport::ingest
