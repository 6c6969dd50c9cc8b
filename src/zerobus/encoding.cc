#include "zerobus/encoding.h"

#include <utility>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/explicit_cast.h"
#include "zerobus/encode/flight_cast.h"
#include "zerobus/failure.h"
#include "zerobus/protocol/zerobus.pb.h"
#include "zerobus/record_protocol.h"

namespace arrowport::zerobus {
namespace {

// The service takes Flight messages of somewhat more; this is where they should stay.
constexpr int64_t kFlightBodyBytesMax = 2 * 1024 * 1024 - 16 * 1024;

}  // namespace

arrow::Result<std::shared_ptr<const Encoding>> Encoding::Make(
    const Options& options, std::shared_ptr<arrow::Schema> schema,
    std::shared_ptr<const encode::TableSchema> table, const std::string& descriptor) {
  std::shared_ptr<Encoding> encoding(new Encoding());
  encoding->schema_ = std::move(schema);
  encoding->descriptor_option_ = descriptor;
  encoding->request_bytes_max_ = options.stream.max_request_bytes;
  encoding->cast_to_table_ = options.cast_to_table;
  if (!descriptor.empty() && options.mode != Mode::kProto) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "a descriptor is for the proto mode alone");
  }
  encoding->prepared_schema_ = encoding->schema_;
  if (options.unsupported_types != UnsupportedTypes::kRefuse) {
    ARROW_ASSIGN_OR_RAISE(
        encoding->prepared_schema_,
        encode::ExplicitCastSchema(encoding->schema_,
                                   options.unsupported_types == UnsupportedTypes::kText
                                       ? encode::ExplicitCast::kText
                                       : encode::ExplicitCast::kIntegers));
  }
  if (!table) {
    ARROW_ASSIGN_OR_RAISE(auto derived,
                          encode::TableSchema::FromArrow(*encoding->prepared_schema_));
    table = std::make_shared<const encode::TableSchema>(std::move(derived));
  }
  encoding->table_ = std::move(table);
  ARROW_RETURN_NOT_OK(options.mode == Mode::kFlight
                          ? encoding->MakeFlight(options)
                          : encoding->MakeRecord(options, descriptor));
  return encoding;
}

arrow::Status Encoding::MakeRecord(const Options& options,
                                   const std::string& descriptor) {
  encode::EncodeOptions encode_options;
  encode_options.entry_field_number = kRecordsField;
  encode_options.row_bytes_max =
      request_bytes_max_ - (RecordRequestBytes(request_bytes_max_) - request_bytes_max_);
  encode_options.null_elements = options.null_elements == NullElements::kDrop
                                     ? encode::NullElements::kDrop
                                     : encode::NullElements::kFail;
  if (options.mode == Mode::kJson) {
    ARROW_ASSIGN_OR_RAISE(encoder_, encode::RowEncoder::MakeJson(
                                        *prepared_schema_, *table_, encode_options));
    protocol_ = std::make_shared<RecordProtocol>(options.table, databricks::zerobus::JSON,
                                                 std::string());
    stream_key_ = "json";
    return {};
  }
  google::protobuf::DescriptorProto proto;
  if (descriptor.empty()) {
    ARROW_ASSIGN_OR_RAISE(proto, encode::MakeDescriptor(*table_));
  } else if (!proto.ParseFromString(descriptor)) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "the descriptor is no serialized DescriptorProto");
  }
  ARROW_ASSIGN_OR_RAISE(
      encoder_, encode::RowEncoder::MakeProtobuf(
                    *prepared_schema_, proto, descriptor.empty() ? table_.get() : nullptr,
                    encode_options));
  shown_descriptor_ = descriptor.empty() ? proto.SerializeAsString() : descriptor;
  protocol_ = std::make_shared<RecordProtocol>(options.table, databricks::zerobus::PROTO,
                                               shown_descriptor_);
  stream_key_ = "proto" + shown_descriptor_;
  return {};
}

