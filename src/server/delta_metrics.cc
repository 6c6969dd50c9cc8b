// What metrics say of Delta tables.
#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "server/delta_tables.h"

namespace arrowport::server {
namespace {

using observe::Metric;
using observe::Sample;

/// Of a target of 128 MiB, the default.
constexpr int64_t kTargetFileBytes = int64_t{128} << 20;

/// Counts of small files by table, kept while its version stays. Thread-safe.
class SmallFiles {
 public:
  int64_t Count(const std::string& table, const delta::Snapshot& snapshot) {
    {
      MutexLock lock(mutex_);
      const auto found = counts_.find(table);
      if (found != counts_.end() && found->second.first == snapshot.version()) {
        return found->second.second;
      }
    }
    const int64_t count = maintain::CountSmallFiles(snapshot, kTargetFileBytes);
    MutexLock lock(mutex_);
    if (counts_.size() > kTablesMax) counts_.clear();
    counts_[table] = {snapshot.version(), count};
    return count;
  }

 private:
  static constexpr size_t kTablesMax = 10'000;
  Mutex mutex_;
  std::map<std::string, std::pair<int64_t, int64_t>> counts_ GUARDED_BY(mutex_);
};

double AgeSeconds(const delta::Snapshot& snapshot) {
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             SystemClock().WallNow().time_since_epoch())
                             .count();
  return std::max(0.0, static_cast<double>(now_ms - snapshot.timestamp_ms()) / 1000);
}

}  // namespace

std::vector<std::shared_ptr<void>> AddDeltaGauges(const Services& services) {
  std::vector<std::shared_ptr<void>> gauges;
  const auto add = [&](Metric metric, auto value) {
    gauges.push_back(services.metrics->AddCallback(
        metric, [sink = services.storage.delta, value = std::move(value)] {
          std::vector<Sample> samples;
          sink->VisitTables([&](const schema::TableName& name,
                                const std::shared_ptr<const delta::Snapshot>& snapshot) {
            const std::string table = name.ToString();
            samples.push_back({{table}, static_cast<double>(value(table, *snapshot))});
          });
          return samples;
        }));
  };
  using Name = const std::string&;
  using Snapshot = const delta::Snapshot&;
  add(Metric::kDeltaTableVersion, [](Name, Snapshot table) { return table.version(); });
  add(Metric::kDeltaTableFiles, [](Name, Snapshot table) { return table.file_count(); });
  add(Metric::kDeltaTableSizeBytes,
      [](Name, Snapshot table) { return table.size_bytes(); });
  add(Metric::kFreshness, [](Name, Snapshot table) { return AgeSeconds(table); });
  add(Metric::kDeltaTableSmallFiles,
      [small = std::make_shared<SmallFiles>()](Name name, Snapshot table) {
        return small->Count(name, table);
      });
  return gauges;
}

std::function<void(const schema::TableName&, const arrow::Status&)> CommitCounter(
    std::shared_ptr<observe::Registry> metrics) {
  return [metrics = std::move(metrics)](const schema::TableName& name,
                                        const arrow::Status& status) {
    const bool conflict = !status.ok() && CodeOf(status) == ErrorCode::kCommitConflict;
    const char* result = status.ok() ? "committed" : conflict ? "conflict" : "failed";
    metrics->GetCounter(Metric::kDeltaCommits, {name.ToString(), result}).Add();
  };
}

}  // namespace arrowport::server
