// One operation on a table, sent to a server or run on the storage in this process.
#pragma once

#include <CLI/CLI.hpp>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/client_flags.h"
#include "cli/context.h"
#include "cli/json_answer.h"

namespace arrowport::cli {

struct TableRequest {
  std::string operation;  ///< "vacuum"; also the last part of its route
  std::string table;      ///< or empty
  Json fields = Json::object();
};

/// Where requests go.
struct TableTarget {
  std::shared_ptr<ClientFlags> client;
  std::shared_ptr<std::vector<std::string>> setting_args;  ///< with --local
  bool local = false;
};

/// Flags of AddClientFlags, --local with the settings' flags, and --json.
std::shared_ptr<TableTarget> AddTargetFlags(CLI::App& command, Context& context);

/// The operation's answer. Errors: kUnreachable, kNotBuilt (--local in a program without
/// the server), those of the operation.
arrow::Result<Json> RunTableRequest(const TableRequest& request, const TableTarget& target,
                                    const Context& context);

}  // namespace arrowport::cli
