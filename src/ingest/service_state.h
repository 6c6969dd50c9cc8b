// What the uploads of one service share. Internal to ingest.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "ingest/committer.h"
#include "ingest/idempotency.h"
#include "ingest/outstanding.h"
#include "ingest/service.h"
#include "ingest/window_clock.h"
#include "ingest/worker_pool.h"

namespace arrowport::ingest {

/// One sink with what belongs to it.
struct Backend {
  std::string name;
  std::shared_ptr<sink::TableSink> sink;
  std::unique_ptr<IdempotencyIndex> index;
  std::unique_ptr<Committer> committer;

  bool commits_per_table() const {
    return sink->commit_scope() == sink::CommitScope::kTable;
  }
};

/// An upload that holds rows it could give to the storage early.
class Spillable {
 public:
  virtual ~Spillable() = default;
  virtual int64_t spillable_bytes() const = 0;
  virtual void Spill() = 0;
};

/// Thread-safe.
class ServiceState {
 public:
  explicit ServiceState(ServiceOptions options);
  ~ServiceState();

  /// What the next upload begins with.
  struct Live {
    StreamSettings defaults;
    std::map<std::string, SettingTexts> streams;
    Limits limits;
  };
  std::shared_ptr<const Live> live() const;
  void set_live(std::shared_ptr<const Live> live);

  arrow::Status Start();
  void Stop(std::chrono::milliseconds grace);
  bool draining() const { return draining_.load(std::memory_order_acquire); }

  Backend* FindBackend(const std::string& name);
  const std::map<std::string, Backend>& backends() const { return backends_; }
  const ServiceOptions& options() const { return options_; }
  WorkerPool& pool() { return *pool_; }
  Outstanding& outstanding() { return outstanding_; }

  int64_t NowUs() const;

  /// Statistics, metrics and log of one upload's steps.
  void Opened(const std::string& stream, const std::string& table,
              const std::string& backend);
  void Landed(const ServiceObserver::Landed& landed);
  void Refused(const Request& request, const arrow::Status& status);
  void Mismatched(const Request& request, const arrow::Schema& incoming,
                  const arrow::Status& status);
  std::vector<StreamInfo> Streams() const;

  /// Memory pressure: uploads that hold rows give them to the storage, largest first.
  void Register(std::weak_ptr<Spillable> upload, const void* id);
  void Unregister(const void* id);
  bool over_budget() const { return options_.budget && options_.budget->over(); }
  void RelievePressure();

  /// Forgets and deletes what is older than the window, now and then.
  void PruneLedgers();

 private:
  const ServiceOptions options_;
  std::map<std::string, Backend> backends_;
  std::unique_ptr<WorkerPool> pool_;
  Outstanding outstanding_;
  std::atomic<bool> draining_{false};
  std::unique_ptr<WindowClock> window_clock_;  ///< from Start on
  std::atomic<int64_t> pruned_at_us_{0};       ///< on the steady clock

  mutable Mutex live_mutex_;
  std::shared_ptr<const Live> live_ GUARDED_BY(live_mutex_);

  mutable Mutex stats_mutex_;
  std::unordered_map<std::string, StreamInfo> stats_ GUARDED_BY(stats_mutex_);
  std::unordered_set<size_t> logged_shapes_ GUARDED_BY(stats_mutex_);

  Mutex spill_mutex_;
  std::unordered_map<const void*, std::weak_ptr<Spillable>> spillable_
      GUARDED_BY(spill_mutex_);
};

}  // namespace arrowport::ingest
