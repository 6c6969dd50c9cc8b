// What every subcommand is given: the outside world, and the way to report its end.
#pragma once

#include <arrow/result.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "arrowport/client.h"
#include "cli/exit_code.h"
#include "config/settings.h"

namespace arrowport::cli {

/// The landing service in this process (`ingest --local`).
class LocalIngest {
 public:
  virtual ~LocalIngest() = default;
  virtual arrow::Result<Receipt> Send(const std::string& stream,
                                      arrow::RecordBatchReader& reader,
                                      const SendOptions& options) = 0;
  virtual arrow::Status Close() = 0;
};

/// Operations on tables in this process (`delta --local`, `migrate --local`).
class LocalTables {
 public:
  virtual ~LocalTables() = default;
  /// A JSON object in and out, as the HTTP route of the operation.
  virtual arrow::Result<std::string> Run(const std::string& operation,
                                         const std::string& table,
                                         const std::string& fields) = 0;
  virtual arrow::Status Close() = 0;
};

/// What only the whole program has; the commands are tested without it.
struct ServerFunctions {
  std::function<arrow::Status(const config::Settings&)> run;
  std::function<arrow::Result<std::unique_ptr<LocalIngest>>(const config::Settings&)>
      open_local;
  std::function<arrow::Result<std::unique_ptr<LocalTables>>(const config::Settings&)>
      open_tables;
};

struct Context {
  std::map<std::string, std::string> environment;
  bool output_is_terminal = false;  ///< standard output
  bool error_is_terminal = false;   ///< standard error, where progress goes
  int width = 80;                   ///< columns of the terminal
  ServerFunctions server;

  bool json = false;         ///< --json of the chosen command
  ExitCode exit_code = kDone;  ///< of the chosen command

  std::string Environment(const std::string& name) const;
  /// Records the end of a command; a failure is printed to standard error, as JSON with
  /// --json.
  void Finish(const arrow::Status& status);
  void FinishWith(ExitCode code) { exit_code = code; }
};

/// Context of this process.
Context MakeContext(ServerFunctions server);

}  // namespace arrowport::cli
