#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "emulator/batch_check.h"
#include "emulator/dialect.h"
#include "emulator/proto/answers.pb.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/ipc/message_head.h"

namespace arrowport::emulator {
namespace {

namespace net = wire::net;
namespace ipc = wire::ipc;
using nlohmann::json;

constexpr int64_t kAppMetadataBytesMax = 64 << 10;

net::Slices ToPutResult(std::string app_metadata) {
  proto::PutResult result;
  result.set_app_metadata(std::move(app_metadata));
  return {arrow::Buffer::FromString(result.SerializeAsString())};
}

json AckObject(const AckPoint& point) {
  return {{"ack_up_to_offset", point.offset}, {"ack_up_to_records", point.rows}};
}

arrow::Status CheckOffset(const std::shared_ptr<arrow::Buffer>& app_metadata,
                          int64_t wanted) {
  if (!app_metadata || app_metadata->size() == 0) {
    return Error(ErrorCode::kSequenceGap, "the message has no app_metadata with offset_id");
  }
  if (app_metadata->size() > kAppMetadataBytesMax) {
    return Error(ErrorCode::kTooLarge, "app_metadata has ", app_metadata->size(),
                 " bytes; the limit is ", kAppMetadataBytesMax);
  }
  const char* begin = app_metadata->data_as<char>();
  const json object = json::parse(begin, begin + app_metadata->size(), nullptr, false);
  const auto offset = object.is_object() ? object.find("offset_id") : object.end();
  if (!object.is_object() || offset == object.end() || !offset->is_number_integer()) {
    return Error(ErrorCode::kSequenceGap,
                 "app_metadata must be {\"offset_id\": n} with an integer");
  }
  if (*offset != wanted) {
    return Error(ErrorCode::kSequenceGap, "offset_id must count up from 0: expected ", wanted,
                 ", got ", offset->dump());
  }
  return {};
}

class FlightDialect : public Dialect {
 public:
  explicit FlightDialect(DialectOptions options)
      : options_(std::move(options)), decoder_({}, nullptr) {}

  arrow::Status Open(const net::Message& message,
                     std::shared_ptr<const Table> table) override {
    if (message.app_metadata && message.app_metadata->size() > 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "the first message carries the schema and no app_metadata");
    }
    if (!message.metadata) {
      return Error(ErrorCode::kInvalidArgument, "the first message must carry the schema");
    }
    const auto decoded = decoder_.Next(message.metadata, message.body);
    ARROW_RETURN_NOT_OK(decoded.status());
    if (!decoder_.schema()) {
      return Error(ErrorCode::kInvalidArgument, "the first message must carry the schema");
    }
    SchemaVerdict verdict = JudgeSchema(*decoder_.schema(), table->schema, options_.flight);
    table_ = std::move(table);
    if (verdict.causes.empty()) return {};
    causes_ = std::move(verdict.causes);
    return Error(ErrorCode::kSchemaMismatch,
                 "the schema does not fit the table (Error Code: 8001): ", verdict.details);
  }

  arrow::Result<IngestRequest> Take(net::Message message, int64_t wanted_offset) override {
    ARROW_RETURN_NOT_OK(CheckOffset(message.app_metadata, wanted_offset));
    if (!message.metadata) {
      return Error(ErrorCode::kInvalidArgument, "the message carries no record batch");
    }
    IngestRequest taken{wanted_offset};
    if (options_.look_into_rows) {
      ARROW_ASSIGN_OR_RAISE(const auto batch, Decode(std::move(message)));
      taken.rows = batch->num_rows();
      ARROW_RETURN_NOT_OK(CheckBatch(*batch, table_->schema));
      taken.ids = RowIds(*batch, options_.id_column);
    } else {
      ARROW_ASSIGN_OR_RAISE(taken.rows, RowsOf(*message.metadata));
    }
    if (taken.rows == 0) {
      return Error(ErrorCode::kInvalidArgument, "the record batch has no rows");
    }
    return taken;
  }

  std::vector<std::string> schema_causes() const override { return causes_; }

  net::Slices OpenReply(const std::string&) const override { return Ack({}); }

  net::Slices Ack(const AckPoint& point) const override {
    return ToPutResult(AckObject(point).dump());
  }

  net::Slices AckWithoutOffset() const override { return ToPutResult("{}"); }

  net::Slices CloseSignal(const CloseDuration& duration, const AckPoint& ack) const override {
    json object = AckObject(ack);
    // The key is the signal; there is no form of it without a duration.
    object["close_stream_duration_ms"] = duration ? duration->count() : 0;
    return ToPutResult(object.dump());
  }

 private:
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Decode(net::Message message) {
    auto batch = decoder_.Next(std::move(message.metadata), std::move(message.body));
    if (!batch.ok()) return WithCode(ErrorCode::kBadData, batch.status());
    if (!*batch) {
      return Error(ErrorCode::kInvalidArgument, "the message carries no record batch");
    }
    return *batch;
  }

  static arrow::Result<int64_t> RowsOf(const arrow::Buffer& metadata) {
    ARROW_ASSIGN_OR_RAISE(const auto head,
                          ipc::ReadMessageHead({metadata.data(),
                                                static_cast<size_t>(metadata.size())}));
    if (head.kind != ipc::MessageKind::kRecordBatch) {
      return Error(ErrorCode::kInvalidArgument, "the message carries no record batch");
    }
    const auto rows = head.header.Scalar<int64_t>(0, 0);
    if (rows < 0) return Error(ErrorCode::kBadData, "the record batch has a negative length");
    return rows;
  }

  const DialectOptions options_;
  ipc::BatchDecoder decoder_;
  std::shared_ptr<const Table> table_;
  std::vector<std::string> causes_;
};

}  // namespace

std::unique_ptr<Dialect> MakeFlightDialect(DialectOptions options) {
  return std::make_unique<FlightDialect>(std::move(options));
}

}  // namespace arrowport::emulator
