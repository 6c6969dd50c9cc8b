// arrowport_bench: landing and reading through the real server against DuckDB in this
// process, in interleaved rounds of one run. Prints Markdown.
//
// Conditions it states itself: client, server and in-process DuckDB share the machine;
// batches are equal on both sides; tables grow alike; HTTP bodies are made beforehand;
// memory against memory, fsynced file against fsynced file.

#include <arrow/api.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <thread>

#include "clients.h"
#include "in_process.h"
#include "server_process.h"
#include "statistics.h"
#include "workloads.h"

namespace arrowport::bench {
namespace {

using arrow::Result;
using arrow::Status;

constexpr const char* kStreamType = "application/vnd.apache.arrow.stream";

struct Options {
  std::string program = "build/release/arrowport";
  std::string folder;
  std::string tpch;
  std::string storage = "both";
  std::string only;
  std::string workloads;
  std::string small;
  int rounds = 9;
  int64_t batch_rows = 122'880;
  double scale = 0.2;
  double loop_seconds = 1.5;
  int64_t export_rows = 10'000'000;
  int http_port = 0;
  int flight_port = 0;
  int pid = 0;
  bool in_process_only = false;
};

// One line of the table: the same work on both sides, round by round.
struct Line {
  std::string name;
  std::string unit;
  std::vector<double> in_process;
  std::vector<double> arrowport;
  std::optional<double> bar;
  std::string note;
};

void Print(const Line& line) {
  if (line.arrowport.empty()) {
    std::printf("| %s | %.2f | - | %s | - | | %s |\n", line.name.c_str(),
                Median(line.in_process), line.unit.c_str(), line.note.c_str());
    std::fflush(stdout);
    return;
  }
  std::vector<double> ratios;
  for (size_t i = 0; i < line.arrowport.size() && i < line.in_process.size(); ++i) {
    ratios.push_back(line.arrowport[i] / line.in_process[i]);
  }
  double ratio = Median(ratios);
  Interval interval = MedianInterval(ratios);
  char bar[64] = "";
  if (line.bar) {
    std::snprintf(bar, sizeof(bar), "%.2f %s", *line.bar,
                  ratio >= *line.bar ? "met" : "**missed**");
  }
  std::printf("| %s | %.2f | %.2f | %s | **%.2f** (%.2f-%.2f) | %s | %s |\n",
              line.name.c_str(), Median(line.in_process), Median(line.arrowport),
              line.unit.c_str(), ratio, interval.low, interval.high, bar,
              line.note.c_str());
  std::fflush(stdout);
}

void PrintHeader(const std::string& title) {
  std::printf(
      "\n### %s\n\n| work | in-process DuckDB | Arrowport | unit | ratio (95 %%) | bar | "
      "note |\n|---|---|---|---|---|---|---|\n",
      title.c_str());
}

class Bench {
 public:
  explicit Bench(Options options) : options_(std::move(options)) {}

  Status Run() {
    Probe before = PrintConditions("before");
    for (std::string storage : {"memory", "file"}) {
      if (options_.storage != "both" && options_.storage != storage) continue;
      ARROW_RETURN_NOT_OK(RunStorage(storage));
    }
    Probe after = PrintConditions("after");
    auto moved = [](double a, double b) {
      return std::abs(a - b) > 0.15 * std::max(a, b);
    };
    if (moved(before.memcpy_gb_per_s, after.memcpy_gb_per_s) ||
        moved(before.fsync_ms, after.fsync_ms) ||
        std::max(before.load, after.load) > 2.5) {
      std::printf(
          "**Do not quote this run**: memcpy or fsync moved by more than 15 %%, or the "
          "machine was loaded.\n");
    }
    return Status::OK();
  }

 private:
  Probe PrintConditions(const char* when) {
    Probe probe = ProbeMachine(options_.folder);
    utsname system;
    uname(&system);
    std::printf(
        "%s: memcpy %.1f GB/s, 4 KiB append + fdatasync %.2f ms, load %.2f, %u cores, "
        "Linux %s\n",
        when, probe.memcpy_gb_per_s, probe.fsync_ms, probe.load,
        std::thread::hardware_concurrency(), system.release);
    return probe;
  }

