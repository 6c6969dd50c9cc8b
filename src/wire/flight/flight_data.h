// Outgoing messages, framed by hand so that column buffers are sent in place.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <google/protobuf/message_lite.h>

#include <memory>
#include <string>
#include <string_view>

#include "wire/ipc/batch_encoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// A FlightData message around an IPC message: fields 2 (data_header) and 1000
/// (data_body) of Flight.proto.
net::Slices ToFlightData(const ipc::EncodedMessage& message);

/// Any other message of the protocol.
net::Slices ToSlices(const google::protobuf::MessageLite& message);

/// Parses `body` (null: an empty message). Errors: kInvalidArgument naming `what`.
arrow::Status ParseMessage(const std::shared_ptr<arrow::Buffer>& body,
                           std::string_view what, google::protobuf::MessageLite* out);

/// A schema as FlightInfo and SchemaResult carry it: one encapsulated IPC message.
arrow::Result<std::string> SerializeSchema(const std::shared_ptr<arrow::Schema>& schema);

}  // namespace arrowport::wire::flight
