// The operations run: on few threads of their own, since some take minutes, one changing
// operation at a time on a table.
#pragma once

#include <arrow/result.h>

#include <memory>

#include "maintain/service.h"
#include "maintain/table_operations.h"
#include "maintain/table_source.h"

namespace arrowport::maintain {

/// Moves a table to another storage; what has the services for it provides one.
class Migrator {
 public:
  virtual ~Migrator() = default;
  /// Blocks until it is done. Errors: those of Migration (migration.h).
  virtual arrow::Result<Json> Migrate(const std::string& table,
                                      const RequestFields& fields) = 0;
  /// What runs ends soon, with kDraining; it can be taken up again.
  virtual void Cancel() = 0;
};

struct MaintenanceOptions {
  std::shared_ptr<TableSource> tables;
  OperationTools tools;
  std::shared_ptr<Migrator> migrator;  ///< null: `migrate` is kNotBuilt
  int threads = 2;
  size_t waiting_max = 64;  ///< requests beyond those that run
};

/// Thread-safe.
class Maintenance final : public Service {
 public:
  static std::unique_ptr<Maintenance> Make(MaintenanceOptions options);
  ~Maintenance() override;

  void Run(Request request, Done done) override;
  /// As Run, on the calling thread.
  arrow::Result<std::string> RunHere(const Request& request);

  /// Refuses what comes from now on and what waits with kDraining, and lets what runs end:
  /// an operation cut in two would leave files nobody knows. Idempotent.
  void Stop();

 private:
  class Pool;
  class State;

  explicit Maintenance(MaintenanceOptions options);

  const std::shared_ptr<State> state_;
  const std::unique_ptr<Pool> pool_;
};

}  // namespace arrowport::maintain
