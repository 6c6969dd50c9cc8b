#include <google/protobuf/arena.h>

#include <utility>

#include "base/error.h"
#include "emulator/dialect.h"
#include "emulator/row_check.h"
#include "zerobus/protocol/zerobus.pb.h"

namespace arrowport::emulator {
namespace {

namespace net = wire::net;
namespace pb = google::protobuf;
using databricks::zerobus::CreateIngestStreamRequest;
using databricks::zerobus::EphemeralStreamRequest;
using databricks::zerobus::EphemeralStreamResponse;
using databricks::zerobus::IngestRecordBatchRequest;
using databricks::zerobus::IngestRecordRequest;
using databricks::zerobus::RecordType;

net::Slices ToSlices(const pb::MessageLite& message) {
  return {arrow::Buffer::FromString(message.SerializeAsString())};
}

class RecordDialect : public Dialect {
 public:
  explicit RecordDialect(DialectOptions options) : options_(std::move(options)) {}

  arrow::Status Open(const net::Message& message,
                     std::shared_ptr<const Table> table) override {
    EphemeralStreamRequest request;
    ARROW_RETURN_NOT_OK(Parse(message, &request));
    if (request.payload_case() != EphemeralStreamRequest::kCreateStream) {
      return Error(ErrorCode::kInvalidArgument, "the first message must be create_stream");
    }
    const CreateIngestStreamRequest& create = request.create_stream();
    if (create.table_name() != table->name) {
      return Error(ErrorCode::kInvalidArgument, "create_stream names table ",
                   create.table_name(), ", the metadata ", table->name);
    }
    type_ = create.record_type();
    switch (type_) {
      case RecordType::PROTO: {
        ARROW_ASSIGN_OR_RAISE(check_,
                              MakeProtoRowCheck(create.descriptor_proto(), std::move(table),
                                                options_.id_column));
        return {};
      }
      case RecordType::JSON:
        check_ = MakeJsonRowCheck(std::move(table), options_.id_column);
        return {};
      case RecordType::AVRO:
        return Error(ErrorCode::kUnimplemented, "Avro records are not offered");
      default:
        return Error(ErrorCode::kInvalidArgument,
                     "record_type must be set to PROTO or JSON");
    }
  }

  arrow::Result<IngestRequest> Take(net::Message message, int64_t wanted_offset) override {
    if (message.body && message.body->size() > options_.request_bytes_max) {
      return Error(ErrorCode::kTooLarge, "the request has ", message.body->size(),
                   " bytes; the limit is ", options_.request_bytes_max);
    }
    pb::Arena arena;
    auto* request = pb::Arena::CreateMessage<EphemeralStreamRequest>(&arena);
    ARROW_RETURN_NOT_OK(Parse(message, request));
    switch (request->payload_case()) {
      case EphemeralStreamRequest::kIngestRecord:
        return TakeRecord(request->ingest_record(), wanted_offset);
      case EphemeralStreamRequest::kIngestRecordBatch:
        return TakeBatch(request->ingest_record_batch(), wanted_offset);
      case EphemeralStreamRequest::kCreateStream:
        return Error(ErrorCode::kInvalidArgument, "create_stream comes once");
      default:
        return Error(ErrorCode::kInvalidArgument, "the message has no payload");
    }
  }

  net::Slices OpenReply(const std::string& stream_id) const override {
    EphemeralStreamResponse reply;
    reply.mutable_create_stream_response()->set_stream_id(stream_id);
    return ToSlices(reply);
  }

  net::Slices Ack(const AckPoint& point) const override {
    EphemeralStreamResponse reply;
    reply.mutable_ingest_record_response()->set_durability_ack_up_to_offset(point.offset);
    return ToSlices(reply);
  }

  net::Slices AckWithoutOffset() const override {
    EphemeralStreamResponse reply;
    reply.mutable_ingest_record_response();
    return ToSlices(reply);
  }

  net::Slices CloseSignal(const CloseDuration& duration, const AckPoint&) const override {
    EphemeralStreamResponse reply;
    auto* signal = reply.mutable_close_stream_signal();
    if (duration) {
      signal->mutable_duration()->set_seconds(duration->count() / 1000);
      signal->mutable_duration()->set_nanos(
          static_cast<int32_t>(duration->count() % 1000) * 1000000);
    }
    return ToSlices(reply);
  }