  bool Wanted(const std::string& group) const {
    return options_.only.empty() || options_.only.find(group) != std::string::npos;
  }

  bool Loaded(const std::string& workload) const {
    return options_.workloads.empty() ||
           options_.workloads.find(workload) != std::string::npos;
  }

  Status RunStorage(const std::string& storage) {
    std::string folder = options_.folder + "/" + storage;
    std::filesystem::create_directories(folder);
    bool memory = storage == "memory";
    ARROW_ASSIGN_OR_RAISE(duckdb_,
                          InProcess::Open(memory ? "" : folder + "/in_process.duckdb"));
    if (!options_.in_process_only) {
      if (options_.http_port != 0) {
        server_ =
            ServerProcess::Attach(options_.http_port, options_.flight_port, options_.pid);
      } else {
        ARROW_ASSIGN_OR_RAISE(
            server_,
            ServerProcess::Spawn(options_.program, folder,
                                 memory ? ":memory:" : folder + "/server.duckdb"));
      }
      ARROW_ASSIGN_OR_RAISE(flight_, FlightSender::Connect(server_->flight_port()));
      ARROW_ASSIGN_OR_RAISE(http_, HttpSender::Connect(server_->http_port()));
    }
    PrintHeader(memory ? "In memory (not durable)" : "File, every commit fsynced");
    if (Wanted("load")) ARROW_RETURN_NOT_OK(Loads(memory));
    if (Wanted("small")) ARROW_RETURN_NOT_OK(SmallRequests(memory));
    if (Wanted("export") && memory) ARROW_RETURN_NOT_OK(Exports());
    http_.reset();
    flight_.reset();
    server_.reset();
    duckdb_.reset();
    return Status::OK();
  }

