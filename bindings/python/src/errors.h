// Failed statuses as Python exceptions. Every failure of the library crosses into Python here,
// by its stable code or kind; classes and their hierarchy are in arrowport/_errors.py.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>
#include <nanobind/nanobind.h>
// In every file: a cast without its caster is another function under the same name.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <type_traits>
#include <utility>

namespace arrowport::python {

namespace nb = nanobind;

/// Whose vocabulary a status speaks.
enum class Service { kArrowport, kZerobus };

/// An exception object for `status`, not raised. REQUIRES: !status.ok(), the interpreter
/// lock.
nb::object ExceptionOf(Service service, const arrow::Status& status);

/// Raises arrowport.zerobus.ClosedError.
[[noreturn]] void RaiseClosed(const char* message);

/// Raises ExceptionOf unless OK. Needs the interpreter lock. Exceptions are how nanobind
/// takes a Python error out of a bound function; nothing else in here throws.
void Check(Service service, const arrow::Status& status);

template <typename T>
T Unwrap(Service service, arrow::Result<T> result) {
  Check(service, result.status());
  return std::move(result).ValueUnsafe();
}

/// Runs `call` without the interpreter lock and raises what it failed with. For every call
/// of the library that may wait.
template <typename Call>
auto Unlocked(Service service, Call call) {
  auto result = [&] {
    const nb::gil_scoped_release unlocked;
    return call();
  }();
  if constexpr (std::is_same_v<decltype(result), arrow::Status>) {
    Check(service, result);
  } else {
    return Unwrap(service, std::move(result));
  }
}

}  // namespace arrowport::python
