// Reads and maintains Delta tables as a script says, so that foreign tools can judge:
//
//   delta_state TABLE WORD...
//
// Words are done in order: state[=VERSION] (prints version, files, transactions, rows in
// the log), rows=FILE (the newest rows as an Arrow IPC stream), optimize, restore=VERSION,
// vacuum=HOURS (forced). One JSON line a word on standard output.
#include <arrow/io/file.h>
#include <arrow/ipc/writer.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "delta/json_text.h"
#include "delta/optimize.h"
#include "delta/restore.h"
#include "delta/table.h"
#include "delta/table_info.h"
#include "delta/table_reader.h"
#include "delta/vacuum.h"

namespace arrowport::delta {
namespace {

class Script {
 public:
  explicit Script(std::shared_ptr<store::Store> store) : store_(std::move(store)) {
    environment_.encoders = std::make_shared<EncoderPool>(1);
  }

  /// The JSON line of one word.
  arrow::Result<std::string> Run(std::string_view word) {
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    if (name == "state") return State(value);
    if (name == "rows") return Rows(value);
    ARROW_ASSIGN_OR_RAISE(auto table, DeltaTable::Open(store_, environment_, {}));
    std::string out;
    JsonObject object(&out);
    if (name == "optimize") {
      ARROW_ASSIGN_OR_RAISE(const auto report,
                            Optimize(*table, store_, environment_.encoders, {}));
      object.Number("version", report.version);
      object.Number("added", report.files_added);
    } else if (name == "restore") {
      ARROW_ASSIGN_OR_RAISE(const auto report, Restore(*table, store_, std::stoll(value)));
      object.Number("version", report.version);
    } else if (name == "vacuum") {
      VacuumOptions options;
      options.mode = VacuumMode::kRemove;
      options.retention_ms = std::stoll(value) * 3600 * 1000;
      options.force = true;
      ARROW_ASSIGN_OR_RAISE(const auto report, Vacuum(*table, store_, options));
      object.Number("version", report.version);
      object.Number("files", report.files);
    } else {
      return arrow::Status::Invalid("an unknown word: ", word);
    }
    object.Close();
    return out;
  }

 private:
  arrow::Result<std::string> State(const std::string& version) {
    const LogReader log(store_);
    ARROW_ASSIGN_OR_RAISE(const auto snapshot,
                          version.empty() ? log.Load() : log.Load(std::stoll(version)));
    std::string out;
    JsonObject object(&out);
    object.Number("version", snapshot->version());
    object.Number("rows", DescribeTable(*snapshot).rows.value_or(-1));
    object.Raw("schema", SchemaToJson(*snapshot->state().schema));
    object.Name("files");
    std::string separator = "[";
    snapshot->VisitFiles([&](int64_t, const AddFile& file) {
      out += std::exchange(separator, ",");
      AppendJsonString(file.path, &out);
    });
    out += separator == "[" ? "[]" : "]";
    object.Name("transactions");
    JsonObject transactions(&out);
    for (const auto& [app, transaction] : snapshot->transactions()) {
      transactions.Number(app, transaction.version);
    }
    transactions.Close();
    object.Close();
    return out;
  }

  arrow::Result<std::string> Rows(const std::string& path) {
    ARROW_ASSIGN_OR_RAISE(auto snapshot, LogReader(store_).Load());
    ARROW_ASSIGN_OR_RAISE(auto rows, ReadTable(store_, std::move(snapshot)));
    ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::FileOutputStream::Open(path));
    ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeStreamWriter(file, rows->schema()));
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(rows->ReadNext(&batch));
      if (batch == nullptr) break;
      ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*batch));
    }
    ARROW_RETURN_NOT_OK(writer->Close());
    ARROW_RETURN_NOT_OK(file->Close());
    return std::string("{}");
  }

  std::shared_ptr<store::Store> store_;
  TableEnvironment environment_;
};

int Main(int count, char** words) {
  if (count < 2) return 2;
  auto store = store::OpenLocalStore(words[1], store::Durability::kMemory, false);
  if (!store.ok()) {
    std::fputs((store.status().ToString() + "\n").c_str(), stderr);
    return 1;
  }
  Script script(*store);
  for (int i = 2; i < count; ++i) {
    const auto line = script.Run(words[i]);
    if (!line.ok()) {
      std::fputs((line.status().ToString() + "\n").c_str(), stderr);
      return 1;
    }
    std::puts(line->c_str());
  }
  return 0;
}

}  // namespace
}  // namespace arrowport::delta

int main(int count, char** words) { return arrowport::delta::Main(count, words); }
