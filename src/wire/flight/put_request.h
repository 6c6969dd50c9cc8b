// What a DoPut asks for: its descriptor as a request to the ingest service.
#pragma once

#include <arrow/result.h>

#include "ingest/session.h"
#include "wire/flight/proto/flight.pb.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// JSON {"stream_name": ...} with options, or the path [stream]. Options that are not of
/// the protocol itself (idempotency_key, producer, sequence, commit) are stream settings:
/// lists become comma-separated, objects become dotted names.
/// Errors: kInvalidArgument, kUnimplemented naming a Flight SQL command.
arrow::Result<ingest::Request> PutRequestOf(const proto::FlightDescriptor& descriptor,
                                            const net::RequestHead& head);

}  // namespace arrowport::wire::flight
