#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include <exception>
#include <string>
#include <utility>

#include "base/error.h"
#include "wire/http/result_writer.h"

namespace arrowport::wire::http {
namespace {

constexpr int64_t kRowGroupRows = 122880;

/// Keeps what is written until it is taken.
class SliceStream : public arrow::io::OutputStream {
 public:
  arrow::Status Write(const void* data, int64_t bytes) override {
    written_ += bytes;
    slices_.push_back(arrow::Buffer::FromString(
        std::string(static_cast<const char*>(data), static_cast<size_t>(bytes))));
    return {};
  }
  arrow::Status Write(const std::shared_ptr<arrow::Buffer>& data) override {
    return Write(data->data(), data->size());  // the writer may reuse its buffer
  }
  arrow::Status Close() override {
    closed_ = true;
    return {};
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return written_; }

  void Take(net::Slices* out) {
    std::move(slices_.begin(), slices_.end(), std::back_inserter(*out));
    slices_.clear();
  }

 private:
  net::Slices slices_;
  int64_t written_ = 0;
  bool closed_ = false;
};

/// Runs a call into the Parquet library, whose lower layers throw.
template <typename Call>
arrow::Status Guarded(Call call) {
  try {
    arrow::Status status = call();
    return status.ok() ? status : WithContext("write Parquet result", status);
  } catch (const std::exception& e) {
    return Error(ErrorCode::kInternal, "write Parquet result: ", e.what());
  }
}

class ParquetWriter : public ResultWriter {
 public:
  explicit ParquetWriter(arrow::Compression::type codec) : codec_(codec) {}

  arrow::Status Begin(const std::shared_ptr<arrow::Schema>& schema,
                      net::Slices* out) override {
    return Guarded([&]() -> arrow::Status {
      auto properties = parquet::WriterProperties::Builder()
                            .compression(codec_)
                            ->max_row_group_length(kRowGroupRows)
                            ->build();
      auto arrow_properties =
          parquet::ArrowWriterProperties::Builder().store_schema()->build();
      ARROW_ASSIGN_OR_RAISE(writer_, parquet::arrow::FileWriter::Open(
                                         *schema, arrow::default_memory_pool(), stream_,
                                         properties, arrow_properties));
      stream_->Take(out);
      return {};
    });
  }
  arrow::Status Write(const arrow::RecordBatch& batch, net::Slices* out) override {
    return Guarded([&]() -> arrow::Status {
      ARROW_RETURN_NOT_OK(writer_->WriteRecordBatch(batch));
      stream_->Take(out);
      return {};
    });
  }
  arrow::Status End(net::Slices* out) override {
    return Guarded([&]() -> arrow::Status {
      ARROW_RETURN_NOT_OK(writer_->Close());
      stream_->Take(out);
      return {};
    });
  }
  int64_t rows_per_write() const override { return kRowGroupRows; }

 private:
  const arrow::Compression::type codec_;
  const std::shared_ptr<SliceStream> stream_ = std::make_shared<SliceStream>();
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace

arrow::Result<std::unique_ptr<ResultWriter>> MakeParquetWriter(Codec codec) {
  // Parquet names its LZ4 codec LZ4_RAW; Arrow's plain LZ4 stands for it.
  arrow::Compression::type type = codec.value_or(arrow::Compression::SNAPPY);
  if (type == arrow::Compression::LZ4_FRAME) type = arrow::Compression::LZ4;
  return std::make_unique<ParquetWriter>(type);
}

}  // namespace arrowport::wire::http
