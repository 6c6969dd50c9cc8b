#include "wire/flight/actions.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "wire/flight/command.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/proto/flight_sql.pb.h"

namespace arrowport::wire::flight {
namespace {

struct Context {
  const ActionOptions& options;
  const net::RequestHead& head;
  const std::string& body;
};

Replies Body(std::string body) {
  proto::Result result;
  *result.mutable_body() = std::move(body);
  return {ToSlices(result)};
}

Replies Done() { return Body(R"({"status":"ok"})"); }

arrow::Result<Replies> Healthcheck(const Context&) { return Done(); }

arrow::Result<Replies> Flush(const Context& context) {
  ARROW_RETURN_NOT_OK(context.options.ingest->Flush());
  return Done();
}

arrow::Result<Replies> Checkpoint(const Context& context) {
  ARROW_RETURN_NOT_OK(context.options.ingest->Checkpoint());
  return Done();
}

constexpr std::string_view kFlightSqlPrefix =
    "type.googleapis.com/arrow.flight.protocol.sql.";

// The body of a Flight SQL action is an Any.
arrow::Status Unpack(const std::string& body, std::string_view name,
                     google::protobuf::MessageLite* out) {
  proto::Any any;
  if (!any.ParseFromString(body) ||
      any.type_url() != std::string(kFlightSqlPrefix).append(name) ||
      !out->ParseFromString(any.value())) {
    return Error(ErrorCode::kInvalidArgument, "the action's body is not a ", name);
  }
  return {};
}

// The handle says the whole statement, so that nothing is kept between calls and any
// server of the same data can run it.
arrow::Result<Replies> CreatePreparedStatement(const Context& context) {
  proto::ActionCreatePreparedStatementRequest request;
  ARROW_RETURN_NOT_OK(
      Unpack(context.body, "ActionCreatePreparedStatementRequest", &request));
  if (!request.transaction_id().empty()) {
    return Error(ErrorCode::kUnimplemented, "Flight SQL transactions are not offered");
  }
  ARROW_ASSIGN_OR_RAISE(auto query,
                        QueryOf(Command(SqlText{request.query()}), context.head));
  ARROW_ASSIGN_OR_RAISE(const auto statement, context.options.query->Prepare(query));
  proto::ActionCreatePreparedStatementResult result;
  result.set_prepared_statement_handle(TicketOf(query));
  // JDBC takes a statement for an update when its schema has no fields.
  ARROW_ASSIGN_OR_RAISE(
      *result.mutable_dataset_schema(),
      SerializeSchema(statement.has_rows ? statement.schema : arrow::schema({})));
  if (!statement.parameters.empty()) {
    ARROW_ASSIGN_OR_RAISE(*result.mutable_parameter_schema(),
                          SerializeSchema(arrow::schema(statement.parameters)));
  }
  proto::Any any;
  any.set_type_url(std::string(kFlightSqlPrefix) + "ActionCreatePreparedStatementResult");
  any.set_value(result.SerializeAsString());
  return Body(any.SerializeAsString());
}

arrow::Result<Replies> ClosePreparedStatement(const Context& context) {
  proto::ActionClosePreparedStatementRequest request;
  ARROW_RETURN_NOT_OK(
      Unpack(context.body, "ActionClosePreparedStatementRequest", &request));
  return Replies{};
}

struct Entry {
  std::string_view type;
  std::string_view description;
  arrow::Result<Replies> (*run)(const Context&);
};

constexpr std::array kActions = {
    Entry{"healthcheck", "Answers when the server can be reached", Healthcheck},
    Entry{"flush", "Waits until everything sent before is durable", Flush},
    Entry{"checkpoint", "Makes the storage compact", Checkpoint},
    Entry{"CreatePreparedStatement", "Flight SQL: prepares a statement",
          CreatePreparedStatement},
    Entry{"ClosePreparedStatement", "Flight SQL: releases a prepared statement",
          ClosePreparedStatement},
};

constexpr std::string_view kDeltaPrefix = "delta.";

/// "delta.vacuum" with {"table": .., ...}: the operation of the HTTP route.
arrow::Status RunOnTable(const ActionOptions& options, std::string_view operation,
                         const std::string& body, Deliver deliver) {
  if (!options.maintain) {
    return Error(ErrorCode::kNotBuilt, "this server has no Delta tables: action delta.",
                 operation);
  }
  maintain::Request request;
  request.operation = operation;
  request.body = body;
  options.maintain->Run(std::move(request), [deliver = std::move(deliver)](
                                                arrow::Result<std::string> reply) {
    if (!reply.ok()) return deliver(reply.status());
    deliver(Body(*std::move(reply)));
  });
  return {};
}

void AddActionType(std::string type, std::string_view description, Replies* replies) {
  proto::ActionType message;
  message.set_type(std::move(type));
  message.set_description(std::string(description));
  replies->push_back(ToSlices(message));
}

arrow::Status Dispatch(const ActionOptions& options, const net::RequestHead& head,
                       const std::shared_ptr<arrow::Buffer>& request,
                       const Deliver& deliver) {
  proto::Action action;
  ARROW_RETURN_NOT_OK(ParseMessage(request, "Action", &action));
  for (const auto& entry : kActions) {
    if (entry.type != action.type()) continue;
    deliver(entry.run({options, head, action.body()}));
    return {};
  }
  ARROW_ASSIGN_OR_RAISE(const auto type, CheckedText(action.type(), "action type"));
  if (type.starts_with(kDeltaPrefix)) {
    return RunOnTable(options, std::string_view(type).substr(kDeltaPrefix.size()),
                      action.body(), deliver);
  }
  return Error(ErrorCode::kUnimplemented, "this action is not offered: ", type);
}

}  // namespace

void DoAction(const ActionOptions& options, const net::RequestHead& head,
              const std::shared_ptr<arrow::Buffer>& request, Deliver deliver) {
  arrow::Status refused = Dispatch(options, head, request, deliver);
  if (!refused.ok()) deliver(std::move(refused));
}

Replies ListActions(const ActionOptions& options) {
  Replies replies;
  for (const auto& entry : kActions) {
    AddActionType(std::string(entry.type), entry.description, &replies);
  }
  if (!options.maintain) return replies;
  for (const auto& operation : maintain::Operations()) {
    AddActionType(std::string(kDeltaPrefix).append(operation.name), operation.description,
                  &replies);
  }
  return replies;
}

}  // namespace arrowport::wire::flight
