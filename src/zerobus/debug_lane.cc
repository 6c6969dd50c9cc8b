#include "zerobus/debug_lane.h"

#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;

// End of an Arrow IPC stream: continuation, then length zero.
constexpr std::string_view kArrowEnd("\xFF\xFF\xFF\xFF\0\0\0\0", 8);
constexpr char kRecordTag = 0x0A;

arrow::Status FileError(const char* phrase, const fs::path& path,
                        const std::error_code& error) {
  return Error(ErrorCode::kStorageUnavailable, phrase, path.string(), ": ",
               error.message());
}

arrow::Status MoveFile(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  return failed ? FileError("cannot rotate the debug file ", from, failed)
                : arrow::Status::OK();
}

arrow::Status First(const arrow::Status& first, const arrow::Status& second) {
  return first.ok() ? second : first;
}

}  // namespace

// --- The active file ---

DebugFile::DebugFile(const DebugLaneOptions& options, std::string_view folder,
                     std::string_view extension, std::string_view end_marker)
    : options_(options),
      folder_(options.zerobus_folder / folder),
      extension_(extension),
      end_marker_(end_marker),
      active_(folder_ / (options.stem + extension_)) {}

bool DebugFile::Exceeds(int64_t unit_bytes) const {
  if (!options_.file_bytes_max) return false;
  const int64_t bytes =
      output_ ? output_->bytes() : static_cast<int64_t>(end_marker_.size());
  return unit_bytes > *options_.file_bytes_max - bytes;
}

arrow::Status DebugFile::Append(std::string_view unit) {
  arrow::Status moved;
  if (!output_) {
    moved = Rotate();  // what an earlier writer left
    ARROW_ASSIGN_OR_RAISE(output_, DebugOutput::Create(active_, end_marker_));
  }
  return First(output_->Append(unit), moved);
}

arrow::Status DebugFile::Flush() { return output_ ? output_->Flush() : arrow::Status(); }

arrow::Status DebugFile::Close() {
  const std::unique_ptr<DebugOutput> output = std::exchange(output_, nullptr);
  return output ? output->Close() : arrow::Status();
}

arrow::Status DebugFile::Rotate(const DebugStamp& stamp) {
  const arrow::Status closed = Close();
  std::error_code failed;
  const fs::file_status found = fs::symlink_status(active_, failed);
  if (found.type() == fs::file_type::not_found) return closed;
  // A file without rows, left by a write that failed, must not cost one that has some.
  if (found.type() == fs::file_type::regular &&
      fs::file_size(active_, failed) <= end_marker_.size() && fs::remove(active_, failed)) {
    return closed;
  }
  const arrow::Status moved =
      MoveFile(active_, folder_ / RotatedName(options_.stem, stamp, extension_));
  return First(First(closed, moved), Prune());
}

arrow::Status DebugFile::Prune() {
  if (!options_.rotated_files_max) return {};
  const auto files = ListRotated(folder_, options_.stem, extension_);
  const auto kept = static_cast<size_t>(*options_.rotated_files_max);
  arrow::Status status;
  for (size_t i = 0; i + kept < files.size(); ++i) {
    std::error_code failed;
    fs::remove(files[i].path, failed);
    if (failed && status.ok()) {
      status = FileError("cannot remove the debug file ", files[i].path, failed);
    }
  }
  return status;
}

// --- Arrow ---

/// Turns batches into the messages of one IPC stream.
class ArrowLane::Encoder {
 public:
  static arrow::Result<std::unique_ptr<Encoder>> Make(
      const std::shared_ptr<arrow::Schema>& schema) {
    auto encoder = std::make_unique<Encoder>();
    ARROW_ASSIGN_OR_RAISE(encoder->writer_,
                          arrow::ipc::MakeStreamWriter(encoder->sink_, schema));
    return encoder;
  }

  /// The messages of `batch`, those of the schema in front of the first. They live until
  /// the next call.
  arrow::Result<std::string_view> Encode(const arrow::RecordBatch& batch) {
    sink_->bytes.clear();
    ARROW_RETURN_NOT_OK(writer_->WriteRecordBatch(batch));
    return sink_->bytes;
  }

 private:
  class Sink final : public arrow::io::OutputStream {
   public:
    arrow::Status Write(const void* data, int64_t size) override {
      bytes.append(static_cast<const char*>(data), static_cast<size_t>(size));
      position_ += size;
      return {};
    }
    using arrow::io::OutputStream::Write;
    arrow::Status Close() override { return {}; }
    bool closed() const override { return false; }
    arrow::Result<int64_t> Tell() const override { return position_; }
    std::string bytes;

   private:
    int64_t position_ = 0;
  };

