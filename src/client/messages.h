// The JSON and protobuf texts that travel in a Flight upload or query (the HTTP and Flight
// contract): descriptor, acknowledgements, summary.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "arrowport/options.h"

namespace arrowport::client {

enum class CommitMode { kStream, kBatch };

/// What a descriptor asks for.
struct UploadRequest {
  std::string stream;
  CommitMode commit = CommitMode::kStream;
  std::string idempotency_key;
  std::string producer;
  std::optional<int64_t> sequence;
  std::map<std::string, std::string> settings;
};

std::string DescriptorJson(const UploadRequest& request);

/// One PutResult of the server.
struct PutMessage {
  bool is_ready = false;
  std::optional<int64_t> producer_last_sequence;  ///< of the ready message
  std::optional<Ack> ack;
  std::optional<Receipt> summary;
};

/// Errors: kInternal when it is not the contract's JSON.
arrow::Result<PutMessage> ParsePutMessage(std::string_view json);

/// A google.protobuf.Any holding arrow.flight.protocol.sql.CommandStatementQuery.
std::string StatementQueryCommand(std::string_view sql);

}  // namespace arrowport::client
