#include <csignal>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/program/local_ingest.h"
#include "cli/program/local_tables.h"
#include "server/server.h"

int main(int argc, char** argv) {
  // A peer or a pipe that goes away is an error of that call, not of the program.
  std::signal(SIGPIPE, SIG_IGN);
  arrowport::cli::Context context = arrowport::cli::MakeContext(
      {arrowport::server::RunServer, arrowport::cli::OpenLocalIngest,
       arrowport::cli::OpenLocalTables});
  return arrowport::cli::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc),
                                        context);
}
