#include "delta/data_file_writer.h"

#include <arrow/chunked_array.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/file_writer.h>
#include <parquet/properties.h>

#include <charconv>
#include <chrono>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kSmallFileBytes = int64_t{1} << 20;
constexpr int64_t kDictionaryBytesMax = 64 << 10;
constexpr int64_t kPageBytes = int64_t{1} << 20;
constexpr int64_t kPageRowsMax = 20'000;
constexpr int64_t kWriteBatchRows = 4'096;
constexpr size_t kStatisticsBytesMax = 4'096;

/// Holds what is written in memory until it is too much for a small file; the store sees a
/// small file as one write.
class DeferredStream : public arrow::io::OutputStream {
 public:
  DeferredStream(store::Store* store, std::string path)
      : store_(store), path_(std::move(path)) {}

  arrow::Status Write(const void* data, int64_t nbytes) override {
    if (!file_) {
      if (position_ + nbytes <= kSmallFileBytes) {
        held_.append(static_cast<const char*>(data), static_cast<size_t>(nbytes));
        position_ += nbytes;
        return {};
      }
      ARROW_RETURN_NOT_OK(OpenFile());
    }
    position_ += nbytes;
    return file_->stream()->Write(data, nbytes);
  }
  using OutputStream::Write;
  arrow::Status Flush() override { return {}; }
  arrow::Status Close() override {
    closed_ = true;
    return {};
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }

  arrow::Status Finish() {
    if (!file_) ARROW_RETURN_NOT_OK(OpenFile());
    return file_->Finish();
  }
  int64_t position() const { return position_; }

 private:
  arrow::Status OpenFile() {
    ARROW_ASSIGN_OR_RAISE(file_, store_->Create(path_));
    if (!held_.empty()) {
      ARROW_RETURN_NOT_OK(
          file_->stream()->Write(held_.data(), static_cast<int64_t>(held_.size())));
    }
    std::string().swap(held_);
    return {};
  }

  store::Store* const store_;
  const std::string path_;
  std::string held_;
  std::unique_ptr<store::FileWriter> file_;
  int64_t position_ = 0;
  bool closed_ = false;
};


/// Per-leaf settings: packed integers, dictionary for text only.
void SetLeaves(const arrow::DataType& type, const std::string& path,
               IntegerEncoding integers, parquet::WriterProperties::Builder* builder) {
  using arrow::Type;
  switch (type.id()) {
    case Type::STRUCT:
      for (const auto& field : type.fields()) {
        SetLeaves(*field->type(), path + "." + field->name(), integers, builder);
      }
      return;
    case Type::LIST:
      SetLeaves(*type.field(0)->type(), path + ".list.element", integers, builder);
      return;
    case Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(type);
      SetLeaves(*map.key_type(), path + ".key_value.key", integers, builder);
      SetLeaves(*map.item_type(), path + ".key_value.value", integers, builder);
      return;
    }
    case Type::STRING:
      builder->enable_dictionary(path);
      return;
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64:
    case Type::DATE32:
    case Type::TIMESTAMP:
      if (integers == IntegerEncoding::kPacked) {
        builder->encoding(path, parquet::Encoding::DELTA_BINARY_PACKED);
      }
      return;
    case Type::DECIMAL128: {
      // Up to 18 digits they are stored as integers.
      const int precision = static_cast<const arrow::DecimalType&>(type).precision();
      if (integers == IntegerEncoding::kPacked && precision <= 18) {
        builder->encoding(path, parquet::Encoding::DELTA_BINARY_PACKED);
      }
      return;
    }
    default:
      return;
  }
}

std::shared_ptr<parquet::WriterProperties> MakeProperties(const arrow::Schema& schema,
                                                          const DataFileOptions& options,
                                                          const Compression& compression) {
  parquet::WriterProperties::Builder builder;
  builder.memory_pool(EncoderMemoryPool())
      ->disable_dictionary()
      ->dictionary_pagesize_limit(kDictionaryBytesMax)
      ->write_batch_size(kWriteBatchRows)
      ->max_row_group_length(std::max(options.row_group_rows, int64_t{1}))
      ->data_pagesize(kPageBytes)
      ->max_rows_per_page(kPageRowsMax)
      ->data_page_version(parquet::ParquetDataPageVersion::V1)
      ->version(parquet::ParquetVersion::PARQUET_2_6)
      ->max_statistics_size(kStatisticsBytesMax)
      ->enable_statistics()
      ->enable_write_page_index()
      ->enable_store_decimal_as_integer()
      ->compression(compression.codec);
  if (compression.level) builder.compression_level(*compression.level);
  for (const auto& field : schema.fields()) {
    SetLeaves(*field->type(), field->name(), options.integers, &builder);
  }
  return builder.build();
}

std::shared_ptr<arrow::ArrayData> RelabelledData(const arrow::ArrayData& data,
                                                 const arrow::DataType& to,
                                                 std::shared_ptr<arrow::DataType> shared) {
  auto copy = data.Copy();
  copy->type = std::move(shared);
  for (size_t i = 0; i < copy->child_data.size(); ++i) {
    const auto& child = to.field(static_cast<int>(i))->type();
    copy->child_data[i] = RelabelledData(*copy->child_data[i], *child, child);
  }
  return copy;
}

/// `array` under the very type of the file, fields of structs included: Parquet's writer
/// takes nullability below the top from the array.
std::shared_ptr<arrow::Array> Relabelled(const std::shared_ptr<arrow::Array>& array,
                                         const std::shared_ptr<arrow::DataType>& to) {
  if (array->type()->Equals(*to)) return array;
  return arrow::MakeArray(RelabelledData(*array->data(), *to, to));
}

