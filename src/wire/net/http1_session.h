// HTTP/1.1 and 1.0 over one connection (RFC 9112), parsed by Beast.
#pragma once

#include <memory>

#include "wire/net/connection.h"

namespace arrowport::wire::net {

std::unique_ptr<Session> MakeHttp1Session(Connection* connection);

}  // namespace arrowport::wire::net