  Status Loads(bool memory) {
    if (Loaded("W1")) {
      ARROW_ASSIGN_OR_RAISE(auto million, MakeDocumented(1'000'000, options_.batch_rows));
      ARROW_RETURN_NOT_OK(LoadAllWays(million, memory ? 0.6 : 0.75, memory));
      ARROW_ASSIGN_OR_RAISE(auto middle, MakeDocumented(100'000, options_.batch_rows));
      ARROW_RETURN_NOT_OK(LoadAllWays(middle, 0.6, memory));
    }
    if (Loaded("W3")) {
      ARROW_ASSIGN_OR_RAISE(auto wide, MakeWide(100'000, 10'000));
      ARROW_RETURN_NOT_OK(LoadByFlight(wide, 0.7));
    }
    if (Loaded("W5")) {
      ARROW_ASSIGN_OR_RAISE(auto text, MakeText(500'000, 61'440));
      ARROW_RETURN_NOT_OK(LoadByFlight(text, 0.7));
    }
    if (!Loaded("W6")) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(
        auto lineitem, MakeLineitem(options_.scale, options_.batch_rows, options_.tpch));
    return LoadByFlight(lineitem, 0.7);
  }

  // One measured load by each way, rates in Mrow/s.
  using Way = std::function<Status()>;
  static Result<double> Rate(const Workload& workload, const Way& way) {
    double start = Now();
    ARROW_RETURN_NOT_OK(way());
    return workload.rows() / (Now() - start) / 1e6;
  }

  // The faster of both insert orders by the median of three loads each, after a warm-up;
  // says both in `note`.
  Result<InsertOrder> FasterOrder(const Workload& workload, const std::string& table,
                                  std::string* note) {
    std::vector<double> rates[2];
    for (int round = 0; round < 8; ++round) {
      auto order = round % 2 == 0 ? InsertOrder::kKept : InsertOrder::kFree;
      ARROW_ASSIGN_OR_RAISE(double rate, Rate(workload, [&] {
                              return duckdb_->Insert(table, workload.batches, order);
                            }));
      if (round >= 2) rates[round % 2].push_back(rate);
    }
    double kept = Median(rates[0]), free = Median(rates[1]);
    char text[96];
    std::snprintf(text, sizeof(text), "in-process order kept %.2f, free %.2f", kept,
                  free);
    *note = text;
    return free > kept ? InsertOrder::kFree : InsertOrder::kKept;
  }

  Status LoadAllWays(const Workload& workload, double bar, bool memory) {
    bool million = workload.rows() == 1'000'000;
    std::string raw, json;
    if (!options_.in_process_only) {
      ARROW_ASSIGN_OR_RAISE(raw, IpcBody(workload.batches));
      ARROW_ASSIGN_OR_RAISE(json, JsonBody(workload.batches));
    }
    const Way by_flight = [&] { return flight_->Put("landing", workload.batches); };
    const Way by_raw = [&] { return http_->Post("/ingest/landing", kStreamType, raw); };
    const Way by_json = [&] {
      return http_->Post("/stream/landing", "application/json", json);
    };
    std::optional<double> json_bar;
    if (million && memory) json_bar = 0.35;
    std::vector<Line> lines;
    ARROW_RETURN_NOT_OK(Compare(workload,
                                {{"Flight", by_flight, bar},
                                 {"HTTP raw", by_raw, std::nullopt},
                                 {"HTTP JSON+base64", by_json, json_bar}},
                                &lines));
    if (!options_.in_process_only && million) {
      std::vector<double> against;
      for (size_t i = 0; i < lines[0].arrowport.size(); ++i) {
        against.push_back(lines[1].arrowport[i] / lines[0].arrowport[i]);
      }
      std::printf("| %s, HTTP raw to Flight | | | | **%.2f** | 0.90 %s | |\n",
                  workload.name.c_str(), Median(against),
                  Median(against) >= 0.9 ? "met" : "**missed**");
    }
    return Status::OK();
  }

  Status LoadByFlight(const Workload& workload, double bar) {
    std::vector<Line> lines;
    return Compare(
        workload,
        {{"Flight", [&] { return flight_->Put("landing", workload.batches); }, bar}},
        &lines);
  }

  struct Contender {
    std::string name;
    Way way;
    std::optional<double> bar;
  };

  // What Flight, decoding and validation alone allow: the rows meet a table that they do
  // not fit and are skipped.
  Result<double> WireRate(const Workload& workload) {
    const std::string column = workload.batches.front()->schema()->field(0)->name();
    ARROW_RETURN_NOT_OK(
        flight_->Run("CREATE OR REPLACE TABLE unfit (\"" + column + "\" INTERVAL)"));
    std::vector<double> rates;
    for (int round = 0; round < 6; ++round) {
      ARROW_ASSIGN_OR_RAISE(double rate, Rate(workload, [&] {
                              return flight_->PutSkipped("unfit", workload.batches);
                            }));
      if (round > 0) rates.push_back(rate);
    }
    return Median(rates);
  }

  // Rounds of A B B A: in-process, each contender, and back. Tables start empty and grow
  // alike; checkpoints run outside the measured time.
  Status Compare(const Workload& workload, const std::vector<Contender>& contenders,
                 std::vector<Line>* lines) {
    const std::string table = "landing";
    ARROW_RETURN_NOT_OK(duckdb_->Run("DROP TABLE IF EXISTS landing"));
    std::string insert_note;
    ARROW_ASSIGN_OR_RAISE(auto order, FasterOrder(workload, table, &insert_note));
    if (!options_.in_process_only) {
      ARROW_RETURN_NOT_OK(flight_->Run("DROP TABLE IF EXISTS landing"));
      for (const auto& contender : contenders) ARROW_RETURN_NOT_OK(contender.way());
    }
    for (const auto& contender : contenders) {
      lines->push_back({workload.name + ", " + contender.name,
                        "Mrow/s",
                        {},
                        {},
                        contender.bar,
                        insert_note});
    }
    const Way inserted = [&] { return duckdb_->Insert(table, workload.batches, order); };
    double cpu = 0;
    int64_t flight_rows = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      ARROW_RETURN_NOT_OK(Checkpoint());
      for (size_t i = 0; i < contenders.size(); ++i) {
        bool first = (round + i) % 2 == 0;
        double a = 0, b = 0;
        if (first) {
          ARROW_ASSIGN_OR_RAISE(a, Rate(workload, inserted));
        }
        if (!options_.in_process_only) {
          double used = server_->pid() ? CpuSeconds(server_->pid()) : 0;
          ARROW_ASSIGN_OR_RAISE(b, Rate(workload, contenders[i].way));
          if (i == 0 && server_->pid()) {
            cpu += CpuSeconds(server_->pid()) - used;
            flight_rows += workload.rows();
          }
        }
        if (!first) {
          ARROW_ASSIGN_OR_RAISE(a, Rate(workload, inserted));
        }
        (*lines)[i].in_process.push_back(a);
        if (!options_.in_process_only) (*lines)[i].arrowport.push_back(b);
      }
    }
    if (flight_rows > 0) {
      char text[96];
      std::snprintf(text, sizeof(text), "; server %.2f CPU s/Mrow; %.0f MB a load",
                    cpu / flight_rows * 1e6, workload.bytes() / 1e6);
      lines->front().note += text;
    }
    if (!options_.in_process_only) {
      ARROW_ASSIGN_OR_RAISE(double wire, WireRate(workload));
      char text[64];
      std::snprintf(text, sizeof(text), "; received and dropped: %.2f Mrow/s", wire);
      lines->front().note += text;
    }
    if (!workload.note.empty()) lines->front().note += "; " + workload.note;
    for (const auto& line : *lines) Print(line);
    return duckdb_->Run("DROP TABLE landing");
  }

  Status Checkpoint() {
    ARROW_RETURN_NOT_OK(duckdb_->Run("CHECKPOINT"));
    if (options_.in_process_only) return Status::OK();
    return http_->Post("/admin/checkpoint", "application/json", "");
  }

  // Small requests: each client sends the next as soon as the last is acknowledged.
  struct Loop {
    double rate = 0;  // requests/s
    std::vector<double> milliseconds;
  };

  enum class Wire { kFlight, kHttp };

  Result<Loop> ClosedLoop(Wire wire, int clients, bool keyed) {
    ARROW_ASSIGN_OR_RAISE(auto small, MakeDocumented(1'000, 1'000));
    ARROW_ASSIGN_OR_RAISE(auto body, IpcBody(small.batches));
    std::vector<std::thread> threads;
    std::vector<std::vector<double>> times(clients);
    std::vector<Status> outcomes(clients);
    std::atomic<bool> go{false}, stop{false};
    std::atomic<int> connected{0};
    for (int client = 0; client < clients; ++client) {
      threads.emplace_back([&, client] {
        auto run = [&]() -> Status {
          std::unique_ptr<FlightSender> flight;
          std::unique_ptr<HttpSender> http;
          auto send = [&](const std::string& key) {
            return wire == Wire::kFlight
                       ? flight->Put("small", small.batches, key)
                       : http->Post("/ingest/small", kStreamType, body, key);
          };
          if (wire == Wire::kFlight) {
            ARROW_ASSIGN_OR_RAISE(flight, FlightSender::Connect(server_->flight_port()));
          } else {
            ARROW_ASSIGN_OR_RAISE(http, HttpSender::Connect(server_->http_port()));
          }
          ARROW_RETURN_NOT_OK(send(""));
          ++connected;
          while (!go) std::this_thread::yield();
          while (!stop) {
            std::string key =
                keyed ? "bench-" + std::to_string(key_number_++) : std::string();
            double start = Now();
            ARROW_RETURN_NOT_OK(send(key));
            times[client].push_back((Now() - start) * 1000);
          }
          return Status::OK();
        };
        outcomes[client] = run();
        if (!outcomes[client].ok()) ++connected;
      });
    }
    while (connected < clients) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    double start = Now();
    go = true;
    while (Now() - start < options_.loop_seconds) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    double seconds = Now() - start;
    Loop loop;
    for (int client = 0; client < clients; ++client) {
      ARROW_RETURN_NOT_OK(outcomes[client]);
      loop.milliseconds.insert(loop.milliseconds.end(), times[client].begin(),
                               times[client].end());
    }
    loop.rate = loop.milliseconds.size() / seconds;
    return loop;
  }

  Status SmallRequests(bool memory) {
    ARROW_ASSIGN_OR_RAISE(auto small, MakeDocumented(1'000, 1'000));
    ARROW_RETURN_NOT_OK(duckdb_->Run("DROP TABLE IF EXISTS small"));
    ARROW_RETURN_NOT_OK(duckdb_->Insert("small", small.batches, InsertOrder::kKept));
    struct Case {
      std::string name;
      Wire wire;
      int clients;
      bool keyed;
      std::optional<double> bar;
    };
    auto durable = [&](double bar) {
      return memory ? std::nullopt : std::optional<double>(bar);
    };
    std::vector<Case> cases = {
        {"1 client, Flight", Wire::kFlight, 1, false, durable(0.8)},
        {"1 client, HTTP", Wire::kHttp, 1, false, durable(0.8)},
        {"1 client, Flight, key", Wire::kFlight, 1, true, durable(0.65)},
        {"1 client, HTTP, key", Wire::kHttp, 1, true, durable(0.65)},
        {"16 clients, Flight", Wire::kFlight, 16, false, durable(2.5)},
        {"16 clients, HTTP", Wire::kHttp, 16, false, durable(2.5)},
        {"16 clients, HTTP, key", Wire::kHttp, 16, true, std::nullopt},
        {"64 clients, Flight", Wire::kFlight, 64, false, durable(3.5)},
        {"64 clients, HTTP", Wire::kHttp, 64, false, durable(3.5)},
    };
    if (options_.in_process_only) cases.resize(1);
    std::erase_if(cases, [&](const Case& one) {
      return !options_.small.empty() && one.name != options_.small;
    });
    int rounds = std::max(3, options_.rounds / 3);
    for (const auto& one : cases) {
      Line line{"1,000-row requests, " + one.name, "requests/s", {}, {}, one.bar, ""};
      std::vector<double> milliseconds;
      for (int round = 0; round < rounds; ++round) {
        ARROW_RETURN_NOT_OK(Checkpoint());
        auto lone = [&]() -> Status {
          ARROW_ASSIGN_OR_RAISE(double scan,
                                duckdb_->CommitRateByScan("small", small.batches[0],
                                                          options_.loop_seconds / 2));
          ARROW_ASSIGN_OR_RAISE(double append,
                                duckdb_->CommitRateByAppender("small", small.batches[0],
                                                              options_.loop_seconds / 2));
          line.in_process.push_back(std::max(scan, append));
          return Status::OK();
        };
        if (round % 2 == 0) ARROW_RETURN_NOT_OK(lone());
        if (!options_.in_process_only) {
          ARROW_ASSIGN_OR_RAISE(auto loop, ClosedLoop(one.wire, one.clients, one.keyed));
          line.arrowport.push_back(loop.rate);
          milliseconds.insert(milliseconds.end(), loop.milliseconds.begin(),
                              loop.milliseconds.end());
        }
        if (round % 2 == 1) ARROW_RETURN_NOT_OK(lone());
      }
      char text[96];
      std::snprintf(text, sizeof(text), "p50 %.2f ms, p99 %.2f ms",
                    Percentile(milliseconds, 50), Percentile(milliseconds, 99));
      if (!milliseconds.empty()) line.note = text;
      Print(line);
    }
    return duckdb_->Run("DROP TABLE small");
  }

  Status Exports() {
    ARROW_ASSIGN_OR_RAISE(auto part, MakeDocumented(1'000'000, options_.batch_rows));
    for (int64_t rows = 0; rows < options_.export_rows; rows += part.rows()) {
      ARROW_RETURN_NOT_OK(duckdb_->Insert("exported", part.batches, InsertOrder::kKept));
      if (!options_.in_process_only) {
        ARROW_RETURN_NOT_OK(flight_->Put("exported", part.batches));
      }
    }
    const std::string sql = "SELECT * FROM exported";
    Line rate{"export of " + std::to_string(options_.export_rows) + " rows, Flight",
              "Mrow/s",
              {},
              {},
              0.6,
              ""};
    Line first{"first batch of it", "ms", {}, {}, std::nullopt, ""};
    int rounds = std::max(5, options_.rounds / 2);
    for (int round = 0; round < rounds; ++round) {
      // The better of the two usual batch sizes is the denominator.
      ExportTimes best;
      for (int64_t batch_rows : {16'384, 65'536}) {
        ARROW_ASSIGN_OR_RAISE(auto times, duckdb_->Export(sql, batch_rows));
        if (best.rows == 0 || times.seconds < best.seconds) best = times;
      }
      rate.in_process.push_back(best.rows / best.seconds / 1e6);
      first.in_process.push_back(best.first_batch_seconds * 1000);
      if (options_.in_process_only) continue;
      ARROW_ASSIGN_OR_RAISE(auto times, flight_->Export(sql));
      if (times.rows != best.rows) {
        return Status::Invalid("the export had ", times.rows, " rows, not ", best.rows);
      }
      rate.arrowport.push_back(times.rows / times.seconds / 1e6);
      first.arrowport.push_back(times.first_batch_seconds * 1000);
    }
    if (!rate.arrowport.empty()) {
      rate.note =
          Median(rate.arrowport) >= 20 ? "20 Mrow/s: met" : "20 Mrow/s: **missed**";
      first.note =
          Median(first.arrowport) < 5 ? "under 5 ms: met" : "under 5 ms: **missed**";
    }
    Print(rate);
    Print(first);
    return duckdb_->Run("DROP TABLE exported");
  }

  Options options_;
  std::unique_ptr<InProcess> duckdb_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<FlightSender> flight_;
  std::unique_ptr<HttpSender> http_;
  std::atomic<int64_t> key_number_{0};
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Ratios of Arrowport to DuckDB in this process");
  app.add_option("--arrowport", options.program, "the program to start");
  app.add_option("--http-port", options.http_port, "attach to a running server instead");
  app.add_option("--flight-port", options.flight_port, "its Flight port");
  app.add_option("--pid", options.pid, "its process, for CPU seconds");
  app.add_option("--folder", options.folder, "where files go (default: a temporary one)");
  app.add_option("--storage", options.storage, "memory, file or both");
  app.add_option("--only", options.only, "groups: load, small, export");
  app.add_option("--workloads", options.workloads, "of the loads: W1, W3, W5, W6");
  app.add_option("--small", options.small,
                 "one of the small cases: \"16 clients, Flight\"");
  app.add_option("--rounds", options.rounds, "measured rounds");
  app.add_option("--batch-rows", options.batch_rows, "rows a batch");
  app.add_option("--scale", options.scale, "lineitem scale factor");
  app.add_option("--tpch", options.tpch, "file of the tpch extension");
  app.add_option("--export-rows", options.export_rows, "rows of the export");
  app.add_option("--loop-seconds", options.loop_seconds, "length of a closed loop");
  app.add_flag("--in-process-only", options.in_process_only, "only the denominators");
  CLI11_PARSE(app, argc, argv);
  std::string temporary;
  if (options.folder.empty()) {
    char name[] = "/var/tmp/arrowport-bench-XXXXXX";
    if (mkdtemp(name) == nullptr) return 3;
    options.folder = temporary = name;
  }
  Status status = Bench(options).Run();
  if (!temporary.empty()) std::filesystem::remove_all(temporary);
  if (!status.ok()) {
    std::cerr << "arrowport_bench: " << status.ToString() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace arrowport::bench

int main(int argc, char** argv) { return arrowport::bench::Main(argc, argv); }