 private:
  static arrow::Status Parse(const net::Message& message, EphemeralStreamRequest* request) {
    if (!message.body ||
        !request->ParseFromArray(message.body->data(),
                                 static_cast<int>(message.body->size()))) {
      return Error(ErrorCode::kInvalidArgument,
                   "the message is not an EphemeralStreamRequest");
    }
    return {};
  }

  template <typename Ingest>
  static arrow::Status CheckOffset(const Ingest& ingest, int64_t wanted) {
    if (!ingest.has_offset_id()) {
      return Error(ErrorCode::kSequenceGap, "the request has no offset_id");
    }
    if (ingest.offset_id() != wanted) {
      return Error(ErrorCode::kSequenceGap, "offset_id must count up from 0: expected ",
                   wanted, ", got ", ingest.offset_id());
    }
    return {};
  }

  arrow::Status CheckType(RecordType given) const {
    if (given == type_) return {};
    return Error(ErrorCode::kInvalidArgument, "the stream was created for ",
                 RecordType_Name(type_), " records");
  }

  arrow::Status TakeRow(const std::string& row, IngestRequest* out) {
    const int64_t index = out->rows++;
    if (!options_.look_into_rows) return {};
    if (index > 0) out->ids += ',';
    const arrow::Status status = check_->Check(row, &out->ids);
    if (status.ok()) return status;
    return WithContext("row " + std::to_string(index), status);
  }

  arrow::Result<IngestRequest> TakeRecord(const IngestRecordRequest& ingest,
                                          int64_t wanted_offset) {
    ARROW_RETURN_NOT_OK(CheckOffset(ingest, wanted_offset));
    IngestRequest taken{wanted_offset};
    switch (ingest.record_case()) {
      case IngestRecordRequest::kProtoEncodedRecord:
        ARROW_RETURN_NOT_OK(CheckType(RecordType::PROTO));
        ARROW_RETURN_NOT_OK(TakeRow(ingest.proto_encoded_record(), &taken));
        break;
      case IngestRecordRequest::kJsonRecord:
        ARROW_RETURN_NOT_OK(CheckType(RecordType::JSON));
        ARROW_RETURN_NOT_OK(TakeRow(ingest.json_record(), &taken));
        break;
      default:
        return Error(ErrorCode::kInvalidArgument, "the request has no record we know");
    }
    return taken;
  }

  template <typename Records>
  arrow::Status TakeRows(RecordType type, const Records& records, IngestRequest* taken) {
    ARROW_RETURN_NOT_OK(CheckType(type));
    for (const auto& row : records) ARROW_RETURN_NOT_OK(TakeRow(row, taken));
    return {};
  }

  arrow::Result<IngestRequest> TakeBatch(const IngestRecordBatchRequest& ingest,
                                         int64_t wanted_offset) {
    ARROW_RETURN_NOT_OK(CheckOffset(ingest, wanted_offset));
    IngestRequest taken{wanted_offset};
    switch (ingest.batch_case()) {
      case IngestRecordBatchRequest::kProtoEncodedBatch:
        ARROW_RETURN_NOT_OK(TakeRows(RecordType::PROTO,
                                     ingest.proto_encoded_batch().records(), &taken));
        break;
      case IngestRecordBatchRequest::kJsonBatch:
        ARROW_RETURN_NOT_OK(
            TakeRows(RecordType::JSON, ingest.json_batch().records(), &taken));
        break;
      default:
        break;
    }
    if (taken.rows == 0) {
      return Error(ErrorCode::kInvalidArgument, "the request has no record we know");
    }
    return taken;
  }

  const DialectOptions options_;
  RecordType type_ = RecordType::RECORD_TYPE_UNSPECIFIED;
  std::unique_ptr<RowCheck> check_;
};

}  // namespace

std::unique_ptr<Dialect> MakeRecordDialect(DialectOptions options) {
  return std::make_unique<RecordDialect>(std::move(options));
}

}  // namespace arrowport::emulator
