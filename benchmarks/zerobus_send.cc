// The Zerobus writer against the emulator in a process of its own: latency of a durable
// batch by size, and what one stream carries. Client and emulator share the machine, so
// the CPU of each is printed beside: whoever has a core full is the limit.
//
// Usage: zerobus_send --arrowport PROGRAM [--mode proto|json|flight] [--rows narrow|kilobyte]
//        [--validate full|none] [--compression zstd|lz4|none] [--script JSON] ...
#include <arrow/api.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "arrowport/zerobus/writer.h"
#include "emulator_process.h"
#include "statistics.h"

namespace arrowport::bench {
namespace {

using zerobus::Mode;
using zerobus::ZerobusWriter;

constexpr const char* kTable = "main.bench.events";

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}
void Check(const arrow::Status& status) {
  if (!status.ok()) Die(status.ToString());
}
template <typename T>
T Take(arrow::Result<T> result) {
  Check(result.status());
  return std::move(result).ValueUnsafe();
}

struct Settings {
  std::string arrowport;  ///< spawned; or, with both URLs, what runs already
  std::string grpc_url;
  std::string http_url;
  std::vector<std::string> modes = {"proto", "json", "flight"};
  std::string rows = "narrow";
  std::string validate = "full";
  std::string compression = "zstd";
  std::string script = "{}";
  std::string time_scale = "1";
  std::vector<int64_t> sizes = {10'000, 100'000, 1'000'000, 10'000'000};
  int64_t batch_bytes = 1'000'000;  ///< of the throughput runs
  std::vector<int> producers = {1, 2};
  double seconds = 2;  ///< of each figure
  int batches_min = 20;
};

/// The documented workload: 37 bytes a row.
std::shared_ptr<arrow::RecordBatch> NarrowRows(int64_t bytes) {
  arrow::Int64Builder id, timestamp;
  arrow::DoubleBuilder value, metric;
  arrow::StringBuilder category;
  const int64_t rows = std::max<int64_t>(1, bytes / 37);
  for (int64_t i = 0; i < rows; ++i) {
    Check(id.Append(i));
    Check(timestamp.Append(1700000000000000 + i));
    Check(value.Append(static_cast<double>(i) * 0.37));
    Check(category.Append(std::string(1, static_cast<char>('A' + i * 7 % 4))));
    Check(metric.Append(static_cast<double>(i % 1000) * 1.25));
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("timestamp", arrow::int64()),
       arrow::field("value", arrow::float64()), arrow::field("category", arrow::utf8()),
       arrow::field("metric", arrow::float64())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *value.Finish(),
                                   *category.Finish(), *metric.Finish()});
}

/// About 1 kB a row, the unit of the service's own limits: a log line of words.
std::shared_ptr<arrow::RecordBatch> KilobyteRows(int64_t bytes) {
  arrow::Int64Builder id, timestamp;
  arrow::StringBuilder line;
  const int64_t rows = std::max<int64_t>(1, bytes / 1000);
  uint64_t state = 1;
  for (int64_t i = 0; i < rows; ++i) {
    std::string text;
    while (text.size() < 980) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      text += "word" + std::to_string(state >> 52) + ' ';
    }
    Check(id.Append(i));
    Check(timestamp.Append(1700000000000000 + i));
    Check(line.Append(text));
  }
  auto schema = arrow::schema({arrow::field("id", arrow::int64()),
                               arrow::field("timestamp", arrow::int64()),
                               arrow::field("line", arrow::utf8())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *line.Finish()});
}

std::string Column(const std::string& name, const std::string& type_name,
                   const std::string& type, int position) {
  return R"({"name": ")" + name + R"(", "type_name": ")" + type_name +
         R"(", "type_text": ")" + type + R"(", "type_json": "\")" + type +
         R"(\"", "nullable": true, "position": )" + std::to_string(position) + "}";
}

std::string TablesJson(const arrow::Schema& schema) {
  std::string columns;
  for (int i = 0; i < schema.num_fields(); ++i) {
    const auto& field = *schema.field(i);
    if (i > 0) columns += ", ";
    switch (field.type()->id()) {
      case arrow::Type::INT64:
        columns += Column(field.name(), "LONG", "long", i);
        break;
      case arrow::Type::DOUBLE:
        columns += Column(field.name(), "DOUBLE", "double", i);
        break;
      default:
        columns += Column(field.name(), "STRING", "string", i);
    }
  }
  return std::string("{\"") + kTable + "\": {\"columns\": [" + columns + "]}}";
}

std::unique_ptr<ZerobusWriter> MakeWriter(const Settings& settings,
                                          const EmulatorProcess& emulator,
                                          const std::string& mode) {
  zerobus::Options options = zerobus::Options{emulator.grpc_url(), kTable}
                                 .WithCredentials("emulator", "emulator")
                                 .WithUnityCatalog(emulator.http_url());
  options.workspace_id = "1";
  options.mode = mode == "proto"  ? Mode::kProto
                 : mode == "json" ? Mode::kJson
                                  : Mode::kFlight;
  options.stream.ipc_compression = settings.compression == "none"
                                       ? zerobus::IpcCompression::kNone
                                   : settings.compression == "lz4"
                                       ? zerobus::IpcCompression::kLz4Frame
                                       : zerobus::IpcCompression::kZstd;
  return Take(ZerobusWriter::Make(options));
}

void MustBeDurable(const zerobus::TransmissionResult& result) {
  if (!result.success()) Die("a batch failed: " + result.error().ToString());
}

double BytesOf(const arrow::RecordBatch& batch) {
  double bytes = 0;
  for (const auto& column : batch.columns()) {
    for (const auto& buffer : column->data()->buffers) {
      bytes += buffer ? static_cast<double>(buffer->size()) : 0;
    }
  }
  return bytes;
}

