#include "cli/program/local_tables.h"

#include <utility>

#include "server/server.h"

namespace arrowport::cli {
namespace {

class LocalTablesImpl final : public LocalTables {
 public:
  explicit LocalTablesImpl(std::unique_ptr<server::LocalServices> services)
      : services_(std::move(services)) {}

  arrow::Result<std::string> Run(const std::string& operation, const std::string& table,
                                 const std::string& fields) override {
    return services_->RunOnTable(operation, table, fields);
  }
  arrow::Status Close() override { return services_->Close(); }

 private:
  const std::unique_ptr<server::LocalServices> services_;
};

}  // namespace

arrow::Result<std::unique_ptr<LocalTables>> OpenLocalTables(
    const config::Settings& settings) {
  ARROW_ASSIGN_OR_RAISE(auto services, server::LocalServices::Open(settings));
  return std::make_unique<LocalTablesImpl>(std::move(services));
}

}  // namespace arrowport::cli
