// GetFlightInfo, PollFlightInfo, GetSchema and ListFlights: what can be read and how.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <memory>

#include "query/service.h"
#include "wire/flight/reply_handler.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Each takes the method's request message and returns its replies; all block on the
/// planner or the catalog. Nothing is executed, except that GetFlightInfo runs a Flight
/// SQL statement without rows. Errors: those of query::Service, kInvalidArgument,
/// kUnimplemented.
arrow::Result<Replies> GetFlightInfo(query::Service& query, const net::RequestHead& head,
                                     const std::shared_ptr<arrow::Buffer>& request);
arrow::Result<Replies> PollFlightInfo(query::Service& query, const net::RequestHead& head,
                                      const std::shared_ptr<arrow::Buffer>& request);
arrow::Result<Replies> GetSchema(query::Service& query, const net::RequestHead& head,
                                 const std::shared_ptr<arrow::Buffer>& request);
arrow::Result<Replies> ListFlights(query::Service& query,
                                   const std::shared_ptr<arrow::Buffer>& request);

}  // namespace arrowport::wire::flight
