#pragma once

#include <string>
#include <string_view>

namespace arrowport {

/// 32 hexadecimal digits from the system's random source. Thread-safe.
std::string NewRandomId();

/// True for 1-128 characters of [A-Za-z0-9._:-]: safe to log and to echo in a header.
bool IsSaneRequestId(std::string_view id);

}  // namespace arrowport