arrow::Status Encoding::MakeFlight(const Options& options) {
  std::shared_ptr<arrow::Schema> schema = prepared_schema_->RemoveMetadata();
  if (cast_to_table_) {
    // An empty batch goes the way of the others: the schema is what comes out.
    ARROW_ASSIGN_OR_RAISE(auto empty, arrow::RecordBatch::MakeEmpty(prepared_schema_));
    ARROW_ASSIGN_OR_RAISE(auto cast, encode::CastToTable(*empty, *table_));
    schema = cast->schema();
  }
  ARROW_ASSIGN_OR_RAISE(flight_,
                        FlightProtocol::Make(schema, options.stream.ipc_compression));
  protocol_ = flight_;
  shown_descriptor_ = flight_->schema_message();
  stream_key_ = "flight" + shown_descriptor_;
  return {};
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> Encoding::Prepare(
    const std::shared_ptr<arrow::RecordBatch>& batch) const {
  if (prepared_schema_ == schema_) return batch;
  return encode::ExplicitCastBatch(batch, prepared_schema_);
}

arrow::Result<Converted> Encoding::Convert(const std::shared_ptr<BatchDelivery>& delivery,
                                           const arrow::RecordBatch& prepared,
                                           int64_t first_row, int64_t rows) const {
  auto part = prepared.Slice(first_row, rows);
  return flight_ ? ConvertFlight(delivery, std::move(part), first_row)
                 : ConvertRecords(delivery, *part, first_row);
}

arrow::Result<Converted> Encoding::ConvertRecords(
    const std::shared_ptr<BatchDelivery>& delivery, const arrow::RecordBatch& part,
    int64_t first_row) const {
  ARROW_ASSIGN_OR_RAISE(encode::EncodedRows encoded, encoder_->Encode(part));
  Converted converted;
  for (encode::FailedRow& row : encoded.failed_rows) {
    converted.failed_rows.push_back(
        {first_row + row.row, std::make_shared<const arrow::Status>(
                                  AsFailure(ErrorKind::kConversion, row.status))});
  }
  converted.encoded_rows = std::ssize(encoded.rows) - std::ssize(encoded.failed_rows);
  converted.requests = MakeRecordRequests(encoded, request_bytes_max_, delivery);
  for (const Request& request : converted.requests) {
    converted.encoded_bytes += request.bytes;
  }
  return converted;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> Encoding::CastGoodRows(
    const std::shared_ptr<arrow::RecordBatch>& batch, int64_t first_row,
    std::vector<FailedRow>* failed_rows) const {
  auto cast = encode::CastToTable(*batch, *table_);
  if (cast.ok()) return cast;
  ARROW_ASSIGN_OR_RAISE(auto bad, encode::FindUncastableRows(*batch, *table_));
  if (bad.empty()) return cast.status();
  for (encode::FailedRow& row : bad) {
    failed_rows->push_back({row.row, std::make_shared<const arrow::Status>(
                                         AsFailure(ErrorKind::kConversion, row.status))});
  }
  ARROW_ASSIGN_OR_RAISE(
      const auto good,
      TransmissionResult(batch->num_rows(), *failed_rows).ExtractSuccessfulBatch(batch));
  for (FailedRow& row : *failed_rows) row.index += first_row;
  if (!good) return nullptr;
  return encode::CastToTable(*good, *table_);
}

arrow::Result<Converted> Encoding::ConvertFlight(
    const std::shared_ptr<BatchDelivery>& delivery,
    std::shared_ptr<arrow::RecordBatch> part, int64_t first_row) const {
  Converted converted;
  if (cast_to_table_) {
    ARROW_ASSIGN_OR_RAISE(part, CastGoodRows(part, first_row, &converted.failed_rows));
    if (!part) return converted;
  }
  ARROW_ASSIGN_OR_RAISE(converted.requests,
                        flight_->MakeRequests(part, kFlightBodyBytesMax, delivery));
  converted.encoded_rows = part->num_rows();
  for (const Request& request : converted.requests) {
    converted.encoded_bytes += request.bytes;
  }
  return converted;
}

}  // namespace arrowport::zerobus
