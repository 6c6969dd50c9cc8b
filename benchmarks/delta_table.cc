// What a Delta table costs as a whole, timed inside this process; driven by delta_tables.py:
//
//   delta_table load FOLDER TIMES
//       milliseconds of reading the newest snapshot
//   delta_table query ROOT TIMES SQL
//       of a statement over the catalog `delta`, on a new engine each time: the first run,
//       which reads the snapshot, and the second
//   delta_table optimize FOLDER MEMORY_BYTES TARGET_BYTES [COLUMN...]
//       of a compaction, or a z-order by the columns; and by how much the process grew
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "delta/optimize.h"
#include "delta/snapshot.h"
#include "delta/table.h"
#include "engine/database.h"
#include "engine/result_stream.h"
#include "engine/statement.h"
#include "lake/catalog.h"
#include "lake/folder_source.h"

namespace arrowport {
namespace {

using Clock = std::chrono::steady_clock;

double MsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double CpuMs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) { return time.tv_sec * 1e3 + time.tv_usec / 1e3; };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

/// Since the process began or its peak was reset: getrusage's also counts its parent.
int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  }
  return 0;
}

void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

arrow::Status Load(const std::string& folder, int times) {
  ARROW_ASSIGN_OR_RAISE(
      auto store, store::OpenLocalStore(folder, store::Durability::kMemory, false));
  std::vector<double> took;
  int64_t files = 0;
  for (int i = 0; i < times; ++i) {
    const auto begin = Clock::now();
    ARROW_ASSIGN_OR_RAISE(const auto snapshot, delta::LogReader(store).Load());
    took.push_back(MsSince(begin));
    files = snapshot->file_count();
  }
  fmt::print("{{\"ms\":[{}],\"files\":{}}}\n", fmt::join(took, ","), files);
  return {};
}

arrow::Result<double> RunStatement(engine::Database& database, const std::string& sql) {
  const auto begin = Clock::now();
  ARROW_ASSIGN_OR_RAISE(auto connection, database.Connect());
  ARROW_ASSIGN_OR_RAISE(auto statement, engine::Statement::Parse(*connection, sql));
  engine::ResultStream stream(std::move(connection), {});
  ARROW_RETURN_NOT_OK(stream.Start(*statement, {}));
  for (;;) {
    ARROW_ASSIGN_OR_RAISE(const auto batch, stream.Next());
    if (batch == nullptr) return MsSince(begin);
  }
}

arrow::Status Query(const std::string& root, int times, const std::string& sql) {
  std::vector<double> first, second;
  for (int i = 0; i < times; ++i) {
    ARROW_ASSIGN_OR_RAISE(auto database, engine::Database::Open({.path = ":memory:"}));
    auto source =
        std::make_shared<lake::FolderSource>(lake::FolderSourceOptions{.root = root});
    ARROW_RETURN_NOT_OK(lake::Attach(*database, std::move(source)));
    ARROW_ASSIGN_OR_RAISE(first.emplace_back(), RunStatement(*database, sql));
    ARROW_ASSIGN_OR_RAISE(second.emplace_back(), RunStatement(*database, sql));
  }
  fmt::print("{{\"first_ms\":[{}],\"second_ms\":[{}]}}\n", fmt::join(first, ","),
             fmt::join(second, ","));
  return {};
}

arrow::Status Optimize(const std::string& folder, delta::OptimizeOptions options) {
  ARROW_ASSIGN_OR_RAISE(
      auto store, store::OpenLocalStore(folder, store::Durability::kMemory, false));
  delta::TableEnvironment environment;
  environment.encoders = std::make_shared<delta::EncoderPool>(2);
  ARROW_ASSIGN_OR_RAISE(auto table, delta::DeltaTable::Open(store, environment, {}));
  ResetPeak();
  const int64_t peak_before = PeakBytes();
  const double cpu_before = CpuMs();
  const auto begin = Clock::now();
  ARROW_ASSIGN_OR_RAISE(const auto report, delta::Optimize(*table, store,
                                                           environment.encoders, options));
  const double took_ms = MsSince(begin);
  fmt::print("{{\"ms\":{:.1f},\"cpu_ms\":{:.1f},\"grown_bytes\":{},\"files_removed\":{},"
             "\"files_added\":{},\"bytes_added\":{}}}\n",
             took_ms, CpuMs() - cpu_before, PeakBytes() - peak_before, report.files_removed,
             report.files_added, report.bytes_added);
  return {};
}

arrow::Status Run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "load") {
    return Load(words[1], std::atoi(words[2].c_str()));
  }
  if (words.size() == 4 && words[0] == "query") {
    return Query(words[1], std::atoi(words[2].c_str()), words[3]);
  }
  if (words.size() >= 4 && words[0] == "optimize") {
    delta::OptimizeOptions options;
    options.memory_bytes = std::atoll(words[2].c_str());
    options.target_file_bytes = std::atoll(words[3].c_str());
    options.z_order_by.assign(words.begin() + 4, words.end());
    return Optimize(words[1], std::move(options));
  }
  return arrow::Status::Invalid("usage: see the head of delta_table.cc");
}

}  // namespace
}  // namespace arrowport

int main(int count, char** words) {
  const arrow::Status status = arrowport::Run({words + 1, words + count});
  if (!status.ok()) fmt::print(stderr, "{}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
