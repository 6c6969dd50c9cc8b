#include "base/fault_point.h"

#include <charconv>
#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/mutex.h"

namespace arrowport {
namespace internal {

std::atomic<bool> fault_points_armed{false};

namespace {

struct Action {
  std::string kind;
  int argument = 0;
  int only_pass = 0;  // 0: every pass
  int passes = 0;
};

struct Registry {
  Mutex mutex;
  std::map<std::string, Action, std::less<>> actions GUARDED_BY(mutex);
};

Registry& Armed() {
  static Registry registry;
  return registry;
}

}  // namespace

arrow::Status PassFaultPoint(std::string_view name) {
  Action action;
  {
    Registry& registry = Armed();
    MutexLock lock(registry.mutex);
    auto found = registry.actions.find(name);
    if (found == registry.actions.end()) return {};
    ++found->second.passes;
    if (found->second.only_pass && found->second.passes != found->second.only_pass)
      return {};
    action = found->second;
  }
  if (action.kind == "kill") {
    std::raise(SIGKILL);
  } else if (action.kind == "sleep") {
    std::this_thread::sleep_for(std::chrono::milliseconds(action.argument));
    return {};
  } else if (action.kind == "nospace") {
    return Error(ErrorCode::kNoSpace, "injected fault: no space at ", name);
  }
  return Error(ErrorCode::kInternal, "injected fault at ", name);
}

}  // namespace internal

arrow::Status ArmFaultPoints(std::string_view spec) {
  auto& registry = internal::Armed();
  MutexLock lock(registry.mutex);
  while (!spec.empty()) {
    size_t end = std::min(spec.find(','), spec.size());
    std::string_view item = spec.substr(0, end);
    spec.remove_prefix(std::min(end + 1, spec.size()));
    size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      return Error(ErrorCode::kBadConfig, "fault point without '=': ", item);
    }
    internal::Action action;
    std::string_view rest = item.substr(equals + 1);
    auto number_after = [&](char mark, int* out) {
      size_t at = rest.find(mark);
      if (at == std::string_view::npos) return true;
      std::string_view digits = rest.substr(at + 1);
      rest = rest.substr(0, at);
      return std::from_chars(digits.data(), digits.data() + digits.size(), *out).ec ==
             std::errc();
    };
    if (!number_after('@', &action.only_pass) || !number_after(':', &action.argument)) {
      return Error(ErrorCode::kBadConfig, "fault point with a bad number: ", item);
    }
    if (rest != "kill" && rest != "sleep" && rest != "error" && rest != "nospace") {
      return Error(ErrorCode::kBadConfig, "unknown fault action: ", item);
    }
    action.kind = rest;
    registry.actions[std::string(item.substr(0, equals))] = action;
  }
  internal::fault_points_armed = !registry.actions.empty();
  return {};
}

}  // namespace arrowport
