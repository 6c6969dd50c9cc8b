#include "wire/http/result_writer.h"

#include <arrow/ipc/options.h>
#include <arrow/util/compression.h>

#include <iterator>
#include <string>
#include <utility>

#include "base/error.h"
#include "wire/http/value_text.h"
#include "wire/ipc/batch_encoder.h"

namespace arrowport::wire::http {
namespace {

constexpr int64_t kTextRowsPerWrite = 4096;
constexpr int64_t kAllRows = int64_t{1} << 40;

void Append(net::Slices more, net::Slices* out) {
  std::move(more.begin(), more.end(), std::back_inserter(*out));
}

void Append(std::string text, net::Slices* out) {
  if (!text.empty()) out->push_back(arrow::Buffer::FromString(std::move(text)));
}

class ArrowWriter : public ResultWriter {
 public:
  explicit ArrowWriter(arrow::ipc::IpcWriteOptions options)
      : options_(std::move(options)) {}

  arrow::Status Begin(const std::shared_ptr<arrow::Schema>& schema,
                      net::Slices* out) override {
    ARROW_ASSIGN_OR_RAISE(encoder_, ipc::BatchEncoder::Make(schema, options_));
    ARROW_ASSIGN_OR_RAISE(ipc::EncodedMessage message, encoder_->EncodeSchema());
    Append(ipc::ToStreamBytes(message), out);
    return {};
  }
  arrow::Status Write(const arrow::RecordBatch& batch, net::Slices* out) override {
    ARROW_ASSIGN_OR_RAISE(auto messages, encoder_->Encode(batch));
    for (const auto& message : messages) Append(ipc::ToStreamBytes(message), out);
    return {};
  }
  arrow::Status End(net::Slices* out) override {
    out->push_back(ipc::EndOfStream());
    return {};
  }
  int64_t rows_per_write() const override { return kAllRows; }

 private:
  const arrow::ipc::IpcWriteOptions options_;
  std::unique_ptr<ipc::BatchEncoder> encoder_;
};

/// RFC 4180: a header line, lines end with CR LF.
class CsvWriter : public ResultWriter {
 public:
  arrow::Status Begin(const std::shared_ptr<arrow::Schema>& schema,
                      net::Slices* out) override {
    std::string line;
    for (int i = 0; i < schema->num_fields(); ++i) {
      if (i > 0) line.push_back(',');
      AppendCsvString(schema->field(i)->name(), &line);
    }
    line.append("\r\n");
    Append(std::move(line), out);
    return {};
  }
  arrow::Status Write(const arrow::RecordBatch& batch, net::Slices* out) override {
    std::string text;
    text.reserve(last_bytes_ + last_bytes_ / 8);
    const auto columns = batch.columns();
    for (int64_t row = 0; row < batch.num_rows(); ++row) {
      for (size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) text.push_back(',');
        AppendCsvValue(*columns[i], row, &text);
      }
      text.append("\r\n");
    }
    last_bytes_ = text.size();
    Append(std::move(text), out);
    return {};
  }
  arrow::Status End(net::Slices*) override { return {}; }
  int64_t rows_per_write() const override { return kTextRowsPerWrite; }

 private:
  size_t last_bytes_ = 0;
};

enum class JsonForm { kArray, kLines };

/// One object a row: all in one array, or one a line.
class JsonWriter : public ResultWriter {
 public:
  explicit JsonWriter(JsonForm form) : form_(form) {}

  arrow::Status Begin(const std::shared_ptr<arrow::Schema>& schema,
                      net::Slices* out) override {
    for (const auto& field : schema->fields()) {
      std::string key = keys_.empty() ? "{" : ",";
      AppendJsonString(field->name(), &key);
      keys_.push_back(key + ":");
    }
    if (form_ == JsonForm::kArray) Append("[", out);
    return {};
  }
  arrow::Status Write(const arrow::RecordBatch& batch, net::Slices* out) override {
    std::string text;
    text.reserve(last_bytes_ + last_bytes_ / 8);
    const auto columns = batch.columns();
    for (int64_t row = 0; row < batch.num_rows(); ++row) {
      if (form_ == JsonForm::kArray) text.append(first_ ? "\n" : ",\n");
      first_ = false;
      for (size_t i = 0; i < columns.size(); ++i) {
        text.append(keys_[i]);
        AppendJsonValue(*columns[i], row, &text);
      }
      text.append(columns.empty() ? "{}" : "}");
      if (form_ == JsonForm::kLines) text.push_back('\n');
    }
    last_bytes_ = text.size();
    Append(std::move(text), out);
    return {};
  }
  arrow::Status End(net::Slices* out) override {
    if (form_ == JsonForm::kArray) Append(first_ ? "]\n" : "\n]\n", out);
    return {};
  }
  int64_t rows_per_write() const override { return kTextRowsPerWrite; }

 private:
  const JsonForm form_;
  std::vector<std::string> keys_;
  bool first_ = true;
  size_t last_bytes_ = 0;
};

arrow::Result<std::unique_ptr<ResultWriter>> MakeArrowWriter(Codec codec) {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.use_threads = false;
  if (codec && *codec != arrow::Compression::UNCOMPRESSED) {
    ARROW_ASSIGN_OR_RAISE(options.codec, arrow::util::Codec::Create(*codec));
  }
  return std::make_unique<ArrowWriter>(std::move(options));
}

}  // namespace

arrow::Result<Codec> ParseCodec(std::string_view name) {
  if (name == "zstd") return Codec(arrow::Compression::ZSTD);
  if (name == "lz4") return Codec(arrow::Compression::LZ4_FRAME);
  if (name == "none") return Codec(arrow::Compression::UNCOMPRESSED);
  return Error(ErrorCode::kInvalidArgument,
               "codec must be zstd, lz4 or none, not: ", name.substr(0, 40));
}

arrow::Result<std::unique_ptr<ResultWriter>> MakeResultWriter(ResultFormat format,
                                                              Codec codec) {
  switch (format) {
    case ResultFormat::kArrow:
      return MakeArrowWriter(codec);
    case ResultFormat::kParquet:
      return MakeParquetWriter(codec);
    case ResultFormat::kCsv:
      return std::make_unique<CsvWriter>();
    case ResultFormat::kJson:
      return std::make_unique<JsonWriter>(JsonForm::kArray);
    case ResultFormat::kNdjson:
      return std::make_unique<JsonWriter>(JsonForm::kLines);
  }
  return Error(ErrorCode::kInternal, "unknown result format");
}

}  // namespace arrowport::wire::http
