// An EphemeralStreamRequest taken apart where it lies: a batch may hold a quarter of a
// million records, which nothing should copy. Source: src/zerobus/protocol/zerobus.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "zerobus/protocol/zerobus.pb.h"

namespace arrowport::emulator {

struct RecordEnvelope {
  enum class Payload { kNone, kCreate, kRecord, kBatch };
  Payload payload = Payload::kNone;
  std::optional<int64_t> offset;
  /// UNSPECIFIED when there is no record.
  databricks::zerobus::RecordType type = databricks::zerobus::RECORD_TYPE_UNSPECIFIED;
  std::vector<std::string_view> records;  ///< in the message's bytes
};

/// False when `message` is not such a message. Of a oneof the last member counts, as
/// protobuf has it. `envelope` is cleared first; it may be used again.
bool ReadRecordEnvelope(std::string_view message, RecordEnvelope* envelope);

}  // namespace arrowport::emulator
