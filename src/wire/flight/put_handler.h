// DoPut: from messages to an ingest session and acknowledgements back.
#pragma once

#include <memory>

#include "base/byte_budget.h"
#include "ingest/session.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct PutOptions {
  std::shared_ptr<ingest::Service> ingest;
  ipc::DecoderLimits limits;
  std::shared_ptr<ByteBudget> budget;  ///< for decompressed data; may be null
};

/// The call's route must use MessageFormat::kFlightData.
std::unique_ptr<net::CallHandler> MakePutHandler(std::shared_ptr<net::Call> call,
                                                 PutOptions options);

}  // namespace arrowport::wire::flight
