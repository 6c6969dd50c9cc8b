#include "cli/exit_code.h"

namespace arrowport::cli {

ExitCode ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadConfig:
      return kUsage;
    case ErrorCode::kUnreachable:
      return kUnavailable;
    default:
      return kRefused;
  }
}

ExitCode ExitCodeOf(const arrow::Status& status) {
  return status.ok() ? kDone : ExitCodeOf(CodeOf(status));
}

}  // namespace arrowport::cli
