// DoGet: a ticket to a stream of batches.
#pragma once

#include <memory>

#include "query/service.h"
#include "wire/flight/result_sender.h"
#include "wire/flight/sql_info.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct GetOptions {
  std::shared_ptr<query::Service> query;
  SenderOptions sender;
  ServerFacts facts;
};

std::unique_ptr<net::CallHandler> MakeGetHandler(std::shared_ptr<net::Call> call,
                                                 GetOptions options);

}  // namespace arrowport::wire::flight
