#include "ingest/service_state.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace arrowport::ingest {
namespace {

constexpr size_t kLoggedShapesMax = 4096;
constexpr int64_t kPruneEveryUs = int64_t{10} * 60 * 1000 * 1000;

int64_t MicrosecondsOf(auto time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch())
      .count();
}

}  // namespace

ServiceState::ServiceState(ServiceOptions options)
    : options_(std::move(options)),
      live_(std::make_shared<Live>(
          Live{options_.defaults, options_.streams, options_.limits})) {}

ServiceState::~ServiceState() = default;

std::shared_ptr<const ServiceState::Live> ServiceState::live() const {
  MutexLock lock(live_mutex_);
  return live_;
}

void ServiceState::set_live(std::shared_ptr<const Live> live) {
  MutexLock lock(live_mutex_);
  live_ = std::move(live);
}

int64_t ServiceState::NowUs() const {
  return MicrosecondsOf(options_.clock->WallNow());
}

arrow::Status ServiceState::Start() {
  IdempotencyIndex::Options index;
  index.window_us = options_.idempotency_window_hours * 3600 * 1000 * 1000;
  for (const auto& [name, sink] : options_.sinks) {
    Backend backend;
    backend.name = name;
    backend.sink = sink;
    index.name_case = sink->name_case();
    backend.index = std::make_unique<IdempotencyIndex>(index);
    ARROW_ASSIGN_OR_RAISE(auto entries, sink->LoadLedger(NowUs() - index.window_us));
    backend.index->Load(std::move(entries));
    auto observer = options_.observer;
    backend.committer = std::make_unique<Committer>(
        sink,
        backend.commits_per_table() ? options_.table_committer : options_.committer,
        [observer, name = name](int64_t jobs, int64_t rows, double seconds) {
          if (observer) observer->OnGroupCommitted(name, jobs, rows, seconds);
        });
    backends_.emplace(name, std::move(backend));
  }
  pool_ = std::make_unique<WorkerPool>(options_.loader_threads);
  for (auto& [name, backend] : backends_) backend.committer->Start();
  window_clock_ = std::make_unique<WindowClock>(
      *options_.clock, std::chrono::microseconds(index.window_us));
  pruned_at_us_ = MicrosecondsOf(options_.clock->SteadyNow());
  return {};
}

void ServiceState::Stop(std::chrono::milliseconds grace) {
  draining_.store(true, std::memory_order_release);
  if (!pool_) return;
  outstanding_.WaitUntil(std::chrono::steady_clock::now() + grace);
  pool_->Stop();
  for (auto& [name, backend] : backends_) backend.committer->Stop();
}

Backend* ServiceState::FindBackend(const std::string& name) {
  auto found = backends_.find(name);
  return found == backends_.end() ? nullptr : &found->second;
}

void ServiceState::Opened(const std::string& stream, const std::string& table,
                          const std::string& backend) {
  MutexLock lock(stats_mutex_);
  auto found = stats_.find(stream);
  if (found == stats_.end()) {
    if (stats_.size() >= options_.streams_seen_max) return;
    found = stats_.emplace(stream, StreamInfo{.name = stream}).first;
  }
  if (found->second.table != table) found->second.table = table;
  if (found->second.backend != backend) found->second.backend = backend;
}

void ServiceState::Landed(const ServiceObserver::Landed& landed) {
  {
    MutexLock lock(stats_mutex_);
    auto found = stats_.find(std::string(landed.stream));
    if (found != stats_.end() && !landed.replay) {
      found->second.rows += landed.rows;
      found->second.bytes += landed.bytes;
      found->second.last_ingest_us = NowUs();
    }
  }
  if (options_.observer) options_.observer->OnLanded(landed);
  PruneLedgers();
}

void ServiceState::Refused(const Request& request, const arrow::Status& status) {
  {
    MutexLock lock(stats_mutex_);
    auto found = stats_.find(request.stream);
    if (found != stats_.end()) found->second.last_error = status.message();
  }
  if (options_.observer) {
    options_.observer->OnRefused(request.stream, request.protocol, status);
  }
}

void ServiceState::Mismatched(const Request& request, const arrow::Schema& incoming,
                              const arrow::Status& status) {
  if (options_.observer) options_.observer->OnSchemaMismatch(request.stream);
  const size_t shape =
      std::hash<std::string>{}(request.stream + '\0' + incoming.ToString());
  {
    MutexLock lock(stats_mutex_);
    if (logged_shapes_.size() >= kLoggedShapesMax) return;
    if (!logged_shapes_.insert(shape).second) return;
  }
  // The message may hold a value, so it stays out of the log.
  LogWarn("schema mismatch; further ones of this shape are only counted",
          {{"stream", request.stream},
           {"code", std::string(InfoOf(CodeOf(status)).name)},
           {"request_id", request.request_id}});
}

std::vector<StreamInfo> ServiceState::Streams() const {
  const auto live = this->live();
  std::map<std::string, StreamInfo> streams;
  {
    MutexLock lock(stats_mutex_);
    for (const auto& [name, info] : stats_) streams.emplace(name, info);
  }
  for (const auto& [name, texts] : live->streams) {
    auto [at, is_new] = streams.emplace(name, StreamInfo{.name = name});
    at->second.configured = true;
    if (!is_new) continue;
    auto settings = ApplySettings(live->defaults, texts);
    if (!settings.ok()) continue;
    at->second.table = settings->target_table.empty() ? name : settings->target_table;
    at->second.backend = settings->storage_backend;
  }
  std::vector<StreamInfo> list;
  for (auto& [name, info] : streams) list.push_back(std::move(info));
  return list;
}

void ServiceState::Register(std::weak_ptr<Spillable> upload, const void* id) {
  MutexLock lock(spill_mutex_);
  spillable_.emplace(id, std::move(upload));
}

void ServiceState::Unregister(const void* id) {
  MutexLock lock(spill_mutex_);
  spillable_.erase(id);
}

void ServiceState::RelievePressure() {
  std::vector<std::pair<int64_t, std::shared_ptr<Spillable>>> uploads;
  {
    MutexLock lock(spill_mutex_);
    for (auto& [id, weak] : spillable_) {
      if (auto upload = weak.lock()) uploads.emplace_back(0, std::move(upload));
    }
  }
  for (auto& [bytes, upload] : uploads) bytes = upload->spillable_bytes();
  std::ranges::sort(uploads, std::greater{}, [](const auto& item) { return item.first; });
  // Enough to fall well below the limit once written.
  int64_t excess = options_.budget->used_bytes() - options_.budget->limit_bytes() * 3 / 4;
  for (auto& [bytes, upload] : uploads) {
    if (excess <= 0 || bytes == 0) break;
    upload->Spill();
    excess -= bytes;
  }
}

void ServiceState::PruneLedgers() {
  const int64_t steady = MicrosecondsOf(options_.clock->SteadyNow());
  int64_t last = pruned_at_us_.load(std::memory_order_relaxed);
  if (steady - last < kPruneEveryUs ||
      !pruned_at_us_.compare_exchange_strong(last, steady)) {
    return;
  }
  const int64_t now = MicrosecondsOf(window_clock_->Now());
  for (auto& [name, backend] : backends_) {
    Backend* pruned = &backend;
    // The pool is joined before the backends go.
    pool_->Post([pruned, now] {
      const int64_t before = now - pruned->index->window_us();
      pruned->index->Prune(now);
      arrow::Status status = pruned->sink->PruneLedger(before);
      if (!status.ok()) {
        LogWarn("pruning the ledger failed", {{"reason", status.message()}});
      }
    });
  }
}

}  // namespace arrowport::ingest
