// Credentials first, then the method.
#pragma once

#include <functional>
#include <memory>

#include "wire/flight/authenticator.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Makes the method's handler once its caller is known.
using MakeHandler = std::function<std::unique_ptr<net::CallHandler>(const Grant& grant)>;

/// Checks the call's `authorization` header on a worker, before the first event reaches
/// the method. Basic credentials are answered with `authorization: Bearer TOKEN` in the
/// answer's head, as Flight clients expect of any method.
std::unique_ptr<net::CallHandler> MakeGuardedHandler(
    std::shared_ptr<net::Call> call, std::shared_ptr<Authenticator> authenticator,
    MakeHandler make);

}  // namespace arrowport::wire::flight
