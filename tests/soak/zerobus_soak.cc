// The Zerobus writer in bad weather: eight producers send through one stream while the
// emulator fails at random. The oracle is the emulator's log beside what producers were
// told: nothing durable is lost, rows come twice only where a connection broke before the
// acknowledgement, order holds on each connection, every row is told of exactly once.
//
//   zerobus_soak --weather transient --batches 1000000   (success of at least 99.999 %)
//   zerobus_soak --weather storm --seconds 600 --seed 7
#include <arrow/api.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <thread>

#include "arrowport/zerobus/writer.h"
#include "delivery_oracle.h"
#include "emulator/emulator.h"
#include "fault_weather.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kTable = "main.test.events";
constexpr const char* kTables = R"({"main.test.events": {"columns": [
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "type_json": "\"long\"",
   "nullable": false, "position": 0},
  {"name": "name", "type_name": "STRING", "type_text": "string", "type_json": "\"string\"",
   "nullable": true, "position": 1}]}})";
constexpr int64_t kPendingMax = 16;
// Of a storm: enough for any run, few enough for the oracle's memory.
constexpr int64_t kTimedBatchesMax = 3'000'000;

struct Settings {
  std::string weather = "transient";
  std::string mode = "all";
  int64_t batches = 0;  ///< in all, over modes; or
  double seconds = 0;   ///< in all, over modes
  int64_t rows = 3;
  int64_t producers = 8;
  uint64_t seed = 1;
  double success_min = 0;
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

std::shared_ptr<arrow::RecordBatch> Rows(int64_t first, int64_t count) {
  arrow::Int64Builder ids;
  arrow::StringBuilder names;
  for (int64_t i = 0; i < count; ++i) {
    if (!ids.Append(first + i).ok() || !names.Append("n" + std::to_string(i)).ok()) {
      Die("no memory");
    }
  }
  static const auto kSchema = arrow::schema(
      {arrow::field("id", arrow::int64(), false), arrow::field("name", arrow::utf8())});
  return arrow::RecordBatch::Make(
      kSchema, count, {ids.Finish().ValueOrDie(), names.Finish().ValueOrDie()});
}

Options MakeOptions(const emulator::Emulator& emulator, Mode mode, Weather weather) {
  Options options = Options(emulator.grpc_url(), kTable)
                        .WithCredentials("emulator", "emulator")
                        .WithUnityCatalog(emulator.http_url())
                        .WithMode(mode);
  options.workspace_id = "1";
  // The service's times, scaled to milliseconds; attempts and budgets are the defaults.
  options.stream.recovery_backoff_base = milliseconds(5);
  options.stream.recovery_backoff_max = milliseconds(75);
  options.stream.recovery_timeout = milliseconds(2'000);
  options.stream.connection_timeout = milliseconds(2'000);
  options.stream.server_lack_of_ack_timeout =
      milliseconds(weather == Weather::kStorm ? 300 : 10'000);
  options.retry.delay_base = milliseconds(5);
  return options;
}

/// One mode, one writer, all producers.
class Load {
 public:
  Load(const Settings& settings, Mode mode, Weather weather, IdPlan plan)
      : settings_(settings),
        weather_(weather),
        mode_(mode),
        plan_(plan),
        outcomes_(plan.total()),
        watch_(std::make_shared<ReplayWatch>()) {
    std::string folder = std::filesystem::temp_directory_path() / "zerobus_soak.XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) Die("cannot make a folder");
    folder_ = folder;
  }
  ~Load() { std::filesystem::remove_all(folder_); }

  bool Run(double seconds) {
    emulator::Options options;
    options.tables_json = kTables;
    options.log_path = folder_ + "/rows.log";
    options.seed = settings_.seed;
    auto emulator = emulator::Emulator::Start(options).ValueOrDie();
    Options writer_options = MakeOptions(*emulator, mode_, weather_);
    writer_options.observers.push_back(watch_);
    writer_options.on_durable = [watch = watch_](const DurableRange& range) {
      watch->OnDurable(range.first_offset, range.last_offset);
    };
    writer_ = ZerobusWriter::Make(writer_options).ValueOrDie();
    const auto began = steady_clock::now();
    until_ = began + milliseconds(static_cast<int64_t>(seconds * 1000));
    {
      FaultWeather weather(emulator.get(), weather_, kTable, settings_.seed);
      std::vector<std::thread> threads;
      for (int64_t i = 0; i < plan_.producers; ++i) {
        threads.emplace_back([this, i] { Produce(i); });
      }
      for (auto& thread : threads) thread.join();
    }
    const arrow::Status ended = writer_->Shutdown();
    took_ = std::chrono::duration<double>(steady_clock::now() - began).count();
    faults_ = emulator->Read(emulator::Counter::kFaults);
    emulator->Stop();
    LogVerdict verdict;
    const auto read = JudgeLog(options.log_path, plan_, outcomes_, &verdict);
    if (!read.ok()) Die(read.ToString());
    return Report(verdict, ended);
  }

  int64_t batches() const { return batches_; }
  int64_t failed_batches() const { return failed_batches_; }

 private:
  bool GoesOn(int64_t batch) const {
    if (batch >= plan_.batches_max) return false;
    return settings_.seconds == 0 || steady_clock::now() < until_;
  }

  void Tell(const TransmissionResult& result, int64_t first) {
    auto failed = result.failed_rows().begin();
    for (int64_t row = 0; row < result.total_rows(); ++row) {
      const bool bad = failed != result.failed_rows().end() && failed->index == row;
      if (bad) ++failed;
      if (!outcomes_.Tell(first + row, bad ? Outcomes::Told::kFailed
                                           : Outcomes::Told::kDurable)) {
        ++told_twice_;
      }
    }
    ++batches_;
    if (result.success()) return;
    if (failed_batches_++ < 3) {
      std::fprintf(stderr, "a batch failed: %s\n", result.error().ToString().c_str());
    }
  }

  /// Odd producers of a storm pipeline; the others wait for each batch.
  void Produce(int64_t producer) {
    const bool pipelined = weather_ == Weather::kStorm && producer % 2 == 1;
    std::deque<std::pair<int64_t, arrow::Future<TransmissionResult>>> pending;
    auto settle = [&] {
      Tell(pending.front().second.result().ValueOrDie(), pending.front().first);
      pending.pop_front();
    };
    for (int64_t batch = 0; GoesOn(batch); ++batch) {
      const int64_t first = plan_.FirstId(producer, batch);
      auto rows = Rows(first, plan_.rows);
      if (!pipelined) {
        Tell(writer_->SendBatch(rows), first);
        continue;
      }
      auto sent = writer_->SendAsync(rows);
      if (!sent.ok()) {  // nothing of it was accepted
        ++batches_;
        ++failed_batches_;
        continue;
      }
      pending.emplace_back(first, sent->result);
      if (static_cast<int64_t>(pending.size()) > kPendingMax) settle();
    }
    while (!pending.empty()) settle();
  }

  bool Report(const LogVerdict& verdict, const arrow::Status& ended) {
    const auto statistics = writer_->statistics();
    const char* mode = mode_ == Mode::kProto  ? "proto"
                       : mode_ == Mode::kJson ? "json"
                                              : "flight";
    const double success =
        batches_ == 0 ? 0
                      : 100.0 * static_cast<double>(batches_ - failed_batches_) /
                            static_cast<double>(batches_);
    std::printf(
        "%s: %lld batches, %lld failed (%.4f %% success), %.1f s; faults %lld, reconnects "
        "%lld, rotations %lld, rows replayed %lld\n  %s\n",
        mode, static_cast<long long>(batches_), static_cast<long long>(failed_batches_),
        success, took_, static_cast<long long>(faults_),
        static_cast<long long>(statistics.reconnects_after_failure),
        static_cast<long long>(statistics.rotations),
        static_cast<long long>(watch_->replayed_rows()), verdict.ToString().c_str());
    std::fflush(stdout);
    bool good = true;
    auto must = [&](bool holds, const char* what) {
      if (holds) return;
      std::fprintf(stderr, "%s: violated: %s\n", mode, what);
      good = false;
    };
    must(verdict.lost == 0, "a durable row is not in the log");
    must(verdict.gaps == 0, "wire offsets count up from 0 on each connection");
    must(verdict.overtaken == 0, "order of a producer on a connection");
    must(verdict.untold == 0, "a logged row that its producer was never told of");
    must(told_twice_ == 0, "each row is told of once");
    must(watch_->durable_replayed() == 0, "a durable request was sent again");
    must(watch_->out_of_order() == 0, "durability is told in order, once");
    // A row is in the log twice only if it was sent twice: replayed by its stream, or, when
    // a stream ended for good, by the whole send that was tried again.
    must(verdict.duplicates <= watch_->replayed_rows() + statistics.rows_failed,
         "duplicates are at most what was in flight at a break");
    must(faults_ > 0, "there was weather at all");
    must(success >= settings_.success_min, "success rate");
    must(ended.ok() || failed_batches_ > 0, "shutdown is clean when all is durable");
    return good;
  }

  const Settings& settings_;
  const Weather weather_;
  const Mode mode_;
  const IdPlan plan_;
  Outcomes outcomes_;
  std::shared_ptr<ReplayWatch> watch_;
  std::string folder_;
  std::unique_ptr<ZerobusWriter> writer_;
  steady_clock::time_point until_;
  std::atomic<int64_t> batches_{0};
  std::atomic<int64_t> failed_batches_{0};
  std::atomic<int64_t> told_twice_{0};
  double took_ = 0;
  int64_t faults_ = 0;
};

bool Run(const Settings& settings) {
  std::vector<Mode> modes = {Mode::kProto, Mode::kJson, Mode::kFlight};
  if (settings.mode == "proto") modes = {Mode::kProto};
  if (settings.mode == "json") modes = {Mode::kJson};
  if (settings.mode == "flight") modes = {Mode::kFlight};
  const auto count = static_cast<int64_t>(modes.size());
  IdPlan plan;
  plan.producers = settings.producers;
  plan.rows = settings.rows;
  const int64_t batches = settings.seconds > 0 ? kTimedBatchesMax : settings.batches;
  plan.batches_max = (batches / count + plan.producers - 1) / plan.producers;
  const Weather weather =
      settings.weather == "storm" ? Weather::kStorm : Weather::kTransient;
  bool good = true;
  int64_t sent = 0;
  int64_t failed = 0;
  for (const Mode mode : modes) {
    Load load(settings, mode, weather, plan);
    good = load.Run(settings.seconds / static_cast<double>(count)) && good;
    sent += load.batches();
    failed += load.failed_batches();
  }
  std::printf("%s, seed %llu: %lld batches, %lld failed: %s\n", settings.weather.c_str(),
              static_cast<unsigned long long>(settings.seed),
              static_cast<long long>(sent), static_cast<long long>(failed),
              good ? "holds" : "VIOLATED");
  return good;
}

}  // namespace
}  // namespace arrowport::zerobus

int main(int argc, char** argv) {
  arrowport::zerobus::Settings settings;
  CLI::App app("The Zerobus writer against an emulator that fails at random");
  app.add_option("--weather", settings.weather)
      ->check(CLI::IsMember({"transient", "storm"}));
  app.add_option("--mode", settings.mode)
      ->check(CLI::IsMember({"all", "proto", "json", "flight"}));
  app.add_option("--batches", settings.batches, "in all");
  app.add_option("--seconds", settings.seconds, "in all, instead of --batches");
  app.add_option("--rows", settings.rows, "of a batch")->check(CLI::PositiveNumber);
  app.add_option("--producers", settings.producers)->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed);
  app.add_option("--success-min", settings.success_min, "percent of batches");
  CLI11_PARSE(app, argc, argv);
  if ((settings.batches > 0) == (settings.seconds > 0)) {
    std::fprintf(stderr, "give --batches or --seconds\n");
    return 2;
  }
  return arrowport::zerobus::Run(settings) ? 0 : 1;
}
