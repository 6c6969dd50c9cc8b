// Failures of the Zerobus client as statuses, and the judgement on how a call ended.
#pragma once

#include <arrow/status.h>

#include <optional>
#include <string>

#include "arrowport/zerobus/error.h"
#include "zerobus/rpc/status.h"

namespace arrowport::zerobus {

/// A status with the facts attached; arrowport::ErrorName and IsRetriable work on it too.
arrow::Status MakeFailure(ErrorFacts facts, std::string message,
                          std::optional<int> retry_after_seconds = std::nullopt);
arrow::Status MakeFailure(ErrorKind kind, std::string message);

/// `status` as a failure of `kind`, its message kept; OK stays OK. One that has facts
/// already keeps them.
arrow::Status AsFailure(ErrorKind kind, const arrow::Status& status);

/// What to do about a call that ended.
enum class Reaction {
  kRetry,
  kRenewToken,  ///< authentication or permission: once per outage with a new token
  kGiveUp,
};

struct CallFailure {
  Reaction reaction = Reaction::kRetry;
  arrow::Status error;  ///< always with facts
};

enum class CallPhase { kOpening, kOpen };

/// Decides by status alone; texts and details are kept for people. `kOk` counts as an end
/// that nobody asked for.
CallFailure JudgeCall(const rpc::RpcStatus& status, CallPhase phase);

/// "Error Code: N" in a text of the service.
std::optional<int> FindServiceCode(std::string_view message);

}  // namespace arrowport::zerobus
