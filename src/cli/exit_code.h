// The command line's one map from failures to exit codes.
#pragma once

#include <arrow/status.h>

#include "base/error.h"

namespace arrowport::cli {

enum ExitCode : int {
  kDone = 0,
  kRefused = 1,      ///< by the server, or by the data
  kUsage = 2,        ///< arguments or configuration
  kUnavailable = 3,  ///< cannot reach or bind
  kPartly = 4,       ///< some of several were done
};

/// Total over the codes.
ExitCode ExitCodeOf(ErrorCode code);
/// kDone when OK.
ExitCode ExitCodeOf(const arrow::Status& status);

}  // namespace arrowport::cli
