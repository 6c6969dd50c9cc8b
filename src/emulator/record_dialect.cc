#include <utility>

#include "base/error.h"
#include "emulator/dialect.h"
#include "emulator/record_envelope.h"
#include "emulator/row_check.h"
#include "zerobus/protocol/zerobus.pb.h"

namespace arrowport::emulator {
namespace {

namespace net = wire::net;
namespace pb = google::protobuf;
using databricks::zerobus::CreateIngestStreamRequest;
using databricks::zerobus::EphemeralStreamRequest;
using databricks::zerobus::EphemeralStreamResponse;
using databricks::zerobus::RecordType;

net::Slices ToSlices(const pb::MessageLite& message) {
  return {arrow::Buffer::FromString(message.SerializeAsString())};
}

constexpr size_t kIdBytesGuess = 8;

class RecordDialect : public Dialect {
 public:
  explicit RecordDialect(DialectOptions options) : options_(std::move(options)) {}

  arrow::Status Open(const net::Message& message,
                     std::shared_ptr<const Table> table) override {
    EphemeralStreamRequest request;
    ARROW_RETURN_NOT_OK(Parse(message, &request));
    if (request.payload_case() != EphemeralStreamRequest::kCreateStream) {
      return Error(ErrorCode::kInvalidArgument,
                   "the first message must be create_stream");
    }
    const CreateIngestStreamRequest& create = request.create_stream();
    if (create.table_name() != table->name) {
      return Error(ErrorCode::kInvalidArgument, "create_stream names table ",
                   create.table_name(), ", the metadata ", table->name);
    }
    type_ = create.record_type();
    switch (type_) {
      case RecordType::PROTO: {
        ARROW_ASSIGN_OR_RAISE(
            check_, MakeProtoRowCheck(create.descriptor_proto(), std::move(table),
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

  arrow::Result<IngestRequest> Take(net::Message message,
                                    int64_t wanted_offset) override {
    if (message.body && message.body->size() > options_.request_bytes_max) {
      return Error(ErrorCode::kTooLarge, "the request has ", message.body->size(),
                   " bytes; the limit is ", options_.request_bytes_max);
    }
    if (!message.body || !ReadRecordEnvelope(BytesOf(*message.body), &envelope_)) {
      return NotARequest();
    }
    using Payload = RecordEnvelope::Payload;
    switch (envelope_.payload) {
      case Payload::kRecord:
      case Payload::kBatch:
        return TakeRecords(wanted_offset);
      case Payload::kCreate:
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
  static std::string_view BytesOf(const arrow::Buffer& buffer) {
    return {buffer.data_as<char>(), static_cast<size_t>(buffer.size())};
  }

  static arrow::Status NotARequest() {
    return Error(ErrorCode::kInvalidArgument,
                 "the message is not an EphemeralStreamRequest");
  }

  static arrow::Status Parse(const net::Message& message,
                             EphemeralStreamRequest* request) {
    if (!message.body ||
        !request->ParseFromArray(message.body->data(),
                                 static_cast<int>(message.body->size()))) {
      return NotARequest();
    }
    return {};
  }

  arrow::Status CheckOffset(int64_t wanted) const {
    if (!envelope_.offset) {
      return Error(ErrorCode::kSequenceGap, "the request has no offset_id");
    }
    if (*envelope_.offset != wanted) {
      return Error(ErrorCode::kSequenceGap, "offset_id must count up from 0: expected ",
                   wanted, ", got ", *envelope_.offset);
    }
    return {};
  }

  arrow::Status CheckType() const {
    if (envelope_.records.empty() || envelope_.type == RecordType::AVRO) {
      return Error(ErrorCode::kInvalidArgument, "the request has no record we know");
    }
    if (envelope_.type == type_) return {};
    return Error(ErrorCode::kInvalidArgument, "the stream was created for ",
                 RecordType_Name(type_), " records");
  }

  arrow::Result<IngestRequest> TakeRecords(int64_t wanted_offset) {
    ARROW_RETURN_NOT_OK(CheckOffset(wanted_offset));
    ARROW_RETURN_NOT_OK(CheckType());
    IngestRequest taken{wanted_offset};
    taken.rows = static_cast<int64_t>(envelope_.records.size());
    if (!options_.look_into_rows) return taken;
    taken.ids.reserve(envelope_.records.size() * kIdBytesGuess);
    for (size_t i = 0; i < envelope_.records.size(); ++i) {
      if (i > 0) taken.ids += ',';
      const arrow::Status status = check_->Check(envelope_.records[i], &taken.ids);
      if (!status.ok()) return WithContext("row " + std::to_string(i), status);
    }
    return taken;
  }

  const DialectOptions options_;
  RecordType type_ = RecordType::RECORD_TYPE_UNSPECIFIED;
  std::unique_ptr<RowCheck> check_;
  RecordEnvelope envelope_;  ///< of the request at hand; its memory is used again
};

}  // namespace

std::unique_ptr<Dialect> MakeRecordDialect(DialectOptions options) {
  return std::make_unique<RecordDialect>(std::move(options));
}

}  // namespace arrowport::emulator
