// DoAction and ListActions.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <memory>

#include "ingest/session.h"
#include "maintain/service.h"
#include "query/service.h"
#include "wire/flight/reply_handler.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct ActionOptions {
  std::shared_ptr<ingest::Service> ingest;
  std::shared_ptr<query::Service> query;
  std::shared_ptr<maintain::Service> maintain;  ///< null: its actions are kNotBuilt
};

/// Runs the action and delivers its results: at once, may block on the storage; those of
/// "delta.<operation>", whose body is the JSON of the HTTP route with the table in its
/// field `table`, when they are there. Errors: kUnimplemented naming an unknown action,
/// kNotBuilt, kInvalidArgument, those of the services.
void DoAction(const ActionOptions& options, const net::RequestHead& head,
              const std::shared_ptr<arrow::Buffer>& request, Deliver deliver);

/// One ActionType for each action that DoAction runs.
Replies ListActions(const ActionOptions& options);

}  // namespace arrowport::wire::flight
