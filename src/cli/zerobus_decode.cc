#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "cli/app.h"
#include "cli/data_file.h"
#include "cli/json_text.h"
#include "zerobus/debug_records.h"

namespace arrowport::cli {
namespace {

struct DecodeOptions {
  std::string file;
  std::string descriptor;
  std::optional<int64_t> limit;
};

/// Lines on standard output. A reader that has gone, as `head` does, wants no more.
class Lines {
 public:
  explicit Lines(std::optional<int64_t> limit) : left_(limit) {}
  bool wants_more() const { return !gone_ && (!left_ || *left_ > 0); }
  arrow::Status Write(std::string& line) {
    if (left_) --*left_;
    line += '\n';
    return Check(std::fwrite(line.data(), 1, line.size(), stdout) == line.size());
  }
  arrow::Status Finish() { return gone_ ? arrow::Status() : Check(std::fflush(stdout) == 0); }

 private:
  arrow::Status Check(bool written) {
    if (written) return {};
    gone_ = errno == EPIPE;
    if (gone_) return {};
    return Error(ErrorCode::kStorageUnavailable, "cannot write to standard output: ",
                 std::strerror(errno));
  }
  std::optional<int64_t> left_;
  bool gone_ = false;
};

arrow::Status DecodeArrow(const std::string& path, Lines& lines) {
  ARROW_ASSIGN_OR_RAISE(const DataFile data, OpenDataFile(path));
  std::string line;
  while (lines.wants_more()) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(data.reader->ReadNext(&batch));
    if (!batch) return {};
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    for (int64_t row = 0; row < batch->num_rows() && lines.wants_more(); ++row) {
      line.clear();
      AppendJsonRow(*batch, row, &line);
      ARROW_RETURN_NOT_OK(lines.Write(line));
    }
  }
  return {};
}

arrow::Status DecodeProto(const DecodeOptions& options, Lines& lines) {
  ARROW_ASSIGN_OR_RAISE(auto reader,
                        zerobus::DebugRecordReader::Open(options.file, options.descriptor));
  std::string line;
  while (lines.wants_more()) {
    ARROW_ASSIGN_OR_RAISE(const bool found, reader->Next(&line));
    if (!found) return {};
    ARROW_RETURN_NOT_OK(lines.Write(line));
  }
  return {};
}

arrow::Status Decode(const DecodeOptions& options) {
  Lines lines(options.limit);
  const bool is_arrow = std::filesystem::path(options.file).extension() == ".arrow";
  const arrow::Status decoded =
      is_arrow ? DecodeArrow(options.file, lines) : DecodeProto(options, lines);
  // The rows before a failure are shown all the same.
  const arrow::Status finished = lines.Finish();
  return decoded.ok() ? finished : decoded;
}

}  // namespace

void AddZerobusDecode(CLI::App& zerobus, Context& context) {
  CLI::App* command =
      zerobus.add_subcommand("decode", "Print the rows of a debug file as JSON lines");
  auto options = std::make_shared<DecodeOptions>();
  command->add_option("file", options->file, "A .proto or .arrow file of --debug-dir")
      ->required();
  command->add_option("--descriptor", options->descriptor,
                      "Descriptor of a .proto file (default: the one beside it or in "
                      "../descriptors)");
  command->add_option("--limit", options->limit, "Rows to print at most")
      ->check(CLI::NonNegativeNumber);
  command->footer("The files: docs/formats/zerobus-debug.md.");
  AddJsonFlag(*command, context);
  command->callback([options, &context] { context.Finish(Decode(*options)); });
}

}  // namespace arrowport::cli
