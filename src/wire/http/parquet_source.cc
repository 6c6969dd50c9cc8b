#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <exception>
#include <utility>

#include "base/error.h"
#include "wire/http/batch_source.h"
#include "wire/http/spool.h"
#include "wire/ipc/message_pool.h"

namespace arrowport::wire::http {
namespace {

constexpr int64_t kRowsPerBatch = 65536;
constexpr int64_t kReadBufferBytes = 1 << 20;

/// The library throws, and where it does not, its statuses carry no code of ours.
template <typename Call>
arrow::Status Guarded(Call call) {
  arrow::Status status;
  try {
    status = call();
  } catch (const parquet::ParquetStatusException& e) {
    status = e.status();
  } catch (const std::exception& e) {
    return Error(ErrorCode::kBadData, "the body is not readable as Parquet: ", e.what());
  }
  if (status.ok()) return status;
  if (CodeOf(status) == ErrorCode::kTooLarge) return status;
  return WithContext("the body is not readable as Parquet",
                     WithCode(ErrorCode::kBadData, status));
}

class ParquetSource : public BatchSource {
 public:
  ParquetSource(const DecodeOptions& options, std::unique_ptr<BodyReader> body)
      : columns_max_(options.decoder.columns_max),
        body_(std::move(body)),
        spool_(std::make_unique<Spool>(options.spool_folder, options.spool_memory_bytes,
                                       options.spool_bytes_max)),
        pool_(ipc::MessagePool::MakeCapped(options.budget, options.parquet_memory_max)) {}

  void Feed(net::Message message) override { body_->Feed(std::move(message.body)); }
  void FeedEnd() override { body_->FeedEnd(); }
  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }

  arrow::Result<Step> Next() override {
    if (spool_) return Collect();
    if (!batches_) {
      if (row_group_ == row_groups_) return Step{Progress::kEnd, nullptr};
      ARROW_RETURN_NOT_OK(Guarded([&]() -> arrow::Status {
        ARROW_ASSIGN_OR_RAISE(batches_, reader_->GetRecordBatchReader({row_group_++}));
        return {};
      }));
    }
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(Guarded([&] { return batches_->ReadNext(&batch); }));
    if (!batch) {
      batches_.reset();
      return Step{Progress::kWorked, nullptr};
    }
    return Step{Progress::kBatch,
                arrow::RecordBatch::Make(schema_, batch->num_rows(), batch->columns())};
  }

 private:
  arrow::Result<Step> Collect() {
    ARROW_ASSIGN_OR_RAISE(BodyReader::Piece piece, body_->Next());
    if (piece.state == BodyReader::State::kNeedInput) {
      return Step{Progress::kNeedInput, nullptr};
    }
    if (piece.state == BodyReader::State::kBytes) {
      ARROW_RETURN_NOT_OK(spool_->Append(piece.bytes));
    } else {
      ARROW_RETURN_NOT_OK(OpenFile());
    }
    return Step{Progress::kWorked, nullptr};
  }

  arrow::Status OpenFile() {
    if (spool_->size() == 0) {
      return Error(ErrorCode::kIncompleteStream, "the Parquet body is empty");
    }
    ARROW_ASSIGN_OR_RAISE(auto file, spool_->Finish());
    spool_.reset();
    return Guarded([&]() -> arrow::Status {
      // Pages are read as they are needed, not a column chunk at a time.
      parquet::ReaderProperties properties(pool_.get());
      properties.enable_buffered_stream();
      properties.set_buffer_size(kReadBufferBytes);
      parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
      arrow_properties.set_batch_size(kRowsPerBatch);
      arrow_properties.set_pre_buffer(false);
      parquet::arrow::FileReaderBuilder builder;
      ARROW_RETURN_NOT_OK(builder.Open(file, properties));
      const int columns = builder.raw_reader()->metadata()->num_columns();
      if (columns > columns_max_ * 4) {
        return Error(ErrorCode::kTooLarge,
                     "the Parquet body has too many columns: ", columns);
      }
      builder.memory_pool(pool_.get());
      builder.properties(arrow_properties);
      ARROW_ASSIGN_OR_RAISE(reader_, builder.Build());
      ARROW_RETURN_NOT_OK(reader_->GetSchema(&schema_));
      if (schema_->num_fields() > columns_max_) {
        return Error(ErrorCode::kTooLarge,
                     "the Parquet body is over limits.columns_max: ", columns_max_);
      }
      row_groups_ = reader_->num_row_groups();
      return {};
    });
  }

  const int columns_max_;
  const std::unique_ptr<BodyReader> body_;
  std::unique_ptr<Spool> spool_;  ///< until the body is complete
  const ipc::MessagePool::Ptr pool_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;  ///< of the current row group
  std::shared_ptr<arrow::Schema> schema_;
  int row_group_ = 0;
  int row_groups_ = 0;
};

}  // namespace

arrow::Result<std::unique_ptr<BatchSource>> MakeParquetSource(
    const DecodeOptions& options, ContentEncoding encoding) {
  ARROW_ASSIGN_OR_RAISE(auto body,
                        BodyReader::Make(encoding, options.decompress_ratio_max));
  return std::make_unique<ParquetSource>(options, std::move(body));
}

}  // namespace arrowport::wire::http
