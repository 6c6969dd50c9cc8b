#include "cli/result_file.h"

#include <arrow/array/builder_binary.h>
#include <arrow/csv/writer.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <parquet/arrow/writer.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "cli/json_text.h"

namespace arrowport::cli {
namespace {

/// Formats one batch after another onto a stream.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  virtual arrow::Status Close() = 0;
};

using Output = std::shared_ptr<arrow::io::OutputStream>;

class ParquetEncoder : public Encoder {
 public:
  static arrow::Result<std::unique_ptr<Encoder>> Make(
      Output output, const std::shared_ptr<arrow::Schema>& schema) {
    auto properties =
        parquet::WriterProperties::Builder().compression(parquet::Compression::ZSTD)->build();
    auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    auto encoder = std::make_unique<ParquetEncoder>();
    ARROW_ASSIGN_OR_RAISE(
        encoder->writer_,
        parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(),
                                         std::move(output), properties, arrow_properties));
    return encoder;
  }
  arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    return writer_->WriteRecordBatch(*batch);
  }
  arrow::Status Close() override { return writer_->Close(); }

 private:
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

class IpcEncoder : public Encoder {
 public:
  explicit IpcEncoder(std::shared_ptr<arrow::ipc::RecordBatchWriter> writer)
      : writer_(std::move(writer)) {}
  arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    return writer_->WriteRecordBatch(*batch);
  }
  arrow::Status Close() override { return writer_->Close(); }

 private:
  const std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

class JsonEncoder : public Encoder {
 public:
  explicit JsonEncoder(Output output) : output_(std::move(output)) {}
  arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    std::string text;
    for (int64_t row = 0; row < batch->num_rows(); ++row) {
      text += is_first_ ? "[\n" : ",\n";
      is_first_ = false;
      AppendJsonRow(*batch, row, &text);
      if (text.size() > (1 << 20)) {
        ARROW_RETURN_NOT_OK(output_->Write(text));
        text.clear();
      }
    }
    return output_->Write(text);
  }
  arrow::Status Close() override { return output_->Write(is_first_ ? "[]\n" : "\n]\n"); }

 private:
  const Output output_;
  bool is_first_ = true;
};

/// Types without a CSV form (nested, dictionary, binary ...) go as the text that JSON
/// output has.
class CsvEncoder : public Encoder {
 public:
  static arrow::Result<std::unique_ptr<Encoder>> Make(
      Output output, const std::shared_ptr<arrow::Schema>& schema) {
    arrow::FieldVector fields;
    auto encoder = std::make_unique<CsvEncoder>();
    for (const auto& field : schema->fields()) {
      const arrow::Type::type id = field->type()->id();
      const bool is_plain = arrow::is_primitive(id) || arrow::is_decimal(id) ||
                            id == arrow::Type::STRING || id == arrow::Type::LARGE_STRING;
      const bool as_text = !is_plain || id == arrow::Type::INTERVAL_MONTH_DAY_NANO ||
                           id == arrow::Type::DURATION || id == arrow::Type::HALF_FLOAT;
      encoder->as_text_.push_back(as_text);
      fields.push_back(as_text ? field->WithType(arrow::utf8()) : field);
    }
    encoder->schema_ = arrow::schema(fields);
    // Arrow quotes all names or none: none unless one of them asks for it (RFC 4180).
    auto options = arrow::csv::WriteOptions::Defaults();
    const bool special = std::any_of(fields.begin(), fields.end(), [](const auto& field) {
      return field->name().find_first_of("\",\r\n") != std::string::npos;
    });
    if (!special) options.quoting_header = arrow::csv::QuotingStyle::None;
    ARROW_ASSIGN_OR_RAISE(
        encoder->writer_,
        arrow::csv::MakeCSVWriter(std::move(output), encoder->schema_, options));
    return encoder;
  }
  arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    arrow::ArrayVector columns = batch->columns();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!as_text_[i]) continue;
      ARROW_ASSIGN_OR_RAISE(columns[i], TextColumn(*columns[i]));
    }
    return writer_->WriteRecordBatch(
        *arrow::RecordBatch::Make(schema_, batch->num_rows(), std::move(columns)));
  }
  arrow::Status Close() override { return writer_->Close(); }

 private:
  static arrow::Result<std::shared_ptr<arrow::Array>> TextColumn(const arrow::Array& array) {
    arrow::StringBuilder builder;
    for (int64_t row = 0; row < array.length(); ++row) {
      if (array.IsNull(row)) {
        ARROW_RETURN_NOT_OK(builder.AppendNull());
      } else {
        ARROW_RETURN_NOT_OK(builder.Append(PlainText(array, row)));
      }
    }
    return builder.Finish();
  }

  std::vector<bool> as_text_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

arrow::Result<std::unique_ptr<Encoder>> MakeEncoder(
    OutputFormat format, Output output, const std::shared_ptr<arrow::Schema>& schema) {
  switch (format) {
    case OutputFormat::kCsv:
      return CsvEncoder::Make(std::move(output), schema);
    case OutputFormat::kParquet:
      return ParquetEncoder::Make(std::move(output), schema);
    case OutputFormat::kArrow: {
      ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeFileWriter(output, schema));
      return std::make_unique<IpcEncoder>(std::move(writer));
    }
    case OutputFormat::kJson:
      return std::make_unique<JsonEncoder>(std::move(output));
  }
  return Error(ErrorCode::kInternal, "no such output format");
}

class ResultFileImpl : public ResultFile {
 public:
  ResultFileImpl(std::string path, std::string written, Output output,
                 std::unique_ptr<Encoder> encoder)
      : path_(std::move(path)),
        written_(std::move(written)),
        output_(std::move(output)),
        encoder_(std::move(encoder)) {}

  ~ResultFileImpl() override {
    if (closed_ || written_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove(written_, ignored);
  }

  arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    return WithContext("writing the result", encoder_->Write(batch));
  }

  arrow::Status Close() override {
    ARROW_RETURN_NOT_OK(WithContext("writing the result", encoder_->Close()));
    ARROW_RETURN_NOT_OK(WithContext("writing the result", output_->Close()));
    if (!written_.empty()) {
      std::error_code failed;
      std::filesystem::rename(written_, path_, failed);
      if (failed)
        return Error(ErrorCode::kNoSpace, "cannot name the result ", path_, ": ",
                     failed.message());
    }
    closed_ = true;
    return {};
  }

 private:
  const std::string path_;
  const std::string written_;  // empty: standard output
  const Output output_;
  const std::unique_ptr<Encoder> encoder_;
  bool closed_ = false;
};

}  // namespace

arrow::Result<std::unique_ptr<ResultFile>> ResultFile::Create(
    const std::string& path, OutputFormat format,
    const std::shared_ptr<arrow::Schema>& schema) {
  Output output;
  std::string written;
  if (path == "-") {
    ARROW_ASSIGN_OR_RAISE(output, arrow::io::FileOutputStream::Open(dup(STDOUT_FILENO)));
  } else {
    written = path + ".partial";
    const auto opened = arrow::io::FileOutputStream::Open(written);
    if (!opened.ok())
      return WithCode(ErrorCode::kNotFound, WithContext("writing the result", opened.status()));
    output = *opened;
  }
  ARROW_ASSIGN_OR_RAISE(auto encoder, MakeEncoder(format, output, schema));
  return std::make_unique<ResultFileImpl>(path, std::move(written), std::move(output),
                                          std::move(encoder));
}

}  // namespace arrowport::cli