  const std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

ArrowLane::ArrowLane(const DebugLaneOptions& options)
    : file_(options, "arrow", kArrowExtension, kArrowEnd) {}

ArrowLane::~ArrowLane() = default;

arrow::Status ArrowLane::Rotate() {
  encoder_.reset();
  return file_.Rotate();
}

arrow::Status ArrowLane::Flush() {
  const arrow::Status flushed = file_.Flush();
  return flushed.ok() ? flushed : First(flushed, Rotate());
}

arrow::Status ArrowLane::Write(const arrow::RecordBatch& batch) {
  if (batch.num_rows() == 0) return {};
  arrow::Status rotated;
  if (schema_ && !schema_->Equals(*batch.schema(), /*check_metadata=*/true)) {
    rotated = Rotate();
  }
  schema_ = batch.schema();
  const arrow::Status written = WriteRows(batch);
  if (written.ok()) return rotated;
  // The stream may lack a message: what follows goes into another file.
  return First(written, Rotate());
}

arrow::Status ArrowLane::WriteRows(const arrow::RecordBatch& batch) {
  if (!encoder_) {
    ARROW_ASSIGN_OR_RAISE(encoder_, Encoder::Make(schema_));
  }
  ARROW_ASSIGN_OR_RAISE(const std::string_view messages, encoder_->Encode(batch));
  if (!file_.Exceeds(static_cast<int64_t>(messages.size()))) {
    return file_.Append(messages);
  }
  if (!file_.empty()) {
    // Encoded again: another file needs the schema and its dictionaries.
    const arrow::Status rotated = Rotate();
    return First(WriteRows(batch), rotated);
  }
  const int64_t rows = batch.num_rows();
  if (rows == 1) return file_.Append(messages);
  encoder_.reset();
  // A slice is encoded by offsets in its middle, which nobody has looked at yet.
  ARROW_RETURN_NOT_OK(batch.ValidateFull());
  ARROW_RETURN_NOT_OK(WriteRows(*batch.Slice(0, rows / 2)));
  return WriteRows(*batch.Slice(rows / 2));
}

// --- Protobuf ---

ProtoLane::ProtoLane(const DebugLaneOptions& options)
    : options_(options), file_(options, "proto", kProtoExtension, "") {}

arrow::Status ProtoLane::Flush() {
  const arrow::Status flushed = file_.Flush();
  return flushed.ok() ? flushed : First(flushed, file_.Rotate());
}

arrow::Status ProtoLane::SetDescriptor(std::string_view descriptor) {
  if (descriptor == descriptor_ && stored_) return {};
  descriptor_ = descriptor;
  stored_ = false;
  return StoreDescriptor();
}

arrow::Status ProtoLane::StoreDescriptor() {
  const fs::path folder = options_.zerobus_folder / "descriptors";
  const fs::path active = folder / (options_.stem + std::string(kDescriptorExtension));
  std::string before;
  {
    std::ifstream file(active, std::ios::binary);
    before.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (before == descriptor_ && !before.empty()) {
    stored_ = true;
    return {};
  }
  // Rows and their descriptor are moved under one stamp: that is how they are found again.
  const DebugStamp stamp = options_.stamps->Next();
  const arrow::Status rotated = file_.Rotate(stamp);
  std::error_code failed;
  if (fs::exists(active, failed)) {
    ARROW_RETURN_NOT_OK(MoveFile(
        active, folder / RotatedName(options_.stem, stamp, kDescriptorExtension)));
  }
  const fs::path partial = folder / (options_.stem + ".partial");
  fs::remove(partial, failed);
  ARROW_ASSIGN_OR_RAISE(auto output, DebugOutput::Create(partial, ""));
  ARROW_RETURN_NOT_OK(output->Append(descriptor_));
  ARROW_RETURN_NOT_OK(output->Close());
  ARROW_RETURN_NOT_OK(MoveFile(partial, active));
  stored_ = true;
  failed = PruneDescriptors(options_.zerobus_folder, options_.stem);
  if (failed) return FileError("cannot remove debug files in ", folder, failed);
  return rotated;
}

arrow::Status ProtoLane::Write(std::string_view records) {
  using google::protobuf::io::CodedInputStream;
  if (descriptor_.empty()) {
    return Error(ErrorCode::kInvalidArgument, "rows came before their descriptor");
  }
  if (!stored_) ARROW_RETURN_NOT_OK(StoreDescriptor());
  arrow::Status status;
  while (!records.empty()) {
    if (records[0] != kRecordTag) {
      return Error(ErrorCode::kInternal, "encoded rows without their tag");
    }
    records.remove_prefix(1);
    CodedInputStream input(reinterpret_cast<const uint8_t*>(records.data()),
                           static_cast<int>(std::min<size_t>(records.size(), 10)));
    uint64_t size = 0;
    if (!input.ReadVarint64(&size)) {
      return Error(ErrorCode::kInternal, "encoded rows without their size");
    }
    const auto prefix = static_cast<size_t>(input.CurrentPosition());
    if (size > records.size() - prefix) {
      return Error(ErrorCode::kInternal, "encoded rows that are cut");
    }
    const std::string_view unit = records.substr(0, prefix + size);
    records.remove_prefix(unit.size());
    if (!file_.empty() && file_.Exceeds(static_cast<int64_t>(unit.size()))) {
      status = First(status, file_.Rotate());
    }
    const arrow::Status appended = file_.Append(unit);
    if (!appended.ok() && !file_.empty()) {
      static_cast<void>(file_.Rotate());  // the reason is `appended`
    }
    status = First(status, appended);
    if (!appended.ok()) break;
  }
  return status;
}

}  // namespace arrowport::zerobus
