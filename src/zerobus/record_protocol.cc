#include "zerobus/record_protocol.h"

#include <algorithm>

#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/wire_text.h"

namespace arrowport::zerobus {
namespace {

using databricks::zerobus::EphemeralStreamRequest;
using databricks::zerobus::EphemeralStreamResponse;
using databricks::zerobus::RecordType;

// Three nested tags with lengths, and an offset.
constexpr int64_t kEnvelopeBytesMax = 32;
constexpr int64_t kSignalSecondsMax = 24 * 3600;

std::chrono::milliseconds DurationOf(const google::protobuf::Duration& duration) {
  const int64_t seconds = std::clamp<int64_t>(duration.seconds(), 0, kSignalSecondsMax);
  const int64_t nanos = std::clamp<int64_t>(duration.nanos(), 0, 999'999'999);
  return std::chrono::milliseconds(seconds * 1000 + nanos / 1'000'000);
}

// Where entry `count` begins; entries are our own, so they are well-formed.
int64_t SkipEntries(const arrow::Buffer& records, int64_t begin, int64_t count) {
  std::string_view rest(reinterpret_cast<const char*>(records.data()) + begin,
                        static_cast<size_t>(records.size() - begin));
  for (int64_t i = 0; i < count; ++i) {
    rest.remove_prefix(1);
    const uint64_t size = TakeVarint(&rest).value_or(0);
    rest.remove_prefix(std::min<size_t>(size, rest.size()));
  }
  return records.size() - static_cast<int64_t>(rest.size());
}

}  // namespace

RecordProtocol::RecordProtocol(std::string table, RecordType type, std::string descriptor)
    : type_(type) {
  EphemeralStreamRequest open;
  auto* create = open.mutable_create_stream();
  create->set_table_name(std::move(table));
  create->set_record_type(type);
  if (type == databricks::zerobus::PROTO) {
    create->set_descriptor_proto(std::move(descriptor));
  }
  open_message_ = arrow::Buffer::FromString(open.SerializeAsString());
}

rpc::Message RecordProtocol::OpenMessage() const { return {open_message_}; }

arrow::Result<ServiceMessage> RecordProtocol::Parse(std::string_view message) const {
  EphemeralStreamResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return MakeFailure(ErrorKind::kProtocol, "the service sent no stream response");
  }
  ServiceMessage parsed;
  switch (response.payload_case()) {
    case EphemeralStreamResponse::kCreateStreamResponse:
      if (!response.create_stream_response().has_stream_id()) {
        return MakeFailure(ErrorKind::kProtocol,
                           "the service opened a stream without id");
      }
      parsed.opened = ServiceMessage::Opened{};
      parsed.opened->stream_id = response.create_stream_response().stream_id();
      break;
    case EphemeralStreamResponse::kIngestRecordResponse:
      parsed.ack.emplace();
      if (response.ingest_record_response().has_durability_ack_up_to_offset()) {
        parsed.ack->up_to =
            response.ingest_record_response().durability_ack_up_to_offset();
      }
      break;
    case EphemeralStreamResponse::kCloseStreamSignal:
      parsed.close = ServiceMessage::CloseSignal{};
      parsed.close->duration = DurationOf(response.close_stream_signal().duration());
      break;
    case EphemeralStreamResponse::PAYLOAD_NOT_SET:
      break;  // a kind of message that we do not know
  }
  return parsed;
}

arrow::Result<rpc::Message> RecordProtocol::Encode(const Request& request,
                                                   int64_t skip_rows,
                                                   int64_t index) const {
  if (skip_rows > 0) {
    ARROW_ASSIGN_OR_RAISE(Request rest,
                          Slice(request, skip_rows, request.rows - skip_rows));
    return Encode(rest, 0, index);
  }
  const bool json = type_ == databricks::zerobus::JSON;
  std::shared_ptr<arrow::Buffer> content = request.records;
  if (request.rows == 1) {  // bare, without the entry's tag and length
    std::string_view entry(reinterpret_cast<const char*>(content->data()),
                           static_cast<size_t>(content->size()));
    entry.remove_prefix(1);
    TakeVarint(&entry);
    const auto size = static_cast<int64_t>(entry.size());
    content = arrow::SliceBuffer(content, content->size() - size, size);
  }
  const auto content_size = static_cast<uint64_t>(content->size());
  std::string inner;  // IngestRecordRequest or IngestRecordBatchRequest
  AppendVarint(1 << 3, &inner);
  AppendVarint(static_cast<uint64_t>(index), &inner);
  AppendLengthField(json ? 3 : 2, content_size, &inner);
  std::string head;
  AppendLengthField(request.rows == 1 ? 2 : 3, inner.size() + content_size, &head);
  head += inner;
  return rpc::Message{arrow::Buffer::FromString(std::move(head)), std::move(content)};
}

arrow::Result<Request> RecordProtocol::Slice(const Request& request, int64_t first_row,
                                             int64_t rows) const {
  const int64_t begin = SkipEntries(*request.records, 0, first_row);
  const int64_t end = SkipEntries(*request.records, begin, rows);
  Request slice = request;
  slice.rows = rows;
  slice.first_row = request.first_row + first_row;
  slice.records = arrow::SliceBuffer(request.records, begin, end - begin);
  slice.bytes = end - begin;
  return slice;
}

int64_t RecordRequestBytes(int64_t row_bytes) {
  return row_bytes +
         static_cast<int64_t>(
             LengthFieldSize(kRecordsField, static_cast<uint64_t>(row_bytes))) +
         kEnvelopeBytesMax;
}

std::vector<Request> MakeRecordRequests(const encode::EncodedRows& rows,
                                        int64_t request_bytes_max,
                                        const std::shared_ptr<Delivery>& delivery) {
  std::vector<Request> requests;
  Request request;
  request.delivery = delivery;
  int64_t begin = 0;
  auto close = [&] {
    request.records = arrow::SliceBuffer(rows.buffer, begin, request.bytes);
    requests.push_back(request);
    begin += request.bytes;
    request.first_row += request.rows;
    request.rows = 0;
    request.bytes = 0;
  };
  for (std::string_view row : rows.rows) {
    if (row.data() == nullptr) continue;
    const auto entry =
        static_cast<int64_t>(LengthFieldSize(kRecordsField, row.size()) + row.size());
    if (request.rows > 0 && request.bytes + entry + kEnvelopeBytesMax > request_bytes_max) {
      close();
    }
    request.bytes += entry;
    ++request.rows;
  }
  if (request.rows > 0) close();
  return requests;
}

}  // namespace arrowport::zerobus
