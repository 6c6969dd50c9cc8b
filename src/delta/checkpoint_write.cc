#include "delta/checkpoint_write.h"

#include <fmt/format.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/checkpoint_write_rows.h"
#include "delta/data_file_writer.h"
#include "delta/json_text.h"
#include "delta/log_listing.h"

namespace arrowport::delta {
namespace {

constexpr std::string_view kHintPath = "_delta_log/_last_checkpoint";

bool HasV2Feature(const Protocol& protocol) {
  const auto& features = protocol.writer_features;
  return features && std::find(features->begin(), features->end(), "v2Checkpoint") !=
                         features->end();
}

/// Row groups of actions, cut as they fill.
class CheckpointFile {
 public:
  CheckpointFile(CheckpointContent content, const CheckpointOptions& options)
      : rows_(content), options_(options) {}

  arrow::Status Open(arrow::io::OutputStream* stream) {
    parquet::WriterProperties::Builder properties;
    // What the pickiest readers take: plain or dictionary pages of version 1, snappy.
    properties.memory_pool(EncoderMemoryPool())
        ->compression(arrow::Compression::SNAPPY)
        ->data_page_version(parquet::ParquetDataPageVersion::V1)
        ->disable_write_page_index();
    std::shared_ptr<arrow::io::OutputStream> borrowed(stream, [](auto*) {});
    ARROW_ASSIGN_OR_RAISE(
        writer_, parquet::arrow::FileWriter::Open(*rows_.schema(), EncoderMemoryPool(),
                                                  std::move(borrowed),
                                                  properties.build()));
    return {};
  }

  void Put(const Action& action) {
    if (!status_.ok()) return;
    rows_.Put(action);
    ++actions_;
    if (std::holds_alternative<AddFile>(action)) ++adds_;
    if (rows_.rows() >= options_.row_group_actions ||
        rows_.bytes() >= options_.row_group_bytes) {
      status_ = Flush();
    }
  }

  arrow::Status Finish() {
    ARROW_RETURN_NOT_OK(status_);
    if (rows_.rows() > 0) ARROW_RETURN_NOT_OK(Flush());
    return writer_->Close();
  }

  int64_t actions() const { return actions_; }
  int64_t adds() const { return adds_; }

 private:
  arrow::Status Flush() {
    ARROW_ASSIGN_OR_RAISE(auto batch, rows_.Take());
    ARROW_RETURN_NOT_OK(writer_->NewRowGroup());
    for (const auto& column : batch->columns()) {
      ARROW_RETURN_NOT_OK(writer_->WriteColumnChunk(*column));
    }
    return {};
  }

  CheckpointRows rows_;
  const CheckpointOptions options_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  int64_t actions_ = 0, adds_ = 0;
  arrow::Status status_;
};

arrow::Status WriteActions(const Snapshot& snapshot, bool v2, CheckpointFile* file) {
  if (v2) file->Put(CheckpointMetadata{snapshot.version(), {}});
  file->Put(snapshot.state().protocol);
  file->Put(snapshot.state().metadata);
  for (const auto& [app_id, transaction] : snapshot.transactions()) file->Put(transaction);
  for (const auto& [name, domain] : snapshot.domains()) {
    if (!domain.removed) file->Put(domain);
  }
  snapshot.VisitFiles([&](int64_t, const AddFile& add) { file->Put(add); });
  snapshot.VisitTombstones([&](const RemoveFile& remove) { file->Put(remove); });
  return file->Finish();
}

/// A hint at a checkpoint that is not there keeps other readers from the table.
arrow::Result<bool> IsHintBetter(const store::Store& store, int64_t version) {
  const auto hint = LastCheckpointHint(store);
  if (!hint || *hint <= version) return false;
  ARROW_ASSIGN_OR_RAISE(const LogListing listing, ListLog(store, *hint));
  const CheckpointFiles* newest = listing.NewestCheckpoint(*hint);
  return newest != nullptr && newest->version == *hint;
}

arrow::Status WriteHint(store::Store* store, const Snapshot& snapshot,
                        const CheckpointFile& file, int64_t size_bytes) {
  ARROW_ASSIGN_OR_RAISE(const bool better, IsHintBetter(*store, snapshot.version()));
  if (better) return {};
  std::string text;
  JsonObject object(&text);
  object.Number("version", snapshot.version());
  object.Number("size", file.actions());
  object.Number("sizeInBytes", size_bytes);
  object.Number("numOfAddFiles", file.adds());
  object.Close();
  return store->Put(kHintPath, text);
}

}  // namespace

std::string CheckpointPath(int64_t version) {
  return fmt::format("{}/{:020}.checkpoint.parquet", kLogFolder, version);
}

arrow::Status WriteCheckpointOf(store::Store* store, const Snapshot& snapshot,
                                const CheckpointOptions& options) {
  const std::string path = CheckpointPath(snapshot.version());
  if (store->Stat(path).ok()) return {};
  ARROW_RETURN_NOT_OK(FaultPoint("delta.checkpoint.before_file"));
  const bool v2 = HasV2Feature(snapshot.state().protocol);
  ARROW_ASSIGN_OR_RAISE(auto writer, store->Create(path));
  // Ends before the writer: Parquet's own writer touches the stream when destroyed.
  CheckpointFile file(v2 ? CheckpointContent::kV2 : CheckpointContent::kV1, options);
  int64_t size_bytes = 0;
  try {
    ARROW_RETURN_NOT_OK(file.Open(writer->stream()));
    ARROW_RETURN_NOT_OK(WriteActions(snapshot, v2, &file));
    ARROW_ASSIGN_OR_RAISE(size_bytes, writer->stream()->Tell());
  } catch (const std::exception& failure) {
    return Error(ErrorCode::kInternal, "cannot encode a checkpoint: ", failure.what());
  }
  const arrow::Status finished = writer->Finish();
  if (!finished.ok()) {
    return CodeOf(finished) == ErrorCode::kAlreadyExists ? arrow::Status::OK() : finished;
  }
  ARROW_RETURN_NOT_OK(store->SyncFolder(kLogFolder));
  ARROW_RETURN_NOT_OK(FaultPoint("delta.checkpoint.before_hint"));
  return WriteHint(store, snapshot, file, size_bytes);
}

}  // namespace arrowport::delta
