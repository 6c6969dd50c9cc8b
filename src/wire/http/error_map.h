// The one map from error codes to HTTP. Statuses: the API contract of the HTTP routes.
#pragma once

#include "base/error.h"

namespace arrowport::wire::http {

/// Status of a reply that reports `code`. Total.
int HttpStatusOf(ErrorCode code);

}  // namespace arrowport::wire::http
