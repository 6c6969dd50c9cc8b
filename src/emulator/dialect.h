// What differs between record mode and Flight mode: how requests are read and what the
// replies look like. Everything else is IngestStream's.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulator/script.h"
#include "emulator/tables.h"
#include "wire/net/call.h"

namespace arrowport::emulator {

struct DialectOptions {
  bool look_into_rows = true;
  int64_t request_bytes_max = 10 << 20;  ///< record mode: one message
  std::string id_column;                 ///< whose values are row ids; empty: the first
  FlightRules flight;
};

/// One ingest request, checked.
struct IngestRequest {
  int64_t offset = 0;
  int64_t rows = 0;
  std::string ids;  ///< JSON texts of the row ids with commas between; empty: not known
};

/// How far an acknowledgement goes.
struct AckPoint {
  int64_t offset = -1;  ///< of the last whole request covered
  int64_t rows = 0;     ///< covered in all
};

using CloseDuration = std::optional<std::chrono::milliseconds>;

/// Belongs to one call. Not thread-safe.
class Dialect {
 public:
  virtual ~Dialect() = default;

  /// The first message. Errors: kInvalidArgument, kSchemaMismatch, kUnimplemented.
  virtual arrow::Status Open(const wire::net::Message& message,
                             std::shared_ptr<const Table> table) = 0;
  /// A later one; its offset must be `wanted_offset`. Errors: kInvalidArgument,
  /// kSequenceGap, kTooLarge, kBadData (a row).
  virtual arrow::Result<IngestRequest> Take(wire::net::Message message,
                                            int64_t wanted_offset) = 0;
  /// Causes of a refused schema, in the service's words; empty when there are none.
  virtual std::vector<std::string> schema_causes() const { return {}; }

  virtual wire::net::Slices OpenReply(const std::string& stream_id) const = 0;
  virtual wire::net::Slices Ack(const AckPoint& point) const = 0;
  virtual wire::net::Slices AckWithoutOffset() const = 0;
  /// `ack`: rides on that acknowledgement, where the mode has such a form.
  virtual wire::net::Slices CloseSignal(const CloseDuration& duration,
                                        const AckPoint& ack) const = 0;
};

std::unique_ptr<Dialect> MakeRecordDialect(DialectOptions options);
std::unique_ptr<Dialect> MakeFlightDialect(DialectOptions options);

}  // namespace arrowport::emulator
