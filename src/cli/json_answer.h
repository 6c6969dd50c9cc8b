// A server's JSON answers: as text with --json, else as a table.
#pragma once

#include <arrow/result.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/context.h"
#include "cli/table.h"

namespace arrowport::cli {

using Json = nlohmann::ordered_json;

/// Errors: kInternal when it is none.
arrow::Result<Json> ParseAnswer(const std::string& body);

/// Indented, to standard output.
void PrintJson(const Json& answer);

/// Rows of objects with the keys of all of them, in the order they are met; nested values
/// as JSON text.
Table TableOf(const Json& rows);

/// The list in an answer: the answer itself, or its one member that is a list; nullptr
/// when there is none.
const Json* ListIn(const Json& answer);

}  // namespace arrowport::cli
