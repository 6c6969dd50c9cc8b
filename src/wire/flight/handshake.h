// Handshake: credentials in, a token out.
#pragma once

#include <memory>

#include "wire/flight/authenticator.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Answers each payload with a token: JSON {"username", "password"} (the legacy form),
/// the specification's BasicAuth, or a token to be confirmed. A client that sends only
/// an `authorization` header got its token in the answer's head already (GuardedHandler),
/// `grant` then holds it.
std::unique_ptr<net::CallHandler> MakeHandshakeHandler(
    std::shared_ptr<net::Call> call, std::shared_ptr<Authenticator> authenticator,
    Grant grant);

}  // namespace arrowport::wire::flight
