// The success reply as every protocol gives it.
#pragma once

#include <string>

#include "ingest/session.h"

namespace arrowport::ingest {

/// A JSON object with the fields the API names, in its order. Bytes that are not UTF-8 are
/// replaced. Thread-safe.
std::string ReceiptJson(const Receipt& receipt, const std::string& request_id);

}  // namespace arrowport::ingest
