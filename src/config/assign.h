// Moves checked values into the fields of Settings; for the two files of the table.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/setting_table.h"

namespace arrowport::config::internal {

template <typename T>
void Convert(const Value& value, T* out) {
  *out = static_cast<T>(std::get<int64_t>(value));
}
inline void Convert(const Value& value, bool* out) { *out = std::get<bool>(value); }
inline void Convert(const Value& value, std::string* out) {
  const auto* text = std::get_if<std::string>(&value);
  *out = text ? *text : std::string();
}
inline void Convert(const Value& value, std::vector<std::string>* out) {
  *out = std::get<std::vector<std::string>>(value);
}
inline void Convert(const Value& value, std::chrono::milliseconds* out) {
  *out = std::chrono::milliseconds(std::get<int64_t>(value));
}
template <typename T>
void Convert(const Value& value, std::optional<T>* out) {
  if (std::holds_alternative<std::monostate>(value)) {
    out->reset();
    return;
  }
  T converted{};
  Convert(value, &converted);
  *out = std::move(converted);
}

/// Into a field of Settings itself.
template <auto Field>
void Assign(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &(settings.*Field));
}

/// Into a field of one of its groups.
template <auto Group, auto Field>
void Assign(Settings& settings, const Assignment& assignment) {
  Convert(assignment.value, &((settings.*Group).*Field));
}

}  // namespace arrowport::config::internal
