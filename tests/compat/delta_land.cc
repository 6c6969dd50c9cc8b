// Writes Delta tables as a script says, so that foreign readers can judge them:
//
//   delta_land TABLE WORD...
//
// Words are done in order. Settings hold for what follows: partition=a,b property=k=v
// mode=strict|merge|overwrite widen plain compression=TEXT groups=ROWS target=BYTES
// where=COLUMN=VALUE key=TEXT producer=ID:N faults=SPEC interval=N reopen sync.
// Steps: append=FILE overwrite=FILE (Arrow IPC streams, one write each) group=FILE (each
// batch a request of one group) loop=FILE:N (N appends, key "loop-<i>") checkpoint cleanup.
// One JSON line a step on standard output.
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/table.h"

namespace arrowport::delta {
namespace {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

struct Input {
  std::shared_ptr<arrow::Schema> schema;
  Batches batches;
};

arrow::Result<Input> ReadInput(const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::ReadableFile::Open(path));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(file));
  Input input{reader->schema(), {}};
  ARROW_ASSIGN_OR_RAISE(input.batches, reader->ToRecordBatches());
  return input;
}

std::vector<std::string> Split(const std::string& text, char mark) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == mark) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

class Script {
 public:
  explicit Script(std::string folder) : folder_(std::move(folder)) {
    options_.create = TableDefinition{};
    environment_.encoders = std::make_shared<EncoderPool>(2);
    table_options_.log.checkpoint_spacing_ms = 0;
  }

  /// False for a word that is unknown.
  bool Do(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    return Set(name, value) || Step(name, value);
  }

 private:
  bool Set(const std::string& name, const std::string& value) {
    if (name == "partition") {
      options_.create->partition_by = Split(value, ',');
    } else if (name == "property") {
      const size_t equals = value.find('=');
      options_.create->configuration[value.substr(0, equals)] = value.substr(equals + 1);
    } else if (name == "mode") {
      options_.schema_mode = value == "merge"       ? SchemaMode::kMerge
                             : value == "overwrite" ? SchemaMode::kOverwrite
                                                    : SchemaMode::kStrict;
    } else if (name == "widen") {
      options_.type_widening = TypeWidening::kEnable;
    } else if (name == "plain") {
      options_.files.integers = IntegerEncoding::kPlain;
    } else if (name == "compression") {
      options_.files.compression = value;
    } else if (name == "groups") {
      options_.files.row_group_rows = std::stoll(value);
    } else if (name == "target") {
      options_.files.target_file_bytes = std::stoll(value);
    } else if (name == "where") {
      const size_t equals = value.find('=');
      where_.columns = {{value.substr(0, equals), {value.substr(equals + 1)}}};
    } else if (name == "key") {
      key_ = value;
    } else if (name == "producer") {
      producer_ = value;
    } else if (name == "faults") {
      return ArmFaultPoints(value).ok();
    } else if (name == "sync") {
      durability_ = store::Durability::kSync;
    } else if (name == "reopen") {
      table_.reset();
    } else {
      return false;
    }
    return true;
  }

  bool Step(const std::string& name, const std::string& value) {
    arrow::Status opened = Open();
    if (!opened.ok()) {
      Say(name, opened, -1);
    } else if (name == "append" || name == "overwrite") {
      const WriteOutcome outcome = Write(name, value);
      Say(name, outcome.status, outcome.version, outcome.replayed);
    } else if (name == "group") {
      Group(value);
    } else if (name == "loop") {
      Loop(value);
    } else if (name == "checkpoint") {
      const auto newest = table_->snapshot();
      Say(name, table_->WriteCheckpoint(), newest == nullptr ? -1 : newest->version());
    } else if (name == "cleanup") {
      auto report = table_->CleanUpLog();
      Say(name, report.status(), report.ok() ? report->log_files_removed : -1);
    } else {
      return false;
    }
    return true;
  }

