// Commits of one Arrow stream file into a new Delta table, timed inside this process:
//
//   delta_write FILE FOLDER [--encoders N] [--sync] [--repeat N] [--group N]
//
// Each repetition is one append of the whole file (the first creates the table); with
// --group N it is one group of N requests of the file's rows. Prints milliseconds and CPU
// milliseconds per repetition as JSON. Driven by delta_peers.py.
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "delta/table.h"

namespace arrowport::delta {
namespace {

struct Arguments {
  std::string file, folder;
  int encoders = 1, repeat = 1, group = 1;
  store::Durability durability = store::Durability::kMemory;
};

double CpuMs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) { return time.tv_sec * 1e3 + time.tv_usec / 1e3; };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

arrow::Status Run(const Arguments& arguments) {
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::ReadableFile::Open(arguments.file));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(file));
  ARROW_ASSIGN_OR_RAISE(auto batches, reader->ToRecordBatches());
  ARROW_ASSIGN_OR_RAISE(auto store, store::OpenLocalStore(arguments.folder,
                                                          arguments.durability, true));
  TableEnvironment environment;
  environment.encoders = std::make_shared<EncoderPool>(arguments.encoders);
  ARROW_ASSIGN_OR_RAISE(auto table, DeltaTable::Open(store, environment, {}));
  WriteOptions options;
  options.create = TableDefinition{};

  std::string wall, cpu;
  for (int round = 0; round < arguments.repeat; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_begin = CpuMs();
    std::vector<AppendMember> members(static_cast<size_t>(arguments.group),
                                      {batches, reader->schema(), {}, {}});
    for (const auto& outcome : table->Append(members, options)) {
      ARROW_RETURN_NOT_OK(outcome.status);
    }
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - begin;
    wall += fmt::format("{}{:.4f}", round ? "," : "", took.count());
    cpu += fmt::format("{}{:.4f}", round ? "," : "", CpuMs() - cpu_begin);
  }
  const auto snapshot = table->snapshot();
  fmt::print(R"({{"ms":[{}],"cpu_ms":[{}],"bytes":{},"files":{}}})"
             "\n",
             wall, cpu, snapshot->size_bytes(), snapshot->file_count());
  return {};
}

}  // namespace
}  // namespace arrowport::delta

int main(int count, char** words) {
  if (count < 3) return 2;
  arrowport::delta::Arguments arguments;
  arguments.file = words[1];
  arguments.folder = words[2];
  for (int i = 3; i < count; ++i) {
    const std::string word = words[i];
    const auto number = [&] { return i + 1 < count ? std::atoi(words[++i]) : 1; };
    if (word == "--sync") {
      arguments.durability = arrowport::store::Durability::kSync;
    } else if (word == "--encoders") {
      arguments.encoders = number();
    } else if (word == "--repeat") {
      arguments.repeat = number();
    } else if (word == "--group") {
      arguments.group = number();
    } else {
      return 2;
    }
  }
  const arrow::Status status = arrowport::delta::Run(arguments);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
