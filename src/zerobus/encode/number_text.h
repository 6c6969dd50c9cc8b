// Numbers as text: the bytes that std::to_chars gives, several times as fast.
#pragma once

#include <cstddef>
#include <cstdint>

namespace arrowport::zerobus::encode::internal {

/// Room that a writer may touch; the text takes less.
constexpr size_t kNumberRoom = 64;

// Each writes at `at` and returns the end of the text.

char* WriteInteger(int64_t number, char* at);

// REQUIRES: finite.
char* WriteFloat(double number, char* at);
char* WriteFloat(float number, char* at);

}  // namespace arrowport::zerobus::encode::internal
