// The landing service over DuckDB in one process, without a network: what sessions, group
// commit and exactly-once cost beside DuckDB's own insert of the same rows.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "in_process.h"
#include "ingest/service.h"
#include "ingest/service_fixture.h"
#include "sink/duckdb/duckdb_sink.h"
#include "workloads.h"

namespace arrowport::bench {
namespace {

using ingest::LandingService;
using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Takes everything and keeps nothing: what is left is the cost of ingest itself.
class NullSink : public ingest::FakeSink {
 public:
  std::vector<sink::WriteOutcome> CommitGroup(
      std::span<const sink::WriteUnit> units) override {
    return std::vector<sink::WriteOutcome>(units.size(),
                                           {arrow::Status::OK(), "duckdb:1"});
  }
};

struct Instance {
  std::shared_ptr<sink::TableSink> sink;
  std::unique_ptr<LandingService> service;

  void Serve() {
    ingest::ServiceOptions options;
    options.sinks["duckdb"] = sink;
    service = LandingService::Make(std::move(options)).ValueOrDie();
  }
  void Open(const std::string& path) {
    engine::DatabaseOptions options;
    options.path = path.empty() ? ":memory:" : path;
    auto database = engine::Database::Open(options).ValueOrDie();
    sink = sink::DuckDbSink::Make(database).ValueOrDie();
    Serve();
  }
};

void Check(const arrow::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

enum class Keys { kNone, kEach };

/// Requests a second of `clients` threads, each with one request at a time.
void Small(LandingService& service, const char* what, int clients, Keys keys,
           const std::shared_ptr<arrow::RecordBatch>& batch) {
  std::atomic<int64_t> requests{0};
  const double cpu = CpuSeconds();
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      for (int i = 0; Seconds(start) < 2; ++i) {
        ingest::Request request;
        request.stream = "small";
        if (keys == Keys::kEach) {
          request.idempotency_key = std::string(what) + std::to_string(clients) + "-" +
                                    std::to_string(c) + "-" + std::to_string(i);
        }
        Check(ingest::Upload1(service, request, {batch}).status());
        ++requests;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const double took = Seconds(start);
  const auto count = static_cast<double>(requests.load());
  std::printf("%-7s %2d clients%s: %8.0f requests/s, %6.0f us CPU each\n", what, clients,
              keys == Keys::kEach ? ", keys" : "      ", count / took,
              (CpuSeconds() - cpu) / count * 1e6);
}

void Large(LandingService& service, InProcess& plain, const char* what,
           int64_t batch_rows, const std::shared_ptr<arrow::RecordBatch>& all) {
  Batches batches;
  for (int64_t at = 0; at < all->num_rows(); at += batch_rows) {
    batches.push_back(all->Slice(at, batch_rows));
  }
  double best = 1e9, best_plain = 1e9;
  for (int round = 0; round < 5; ++round) {
    const std::string table =
        "large" + std::to_string(batch_rows) + std::to_string(round);
    ingest::Request request;
    request.stream = table;
    auto start = Clock::now();
    Check(ingest::Upload1(service, request, batches).status());
    best = std::min(best, Seconds(start));
    start = Clock::now();
    Check(plain.Insert(table, batches, InsertOrder::kKept));
    best_plain = std::min(best_plain, Seconds(start));
  }
  const auto rows = static_cast<double>(all->num_rows()) * 1e-6;
  std::printf("%-7s 1 M rows by %6lld: %5.2f Mrow/s, plain DuckDB %5.2f, ratio %.2f\n",
              what, static_cast<long long>(batch_rows), rows / best, rows / best_plain,
              best_plain / best);
}

void NullStorage(const std::shared_ptr<arrow::RecordBatch>& small) {
  Instance null;
  null.sink = std::make_shared<NullSink>();
  null.Serve();
  for (int clients : {1, 16}) {
    Small(*null.service, "null", clients, Keys::kNone, small);
    Small(*null.service, "null", clients, Keys::kEach, small);
  }
}

void Run(const std::shared_ptr<arrow::RecordBatch>& all, std::string_view storage,
         bool single) {
  const auto small = all->Slice(0, 1000);
  if (storage.empty() || storage == "null") NullStorage(small);
  const auto directory = std::filesystem::temp_directory_path() / "landing_bench";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  for (const char* what : {"memory", "file"}) {
    if (!storage.empty() && storage != what) continue;
    const bool file = std::string_view(what) == "file";
    Instance instance;
    instance.Open(file ? (directory / "landing.duckdb").string() : "");
    auto plain =
        InProcess::Open(file ? (directory / "plain.duckdb").string() : "").ValueOrDie();
    Small(*instance.service, what, 1, Keys::kNone, small);
    Small(*instance.service, what, 1, Keys::kEach, small);
    if (single) continue;
    for (int clients : {16, 64}) {
      Small(*instance.service, what, clients, Keys::kNone, small);
    }
    Small(*instance.service, what, 16, Keys::kEach, small);
    for (int64_t rows : {10000, 65536, 1000000}) {
      Large(*instance.service, *plain, what, rows, all);
    }
  }
  std::filesystem::remove_all(directory);
}

}  // namespace

int LandingMain(int argc, char** argv) {
  auto workload = MakeDocumented(1'000'000, 1'000'000);
  Check(workload.status());
  Run(workload->batches.front(), argc > 1 ? argv[1] : "", argc > 2);
  return 0;
}

}  // namespace arrowport::bench

/// landing [null|memory|file [single]]
int main(int argc, char** argv) { return arrowport::bench::LandingMain(argc, argv); }