  arrow::Status Open() {
    if (table_) return {};
    ARROW_ASSIGN_OR_RAISE(auto store, store::OpenLocalStore(folder_, durability_, true));
    ARROW_ASSIGN_OR_RAISE(table_, DeltaTable::Open(store, environment_, table_options_));
    return {};
  }

  WriteOutcome Write(const std::string& name, const std::string& path) {
    WriteOutcome outcome;
    outcome.status = WriteRows(name, path, &outcome);
    return outcome;
  }

  arrow::Status WriteRows(const std::string& name, const std::string& path,
                          WriteOutcome* outcome) {
    ARROW_ASSIGN_OR_RAISE(Input input, ReadInput(path));
    std::unique_ptr<TableWrite> write;
    if (name == "append") {
      ARROW_ASSIGN_OR_RAISE(write, table_->BeginAppend(input.schema, options_));
    } else {
      ARROW_ASSIGN_OR_RAISE(write,
                            table_->BeginOverwrite(input.schema, where_, options_));
    }
    for (const auto& batch : input.batches) ARROW_RETURN_NOT_OK(write->Append(batch));
    std::optional<ProducerSequence> producer;
    if (!producer_.empty()) {
      const auto parts = Split(producer_, ':');
      producer = ProducerSequence{parts[0], std::stoll(parts[1])};
    }
    std::optional<KeyEntry> key;
    if (!key_.empty()) key = KeyEntry{key_, std::string(32, 'x'), 0};
    *outcome = write->Commit(producer, key);
    return outcome->status;
  }

  void Group(const std::string& path) {
    auto input = ReadInput(path);
    if (!input.ok()) return Say("group", input.status(), -1);
    std::vector<AppendMember> members;
    for (const auto& batch : input->batches) {
      members.push_back({{batch}, input->schema, std::nullopt, std::nullopt});
    }
    for (const auto& outcome : table_->Append(members, options_)) {
      Say("group", outcome.status, outcome.version);
    }
  }

  void Loop(const std::string& value) {
    const size_t colon = value.find_last_of(':');
    auto input = ReadInput(value.substr(0, colon));
    if (!input.ok()) return Say("loop", input.status(), -1);
    for (int i = 0; i < std::stoi(value.substr(colon + 1)); ++i) {
      const std::string key = fmt::format("{}loop-{}", key_, i);
      AppendMember member{input->batches, input->schema, std::nullopt,
                          KeyEntry{key, std::string(32, 'x'), 0}};
      const auto outcome = table_->Append(std::span(&member, 1), options_).front();
      Say(key, outcome.status, outcome.version, outcome.replayed);
      if (table_->CheckpointDue()) Say("checkpoint", table_->WriteCheckpoint(), -1);
    }
  }

  static void Say(const std::string& step, const arrow::Status& status, int64_t version,
                  bool replayed = false) {
    std::string error =
        status.ok() ? std::string() : std::string(InfoOf(CodeOf(status)).name);
    fmt::print(R"({{"step":"{}","version":{},"replayed":{},"error":"{}"}})"
               "\n",
               step, version, replayed, error);
    std::fflush(stdout);
    if (!status.ok()) fmt::print(stderr, "{}: {}\n", step, status.ToString());
  }

  const std::string folder_;
  store::Durability durability_ = store::Durability::kMemory;
  WriteOptions options_;
  TableEnvironment environment_;
  TableOptions table_options_;
  PartitionFilter where_;
  std::string key_, producer_;
  std::shared_ptr<DeltaTable> table_;
};

}  // namespace
}  // namespace arrowport::delta

int main(int argument_count, char** arguments) {
  if (argument_count < 3) return 2;
  arrowport::delta::Script script(arguments[1]);
  for (int i = 2; i < argument_count; ++i) {
    if (!script.Do(arguments[i])) {
      fmt::print(stderr, "unknown word: {}\n", arguments[i]);
      return 2;
    }
  }
  return 0;
}
