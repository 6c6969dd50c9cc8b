// Named places where a test can stop, delay or fail the process. Unarmed (always, outside
// tests) a point costs one relaxed atomic load.
#pragma once

#include <arrow/status.h>

#include <atomic>
#include <string_view>

namespace arrowport {

/// Arms points from "name=action[,name=action...]"; action: `kill` (SIGKILL to
/// ourselves), `sleep:MILLISECONDS`, `error` (the point returns kInternal), `nospace`
/// (kNoSpace); with
/// "@N" behind the action only the N-th pass acts. Called once at start.
/// Errors: kBadConfig.
arrow::Status ArmFaultPoints(std::string_view spec);

namespace internal {
extern std::atomic<bool> fault_points_armed;
arrow::Status PassFaultPoint(std::string_view name);
}  // namespace internal

/// OK unless a test armed `name`.
inline arrow::Status FaultPoint(std::string_view name) {
  if (!internal::fault_points_armed.load(std::memory_order_relaxed)) return {};
  return internal::PassFaultPoint(name);
}

}  // namespace arrowport
