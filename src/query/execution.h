// One statement on its way: queued, running, parked while its consumer pauses, ended.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "engine/result_stream.h"
#include "engine/statement.h"
#include "query/connection_pool.h"
#include "query/datasets.h"
#include "query/scheduler.h"
#include "query/service.h"
#include "query/service_options.h"

namespace arrowport::query {

/// What all statements of a service share.
struct Core {
  ServiceOptions options;
  std::shared_ptr<Datasets> datasets;
  std::unique_ptr<ConnectionPool> connections;
  std::unique_ptr<Scheduler> scheduler;
};

/// The SQL of a request. Errors: kInvalidName, kInvalidArgument.
arrow::Result<std::string> SqlOf(const Request& request);

/// Waits until what `token` stands for is visible. Errors: kInvalidArgument for a token
/// this server did not make.
arrow::Status WaitForVersion(const ServiceOptions& options, const std::string& token);

/// Thread-safe. The state says who may touch the stream: whoever moved it to kRunning.
class Execution : public Task, public std::enable_shared_from_this<Execution> {
 public:
  Execution(std::shared_ptr<Core> core, Request request,
            std::shared_ptr<ResultConsumer> consumer);

  void Run() override;
  Clock::Steady Sweep(Clock::Steady now) override;
  void OnStop() override;

  void Resume();
  void Cancel();

 private:
  enum class State { kQueued, kRunning, kParked, kEnded };
  enum class Turn { kEnd, kPark, kYield };

  Turn Pump(arrow::Status* outcome);
  arrow::Result<bool> Open();
  arrow::Result<bool> OpenOnce();
  arrow::Result<bool> TryAgain(const arrow::Status& failure);
  Turn Deliver(std::shared_ptr<arrow::RecordBatch> batch, bool* go_on,
               arrow::Status* outcome);
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> NextOfSecondRun(
      const arrow::Status& failure);
  void End(arrow::Status status);
  void StopWith(arrow::Status reason);
  std::optional<arrow::Status> StopReason();

  const std::shared_ptr<Core> core_;
  const Request request_;
  const Clock::Steady arrived_at_;
  const std::optional<Clock::Steady> deadline_;

  // Of the turn that runs.
  std::unique_ptr<engine::Statement> statement_;
  PooledConnection pooled_;
  engine::ResultStream* open_stream_ = nullptr;  ///< stream_, which only the turn replaces
  int64_t result_bytes_ = 0;
  int attempts_ = 0;
  bool opened_ = false;
  bool delivered_ = false;

  Mutex mutex_;
  State state_ GUARDED_BY(mutex_) = State::kQueued;
  /// Set by the turn that runs, interrupted by anybody; the turn itself uses open_stream_.
  std::unique_ptr<engine::ResultStream> stream_ GUARDED_BY(mutex_);
  std::shared_ptr<ResultConsumer> consumer_ GUARDED_BY(mutex_);
  std::optional<arrow::Status> stop_ GUARDED_BY(mutex_);
  bool resumed_ GUARDED_BY(mutex_) = false;
  Clock::Steady parked_at_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::query
