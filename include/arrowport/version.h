// Version of the client library and of the program it belongs to.
#pragma once

namespace arrowport {

inline constexpr int kVersionMajor = 1;
inline constexpr int kVersionMinor = 0;
inline constexpr int kVersionPatch = 0;
inline constexpr const char* kVersionText = "1.0.0";

}  // namespace arrowport
