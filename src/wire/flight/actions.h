// DoAction and ListActions.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <memory>

#include "ingest/session.h"
#include "query/service.h"
#include "wire/flight/reply_handler.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct ActionOptions {
  std::shared_ptr<ingest::Service> ingest;
  std::shared_ptr<query::Service> query;
};

/// Runs the action; may block on the storage. Errors: kUnimplemented naming an unknown
/// action, kNotBuilt, kInvalidArgument, those of the services.
arrow::Result<Replies> DoAction(const ActionOptions& options,
                                const net::RequestHead& head,
                                const std::shared_ptr<arrow::Buffer>& request);

/// One ActionType for each action that DoAction runs.
Replies ListActions();

}  // namespace arrowport::wire::flight