class ParquetDataFile : public DataFileWriter {
 public:
  ParquetDataFile(Spec spec, const Compression& compression)
      : spec_(std::move(spec)),
        compression_(compression),
        collector_(spec_.statistics),
        sink_(std::make_shared<DeferredStream>(spec_.store, spec_.path)) {}

  ~ParquetDataFile() override {
    // Parquet's writer ends its file when destroyed; that has to happen before the sink
    // goes, and what it writes then is thrown away with it.
    try {
      writer_.reset();
    } catch (const std::exception&) {
    }
  }

  arrow::Status WriteRowGroup(
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) override {
    try {
      if (!writer_) ARROW_RETURN_NOT_OK(OpenWriter());
      return WriteColumns(batches);
    } catch (const std::exception& failure) {
      return Error(ErrorCode::kInternal, "cannot encode a data file: ", failure.what());
    }
  }

  int64_t bytes_written() const override { return sink_->position(); }
  int64_t rows_written() const override { return rows_; }

  arrow::Result<DataFile> Finish() override {
    try {
      if (!writer_) ARROW_RETURN_NOT_OK(OpenWriter());
      ARROW_RETURN_NOT_OK(writer_->Close());
    } catch (const std::exception& failure) {
      return Error(ErrorCode::kInternal, "cannot end a data file: ", failure.what());
    }
    const arrow::Status finished = sink_->Finish();
    if (!finished.ok()) {
      // The name is ours alone; it may be there already when only a later step failed.
      (void)spec_.store->Remove(spec_.path);
      return finished;
    }
    DataFile file;
    file.path = spec_.path;
    file.size = sink_->position();
    file.rows = rows_;
    file.modified_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
    file.stats = collector_.ToJson(*writer_->metadata());
    return file;
  }

 private:
  arrow::Status OpenWriter() {
    auto properties = MakeProperties(*spec_.file_schema, spec_.options, compression_);
    auto opened = parquet::arrow::FileWriter::Open(*spec_.file_schema, EncoderMemoryPool(),
                                                   sink_, std::move(properties));
    if (!opened.ok()) {
      return WithCode(ErrorCode::kInternal, opened.status());
    }
    writer_ = std::move(*opened);
    return {};
  }

  arrow::Status WriteColumns(
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
    int64_t rows = 0;
    for (const auto& batch : batches) {
      rows += batch->num_rows();
      collector_.Observe(*batch);
    }
    ARROW_RETURN_NOT_OK(writer_->NewRowGroup());
    for (int i = 0; i < spec_.file_schema->num_fields(); ++i) {
      const auto& field = spec_.file_schema->field(i);
      arrow::ArrayVector chunks;
      for (const auto& batch : batches) {
        if (!field->nullable() && batch->column(i)->null_count() > 0) {
          return Error(ErrorCode::kConstraintViolation,
                       "NULL in a column that is not nullable: ", field->name());
        }
        chunks.push_back(Relabelled(batch->column(i), field->type()));
      }
      ARROW_RETURN_NOT_OK(writer_->WriteColumnChunk(
          std::make_shared<arrow::ChunkedArray>(std::move(chunks), field->type())));
    }
    rows_ += rows;
    return {};
  }

  const Spec spec_;
  const Compression compression_;
  StatisticsCollector collector_;
  std::shared_ptr<DeferredStream> sink_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  int64_t rows_ = 0;
};

}  // namespace

arrow::MemoryPool* EncoderMemoryPool() {
  static arrow::MemoryPool* const pool = [] {
    arrow::MemoryPool* jemalloc = nullptr;
    return arrow::jemalloc_memory_pool(&jemalloc).ok() ? jemalloc
                                                       : arrow::system_memory_pool();
  }();
  return pool;
}

arrow::Result<Compression> ParseCompression(std::string_view text) {
  if (text == "snappy") return Compression{arrow::Compression::SNAPPY, {}, "snappy"};
  if (text == "zstd") return Compression{arrow::Compression::ZSTD, 1, "zstd"};
  if (text == "gzip") return Compression{arrow::Compression::GZIP, {}, "gz"};
  if (text == "lz4") return Compression{arrow::Compression::LZ4, {}, "lz4_raw"};
  if (text == "none") return Compression{arrow::Compression::UNCOMPRESSED, {}, ""};
  if (text.starts_with("zstd:")) {
    const std::string_view digits = text.substr(5);
    int level = 0;
    auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() &&
        level >= 1 && level <= 22) {
      return Compression{arrow::Compression::ZSTD, level, "zstd"};
    }
  }
  return Error(ErrorCode::kBadConfig,
               "compression must be snappy, zstd, zstd:1 to zstd:22, gzip, lz4 or none: ", text);
}

std::shared_ptr<arrow::Schema> DataFileSchema(
    const TableSchema& schema, NameStyle names,
    const std::vector<std::string>& partition_columns) {
  const auto full = ToArrowSchema(schema, names);
  arrow::FieldVector fields;
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    if (std::find(partition_columns.begin(), partition_columns.end(),
                  schema.fields[i].name) == partition_columns.end()) {
      fields.push_back(full->field(static_cast<int>(i)));
    }
  }
  return arrow::schema(std::move(fields));
}

arrow::Result<std::unique_ptr<DataFileWriter>> DataFileWriter::Make(Spec spec) {
  ARROW_ASSIGN_OR_RAISE(Compression compression,
                        ParseCompression(spec.options.compression));
  return std::make_unique<ParquetDataFile>(std::move(spec), compression);
}

}  // namespace arrowport::delta
