// Operations on tables as the protocols offer them: a name and a JSON object in, a JSON
// object out, so that HTTP, Flight and the command line say the same.
#pragma once

#include <arrow/result.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace arrowport::maintain {

/// What an operation works on; decides what must not run beside it.
enum class Effect {
  kRead,       ///< changes nothing
  kBeside,     ///< writes, beside anything
  kExclusive,  ///< one at a time on a table
};

struct OperationInfo {
  std::string_view name;  ///< "vacuum"
  std::string_view description;
  bool needs_table = true;
  Effect effect = Effect::kRead;
};

/// All operations, in the order of the reference.
std::span<const OperationInfo> Operations();

struct Request {
  std::string operation;
  /// As routed tables are written ("t", "s.t"). Empty: the text `table` of the body.
  std::string table;
  /// A JSON object; empty stands for {}. Keys that the operation does not know are refused.
  std::string body;
};

/// Bodies above it are refused.
inline constexpr size_t kBodyBytesMax = 64 << 10;

/// Thread-safe.
class Service {
 public:
  /// Gets the reply (a JSON object) or the failure.
  using Done = std::function<void(arrow::Result<std::string>)>;

  virtual ~Service() = default;
  /// `done` is called once: on a thread of the service, or from inside when it is refused
  /// at once. Errors: kUnimplemented (no such operation), kInvalidArgument (body),
  /// kInvalidName, kTableNotFound, kOverloaded, kDraining, kCommitConflict (another
  /// operation works on the table, or a writer was faster), those of the operation.
  virtual void Run(Request request, Done done) = 0;
};

}  // namespace arrowport::maintain
