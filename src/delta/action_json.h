// Checks that the readers of actions share, whether the action came as JSON or as a row of
// a checkpoint.
#pragma once

#include <string_view>

#include "delta/actions.h"

namespace arrowport::delta {

/// What is wrong with the descriptor, or "".
std::string_view DeletionVectorFault(const DeletionVectorDescriptor& descriptor);

}  // namespace arrowport::delta
