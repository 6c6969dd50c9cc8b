// Which request is answered by what: the two ingest methods, the token endpoint, the table
// API and the control interface, on every port.
#pragma once

#include <memory>

#include "emulator/service.h"
#include "wire/net/call.h"

namespace arrowport::emulator {

/// `service` outlives the router and its calls.
std::shared_ptr<wire::net::Router> MakeRouter(Service* service);

/// Answers a request under /control/. Documented in docs/reference/zerobus-emulator.md.
HttpReply AnswerControl(Service& service, const HttpRequest& request);

}  // namespace arrowport::emulator