void MeasureLatency(const Settings& settings, ZerobusWriter* writer,
                    const std::shared_ptr<arrow::RecordBatch>& batch,
                    const std::string& mode) {
  for (int i = 0; i < 3; ++i) MustBeDurable(writer->SendBatch(batch));
  std::vector<double> times_ms;
  const double end = Now() + settings.seconds;
  while (Now() < end || static_cast<int>(times_ms.size()) < settings.batches_min) {
    const double began = Now();
    MustBeDurable(writer->SendBatch(batch));
    times_ms.push_back((Now() - began) * 1e3);
  }
  std::printf("%-7s %8.0f kB  p50 %8.2f  p95 %8.2f  p99 %8.2f ms  (%zu batches)\n",
              mode.c_str(), BytesOf(*batch) / 1e3, Percentile(times_ms, 50),
              Percentile(times_ms, 95), Percentile(times_ms, 99), times_ms.size());
  std::fflush(stdout);
}

void MeasureThroughput(const Settings& settings, ZerobusWriter* writer,
                       const EmulatorProcess& emulator,
                       const std::shared_ptr<arrow::RecordBatch>& batch,
                       const std::string& mode, int producers) {
  MustBeDurable(writer->SendBatch(batch));
  const double client_cpu = CpuSeconds(::getpid());
  const double emulator_cpu = CpuSeconds(emulator.pid());
  const double began = Now();
  std::vector<int64_t> sent(static_cast<size_t>(producers));
  std::vector<std::thread> threads;
  for (int i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] {
      while (Now() < began + settings.seconds) {
        Take(writer->SendAsync(batch));
        ++sent[static_cast<size_t>(i)];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  Check(writer->Flush());
  const double seconds = Now() - began;
  int64_t batches = 0;
  for (const int64_t count : sent) batches += count;
  const double bytes = BytesOf(*batch) * static_cast<double>(batches);
  const double rows = static_cast<double>(batch->num_rows() * batches);
  std::printf(
      "%-7s %8.0f kB  %7.1f MB/s of Arrow  %6.2f Mrows/s  %d producer%s  cores: client "
      "%.2f, emulator %.2f\n",
      mode.c_str(), BytesOf(*batch) / 1e3, bytes / 1e6 / seconds, rows / 1e6 / seconds,
      producers, producers == 1 ? " " : "s",
      (CpuSeconds(::getpid()) - client_cpu) / seconds,
      (CpuSeconds(emulator.pid()) - emulator_cpu) / seconds);
  std::fflush(stdout);
}

void Run(const Settings& settings) {
  const auto make = settings.rows == "narrow" ? NarrowRows : KilobyteRows;
  std::string folder = std::filesystem::temp_directory_path() / "zerobus_send.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) Die("cannot make a folder");
  std::printf("%s rows, validate %s, Flight bodies %s, script %s, time scale %s\n",
              settings.rows.c_str(), settings.validate.c_str(),
              settings.compression.c_str(), settings.script.c_str(),
              settings.time_scale.c_str());
  {
    std::FILE* script = std::fopen((folder + "/script.json").c_str(), "w");
    std::fputs(settings.script.c_str(), script);
    std::fclose(script);
  }
  for (const std::string& mode : settings.modes) {
    auto emulator =
        settings.arrowport.empty()
            ? EmulatorProcess::Attach(settings.grpc_url, settings.http_url)
            : Take(EmulatorProcess::Spawn(
                  settings.arrowport, folder, TablesJson(*make(1)->schema()),
                  {"--validate", settings.validate, "--script", folder + "/script.json",
                   "--time-scale", settings.time_scale}));
    auto writer = MakeWriter(settings, *emulator, mode);
    for (const int64_t size : settings.sizes) {
      MeasureLatency(settings, writer.get(), make(size), mode);
    }
    for (const int producers : settings.producers) {
      MeasureThroughput(settings, writer.get(), *emulator, make(settings.batch_bytes),
                        mode, producers);
    }
    Check(writer->Shutdown());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace arrowport::bench

int main(int argc, char** argv) {
  arrowport::bench::Settings settings;
  CLI::App app("The Zerobus writer against the emulator");
  app.add_option("--arrowport", settings.arrowport, "the program; or --grpc and --http");
  app.add_option("--grpc", settings.grpc_url, "an emulator that runs with the table");
  app.add_option("--http", settings.http_url);
  app.add_option("--mode", settings.modes)->check(CLI::IsMember({"proto", "json", "flight"}));
  app.add_option("--rows", settings.rows)->check(CLI::IsMember({"narrow", "kilobyte"}));
  app.add_option("--validate", settings.validate)->check(CLI::IsMember({"full", "none"}));
  app.add_option("--compression", settings.compression)
      ->check(CLI::IsMember({"zstd", "lz4", "none"}));
  app.add_option("--script", settings.script, "of the emulator: delays");
  app.add_option("--time-scale", settings.time_scale);
  app.add_option("--size", settings.sizes, "bytes of Arrow of the latency runs");
  app.add_option("--batch-bytes", settings.batch_bytes, "of the throughput runs");
  app.add_option("--producers", settings.producers);
  app.add_option("--seconds", settings.seconds, "of each figure");
  app.add_option("--batches-min", settings.batches_min);
  CLI11_PARSE(app, argc, argv);
  if (settings.arrowport.empty() && settings.grpc_url.empty()) {
    std::fprintf(stderr, "give --arrowport, or --grpc and --http\n");
    return 2;
  }
  arrowport::bench::Run(settings);
  return 0;
}
