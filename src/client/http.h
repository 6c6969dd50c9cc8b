// One HTTP request to a server.
#pragma once

#include <arrow/result.h>

#include <string>

#include "arrowport/options.h"
#include "client/url.h"

namespace arrowport::client {

/// GET `path`; the body of a 2xx answer. Other answers become errors by the code in their
/// JSON. Errors besides: kUnreachable. Bodies over 64 MiB are refused.
arrow::Result<std::string> HttpGet(const ServerAddress& address, const std::string& path,
                                   const ClientOptions& options);

/// POST of a JSON `body`; otherwise as HttpGet. Waits for the answer as long as
/// options.call_timeout says, without one for ever.
arrow::Result<std::string> HttpPost(const ServerAddress& address, const std::string& path,
                                    const std::string& body, const ClientOptions& options);

/// `text` as one path segment.
std::string PathSegment(const std::string& text);

}  // namespace arrowport::client
