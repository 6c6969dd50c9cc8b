#include "maintain/schedule.h"

#include <utility>

#include "base/log.h"

namespace arrowport::maintain {

int64_t CountSmallFiles(const delta::Snapshot& snapshot, int64_t target_file_bytes) {
  int64_t count = 0;
  snapshot.VisitFiles([&](int64_t, const delta::AddFile& file) {
    count += file.size < target_file_bytes / 4 * 3;
  });
  return count;
}

void Schedule::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Schedule::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Schedule::stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

void Schedule::Loop() {
  for (;;) {
    {
      MutexLock lock(mutex_);
      const auto next = std::chrono::steady_clock::now() + options_.look_every;
      while (!stopping_ && lock.WaitUntil(wake_, next) != std::cv_status::timeout) {
      }
      if (stopping_) return;
    }
    RunOnce();
  }
}

void Schedule::RunOnce() {
  MutexLock round(round_mutex_);
  auto names = options_.tables->Tables();
  if (!names.ok()) {
    LogWarn("the Delta tables cannot be listed", {{"reason", names.status().message()}});
    return;
  }
  std::map<schema::TableName, Seen> still_there;
  for (const schema::TableName& name : *names) {
    auto known = seen_.extract(name);
    if (!known.empty()) still_there.insert(std::move(known));
  }
  seen_ = std::move(still_there);
  for (const schema::TableName& name : *names) {
    if (stopping()) return;
    if (options_.optimizes(name) || options_.vacuums(name)) LookAt(name);
  }
}

void Schedule::LookAt(const schema::TableName& name) {
  const Clock::Steady now = options_.clock->SteadyNow();
  auto handle = options_.tables->Open(name);
  if (!handle.ok()) return;  // not ours to report: whoever uses it is told
  // A first vacuum waits as long as the next one: a server that restarts often does no
  // more of them.
  auto [entry, is_new] = seen_.try_emplace(name, Seen{0, now});
  Seen& seen = entry->second;
  const auto count = [&] {
    return CountSmallFiles(*handle->table->snapshot(),
                                     options_.target_file_bytes);
  };
  if (options_.optimizes(name) &&
      count() - seen.small_files >= options_.small_files_min) {
    if (options_.run({"optimize", name.ToString(), ""}).ok()) seen.small_files = count();
  }
  if (options_.vacuums(name) && now - seen.vacuumed_at >= options_.vacuum_every) {
    if (options_.run({"vacuum", name.ToString(), R"({"dry_run":false})"}).ok()) {
      seen.vacuumed_at = now;
    }
  }
}

}  // namespace arrowport::maintain
