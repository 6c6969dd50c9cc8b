// The composition root: settings become each component's own options, components are started in
// the order of what they stand on and stopped in reverse.
#pragma once

#include <memory>

#include <arrow/result.h>

#include "config/settings.h"
#include "ingest/session.h"
#include "query/service.h"
#include "server/ports.h"

namespace arrowport::server {

/// A running server. Caller-locked.
class Server {
 public:
  /// Opens the storage, binds the ports and serves. Errors: kUnreachable (ports),
  /// kStorageUnavailable, kStorageCorrupt, kBadConfig, kNotBuilt.
  static arrow::Result<std::unique_ptr<Server>> Start(const config::Settings& settings);
  ~Server();

  const Ports& ports() const;
  /// Stops accepting, finishes or rolls back what is in flight within `shutdown.grace_seconds`,
  /// checkpoints. Idempotent; the destructor does it too.
  arrow::Status Stop();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// Serves until SIGTERM or SIGINT: prints where it listens and how to try it, writes the ready
/// file, drains. A second signal ends the process at once.
arrow::Status RunServer(const config::Settings& settings);

/// The landing and query services in this process, without a listener (`--local`).
class LocalServices {
 public:
  /// Errors: as Server::Start; kStorageUnavailable when a server holds the file.
  static arrow::Result<std::unique_ptr<LocalServices>> Open(const config::Settings& settings);
  ~LocalServices();

  ingest::Service& ingest();
  query::Service& query();
  /// An operation on a table, as its HTTP route.
  arrow::Result<std::string> RunOnTable(const std::string& operation,
                                        const std::string& table,
                                        const std::string& fields);
  /// Drains, checkpoints, closes.
  arrow::Status Close();

 private:
  struct Parts;
  explicit LocalServices(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace arrowport::server
