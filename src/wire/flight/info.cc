#include "wire/flight/info.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "schema/names.h"
#include "wire/flight/command.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/run_once.h"
#include "wire/flight/sql_info.h"

namespace arrowport::wire::flight {
namespace {

constexpr int64_t kUnknown = -1;

struct Readable {
  std::shared_ptr<arrow::Schema> schema;
  std::string ticket;
};

enum class Purpose {
  kSchema,  ///< nothing may run
  kRead,
};

arrow::Result<Readable> Describe(query::Service& query, const net::RequestHead& head,
                                 const proto::FlightDescriptor& descriptor,
                                 Purpose purpose) {
  ARROW_ASSIGN_OR_RAISE(const auto command, ParseDescriptor(descriptor));
  // The command is its own ticket: it names the facts that are wanted.
  if (IsGetSqlInfo(command)) return Readable{SqlInfoSchema(), descriptor.cmd()};
  ARROW_ASSIGN_OR_RAISE(const auto request, QueryOf(command, head));
  if (!IsFlightSql(command)) {
    ARROW_ASSIGN_OR_RAISE(auto schema, query.Describe(request));
    return Readable{std::move(schema), TicketOf(request)};
  }
  ARROW_ASSIGN_OR_RAISE(auto statement, query.Prepare(request));
  if (statement.has_rows) return Readable{std::move(statement.schema), TicketOf(request)};
  // Flight SQL clients run DDL and DML without ever fetching: it runs here, exactly once,
  // and the ticket holds its outcome.
  if (purpose == Purpose::kSchema) return Readable{CountSchema(), ""};
  ARROW_ASSIGN_OR_RAISE(const int64_t count, RunOnce(query, request));
  return Readable{CountSchema(), TicketOfCount(count)};
}

arrow::Result<proto::FlightInfo> MakeInfo(Readable readable,
                                          proto::FlightDescriptor descriptor) {
  proto::FlightInfo info;
  ARROW_ASSIGN_OR_RAISE(*info.mutable_schema(), SerializeSchema(readable.schema));
  *info.mutable_flight_descriptor() = std::move(descriptor);
  // No location: the data is where the question was answered.
  *info.add_endpoint()->mutable_ticket()->mutable_ticket() = std::move(readable.ticket);
  info.set_total_records(kUnknown);
  info.set_total_bytes(kUnknown);
  return info;
}

arrow::Result<proto::FlightInfo> InfoFor(query::Service& query,
                                         const net::RequestHead& head,
                                         const std::shared_ptr<arrow::Buffer>& request) {
  proto::FlightDescriptor descriptor;
  ARROW_RETURN_NOT_OK(ParseMessage(request, "FlightDescriptor", &descriptor));
  ARROW_ASSIGN_OR_RAISE(auto readable, Describe(query, head, descriptor, Purpose::kRead));
  return MakeInfo(std::move(readable), std::move(descriptor));
}

constexpr std::string_view kDeltaCatalog = "delta";

arrow::Result<proto::FlightInfo> InfoOf(const query::TableInfo& table) {
  query::Request request;
  // Names of the storage itself go without its catalog.
  const std::string catalog = table.catalog == kDeltaCatalog ? table.catalog : "";
  request.source = query::TableRef{table.schema, table.table, catalog};
  proto::FlightDescriptor descriptor;
  descriptor.set_type(proto::FlightDescriptor::PATH);
  if (!catalog.empty()) descriptor.add_path(catalog);
  if (table.schema != schema::TableName().schema) descriptor.add_path(table.schema);
  descriptor.add_path(table.table);
  ARROW_ASSIGN_OR_RAISE(auto info, MakeInfo({table.arrow_schema, TicketOf(request)},
                                            std::move(descriptor)));
  if (table.estimated_rows) info.set_total_records(*table.estimated_rows);
  return info;
}

}  // namespace

arrow::Result<Replies> GetFlightInfo(query::Service& query, const net::RequestHead& head,
                                     const std::shared_ptr<arrow::Buffer>& request) {
  ARROW_ASSIGN_OR_RAISE(const auto info, InfoFor(query, head, request));
  return Replies{ToSlices(info)};
}

arrow::Result<Replies> PollFlightInfo(query::Service& query, const net::RequestHead& head,
                                      const std::shared_ptr<arrow::Buffer>& request) {
  ARROW_ASSIGN_OR_RAISE(auto info, InfoFor(query, head, request));
  // Without a descriptor to poll again the answer is complete.
  proto::PollInfo poll;
  *poll.mutable_info() = std::move(info);
  poll.set_progress(1.0);
  return Replies{ToSlices(poll)};
}

arrow::Result<Replies> GetSchema(query::Service& query, const net::RequestHead& head,
                                 const std::shared_ptr<arrow::Buffer>& request) {
  proto::FlightDescriptor descriptor;
  ARROW_RETURN_NOT_OK(ParseMessage(request, "FlightDescriptor", &descriptor));
  ARROW_ASSIGN_OR_RAISE(const auto readable,
                        Describe(query, head, descriptor, Purpose::kSchema));
  proto::SchemaResult result;
  ARROW_ASSIGN_OR_RAISE(*result.mutable_schema(), SerializeSchema(readable.schema));
  return Replies{ToSlices(result)};
}

arrow::Result<Replies> ListFlights(query::Service& query,
                                   const std::shared_ptr<arrow::Buffer>& request) {
  proto::Criteria criteria;
  ARROW_RETURN_NOT_OK(ParseMessage(request, "Criteria", &criteria));
  if (!criteria.expression().empty()) {
    return Error(ErrorCode::kUnimplemented, "ListFlights takes no criteria");
  }
  ARROW_ASSIGN_OR_RAISE(const auto tables, query.ListTables());
  Replies replies;
  for (const auto& table : tables) {
    // A view whose source is broken has no schema; it must not hide the others.
    if (!table.arrow_schema || table.arrow_schema->num_fields() == 0) continue;
    ARROW_ASSIGN_OR_RAISE(const auto info, InfoOf(table));
    replies.push_back(ToSlices(info));
  }
  return replies;
}

}  // namespace arrowport::wire::flight
