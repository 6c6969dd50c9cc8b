// The common case of a log, an `add` of plain members, read without a document in between.
#pragma once

#include <string_view>

#include "delta/actions.h"

namespace arrowport::delta {

/// Whether `line` is such an add; `add` is filled then. False says nothing about the line:
/// it is for the general parser to judge.
bool ParsePlainAdd(std::string_view line, AddFile* add);

}  // namespace arrowport::delta
