#include "emulator/record_envelope.h"

#include "emulator/wire_reader.h"

namespace arrowport::emulator {
namespace {

using databricks::zerobus::EphemeralStreamRequest;
using databricks::zerobus::IngestRecordRequest;
using databricks::zerobus::ProtoEncodedRecordBatch;
using databricks::zerobus::RecordType;
using Payload = RecordEnvelope::Payload;

// The records of either request have the same numbers.
RecordType TypeOf(uint32_t number) {
  switch (number) {
    case IngestRecordRequest::kProtoEncodedRecordFieldNumber:
      return RecordType::PROTO;
    case IngestRecordRequest::kJsonRecordFieldNumber:
      return RecordType::JSON;
    case IngestRecordRequest::kAvroEncodedRecordFieldNumber:
      return RecordType::AVRO;
    default:
      return RecordType::RECORD_TYPE_UNSPECIFIED;
  }
}

bool ReadRecords(std::string_view bytes, std::vector<std::string_view>* records) {
  WireReader reader(bytes);
  while (!reader.done()) {
    uint32_t number = 0;
    WireType wire{};
    if (!reader.Tag(&number, &wire)) return false;
    if (number == ProtoEncodedRecordBatch::kRecordsFieldNumber &&
        wire == WireType::kBytes) {
      if (!reader.Bytes(&records->emplace_back())) return false;
    } else if (!reader.Skip(wire)) {
      return false;
    }
  }
  return true;
}

bool ReadIngest(std::string_view bytes, RecordEnvelope* envelope) {
  WireReader reader(bytes);
  while (!reader.done()) {
    uint32_t number = 0;
    WireType wire{};
    if (!reader.Tag(&number, &wire)) return false;
    const RecordType type = TypeOf(number);
    if (number == IngestRecordRequest::kOffsetIdFieldNumber &&
        wire == WireType::kVarint) {
      uint64_t offset = 0;
      if (!reader.Varint(&offset)) return false;
      envelope->offset = static_cast<int64_t>(offset);
    } else if (type != RecordType::RECORD_TYPE_UNSPECIFIED && wire == WireType::kBytes) {
      std::string_view content;
      if (!reader.Bytes(&content)) return false;
      const bool batch = envelope->payload == Payload::kBatch;
      if (!batch || type != envelope->type) envelope->records.clear();
      envelope->type = type;
      if (!batch) {
        envelope->records.push_back(content);
      } else if (!ReadRecords(content, &envelope->records)) {
        return false;
      }
    } else if (!reader.Skip(wire)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool ReadRecordEnvelope(std::string_view message, RecordEnvelope* envelope) {
  envelope->records.clear();
  envelope->offset.reset();
  envelope->type = RecordType::RECORD_TYPE_UNSPECIFIED;
  envelope->payload = Payload::kNone;
  WireReader reader(message);
  while (!reader.done()) {
    uint32_t number = 0;
    WireType wire{};
    if (!reader.Tag(&number, &wire)) return false;
    Payload payload = Payload::kNone;
    if (number == EphemeralStreamRequest::kCreateStreamFieldNumber) {
      payload = Payload::kCreate;
    } else if (number == EphemeralStreamRequest::kIngestRecordFieldNumber) {
      payload = Payload::kRecord;
    } else if (number == EphemeralStreamRequest::kIngestRecordBatchFieldNumber) {
      payload = Payload::kBatch;
    }
    if (payload == Payload::kNone || wire != WireType::kBytes) {
      if (!reader.Skip(wire)) return false;
      continue;
    }
    std::string_view content;
    if (!reader.Bytes(&content)) return false;
    if (payload != envelope->payload) {
      envelope->records.clear();
      envelope->offset.reset();
      envelope->type = RecordType::RECORD_TYPE_UNSPECIFIED;
      envelope->payload = payload;
    }
    if (payload != Payload::kCreate && !ReadIngest(content, envelope)) return false;
  }
  return true;
}

}  // namespace arrowport::emulator
