// gRPC over HTTP/2 on one connection (RFC 9113, gRPC PROTOCOL-HTTP2.md), framed by
// nghttp2.
#pragma once

#include <memory>

#include "wire/net/connection.h"

namespace arrowport::wire::net {

std::unique_ptr<Session> MakeHttp2Session(Connection* connection);

}  // namespace arrowport::wire::net
