#include "wire/flight/command.h"

#include <arrow/util/utf8.h>

#include <utility>

#include "base/error.h"
#include "schema/names.h"
#include "wire/flight/proto/flight_sql.pb.h"

namespace arrowport::wire::flight {
namespace {

constexpr std::string_view kFlightSqlPrefix =
    "type.googleapis.com/arrow.flight.protocol.sql.";
// Far above any statement a person or a tool writes.
constexpr size_t kCommandBytesMax = 8 << 20;

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

template <typename Message>
arrow::Result<Message> Unpack(const FlightSqlCommand& command) {
  Message message;
  if (!message.ParseFromString(command.payload)) {
    return Error(ErrorCode::kInvalidArgument, "malformed message: ", command.name);
  }
  return message;
}

arrow::Result<query::Request> TableRequest(std::string schema, std::string table,
                                           std::string catalog = {}) {
  ARROW_RETURN_NOT_OK(schema::CheckColumnName(table));
  if (!schema.empty()) ARROW_RETURN_NOT_OK(schema::CheckColumnName(schema));
  query::Request request;
  if (!catalog.empty()) ARROW_RETURN_NOT_OK(schema::CheckColumnName(catalog));
  request.source = query::TableRef{std::move(schema), std::move(table), std::move(catalog)};
  return request;
}

arrow::Result<query::Request> SqlRequest(std::string sql) {
  ARROW_ASSIGN_OR_RAISE(sql, CheckedText(std::move(sql), "SQL"));
  if (sql.empty()) return Error(ErrorCode::kInvalidArgument, "the SQL text is empty");
  query::Request request;
  request.source = std::move(sql);
  return request;
}

arrow::Result<std::string> TextOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::string();
  if (!found->is_string()) {
    return Error(ErrorCode::kInvalidArgument, "not a text in the command: ", key);
  }
  return found->get<std::string>();
}

arrow::Result<query::Request> FromJson(const nlohmann::json& object) {
  ARROW_ASSIGN_OR_RAISE(auto sql, TextOf(object, "query"));
  ARROW_ASSIGN_OR_RAISE(auto table, TextOf(object, "table"));
  ARROW_ASSIGN_OR_RAISE(auto schema, TextOf(object, "schema"));
  ARROW_ASSIGN_OR_RAISE(auto catalog, TextOf(object, "catalog"));
  ARROW_ASSIGN_OR_RAISE(auto read_after, TextOf(object, "read_after"));
  arrow::Result<query::Request> request;
  if (!sql.empty() && table.empty()) {
    request = SqlRequest(std::move(sql));
  } else if (sql.empty() && !table.empty()) {
    request = TableRequest(std::move(schema), std::move(table), std::move(catalog));
  } else {
    return Error(ErrorCode::kInvalidArgument,
                 "a read takes {\"query\": SQL} or {\"table\": NAME}");
  }
  if (request.ok()) request->read_after = std::move(read_after);
  return request;
}

arrow::Result<query::Request> FromPath(const std::vector<std::string>& parts) {
  if (parts.size() == 1) return TableRequest("", parts[0]);
  if (parts.size() == 2) return TableRequest(parts[0], parts[1]);
  if (parts.size() == 3) return TableRequest(parts[1], parts[2], parts[0]);
  return Error(
      ErrorCode::kInvalidArgument,
      "a path to read is [table], [schema, table] or [catalog, schema, table]; "
      "parts given: ", parts.size());
}

arrow::Status RefuseTransaction(bool given) {
  if (!given) return {};
  return Error(ErrorCode::kUnimplemented, "Flight SQL transactions are not offered");
}

// A handle of ours is a ticket: it says the whole statement.
arrow::Result<query::Request> FromHandle(const std::string& handle) {
  const auto object = nlohmann::json::parse(handle, nullptr, false);
  if (!object.is_object()) {
    return Error(ErrorCode::kNotFound, "unknown statement handle");
  }
  return FromJson(object);
}

arrow::Result<query::Request> FromFlightSql(const FlightSqlCommand& command) {
  if (command.name == "CommandStatementQuery") {
    ARROW_ASSIGN_OR_RAISE(auto message, Unpack<proto::CommandStatementQuery>(command));
    ARROW_RETURN_NOT_OK(RefuseTransaction(message.has_transaction_id() &&
                                          !message.transaction_id().empty()));
    return SqlRequest(std::move(*message.mutable_query()));
  }
  if (command.name == "CommandPreparedStatementQuery") {
    ARROW_ASSIGN_OR_RAISE(auto message,
                          Unpack<proto::CommandPreparedStatementQuery>(command));
    return FromHandle(message.prepared_statement_handle());
  }
  if (command.name == "TicketStatementQuery") {
    ARROW_ASSIGN_OR_RAISE(auto message, Unpack<proto::TicketStatementQuery>(command));
    return FromHandle(message.statement_handle());
  }
  return Error(ErrorCode::kUnimplemented,
               "this Flight SQL command is not offered: ", command.name);
}

}  // namespace

arrow::Result<std::string> CheckedText(std::string text, std::string_view what) {
  arrow::util::InitializeUTF8();
  if (!arrow::util::ValidateUTF8(text)) {
    return Error(ErrorCode::kInvalidArgument, "not UTF-8: ", what);
  }
  return text;
}

arrow::Result<Command> ParseCommand(std::string_view bytes) {
  if (bytes.empty()) return Error(ErrorCode::kInvalidArgument, "the command is empty");
  if (bytes.size() > kCommandBytesMax) {
    return Error(ErrorCode::kTooLarge, "the command exceeds the limit of ",
                 kCommandBytesMax, " bytes: ", bytes.size());
  }
  proto::Any any;
  if (any.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
      any.type_url().starts_with(kFlightSqlPrefix)) {
    ARROW_ASSIGN_OR_RAISE(auto name,
                          CheckedText(any.type_url().substr(kFlightSqlPrefix.size()),
                                      "Flight SQL command name"));
    return FlightSqlCommand{std::move(name), std::move(*any.mutable_value())};
  }
  ARROW_ASSIGN_OR_RAISE(std::string text, CheckedText(std::string(bytes), "command"));
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, "the command is blank");
  }
  if (text[first] != '{') return SqlText{std::move(text)};
  auto object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) {
    return Error(ErrorCode::kInvalidArgument, "the command is not valid JSON");
  }
  return object;
}

arrow::Result<Command> ParseDescriptor(const proto::FlightDescriptor& descriptor) {
  switch (descriptor.type()) {
    case proto::FlightDescriptor::CMD:
      return ParseCommand(descriptor.cmd());
    case proto::FlightDescriptor::PATH: {
      DescriptorPath path;
      for (const auto& part : descriptor.path()) {
        ARROW_ASSIGN_OR_RAISE(auto text, CheckedText(part, "path"));
        path.parts.push_back(std::move(text));
      }
      return path;
    }
    default:
      return Error(ErrorCode::kInvalidArgument,
                   "the descriptor is neither a command nor a path");
  }
}

bool IsGetSqlInfo(const Command& command) {
  const auto* flight_sql = std::get_if<FlightSqlCommand>(&command);
  return flight_sql && flight_sql->name == "CommandGetSqlInfo";
}

bool IsFlightSql(const Command& command) {
  return std::holds_alternative<FlightSqlCommand>(command);
}

arrow::Result<query::Request> QueryOf(const Command& command,
                                      const net::RequestHead& head) {
  auto request =
      std::visit(Overloaded{
                     [](const FlightSqlCommand& c) { return FromFlightSql(c); },
                     [](const nlohmann::json& c) { return FromJson(c); },
                     [](const SqlText& c) { return SqlRequest(c.sql); },
                     [](const DescriptorPath& c) { return FromPath(c.parts); },
                 },
                 command);
  if (!request.ok()) return request;
  request->request_id = head.request_id;
  if (const std::string* version = head.Header("arrowport-read-after")) {
    request->read_after = *version;
  }
  return request;
}

std::string TicketOfCount(int64_t count) {
  return nlohmann::json({{"count", count}}).dump();
}

std::optional<int64_t> CountOf(const Command& command) {
  const auto* object = std::get_if<nlohmann::json>(&command);
  if (!object || object->size() != 1) return std::nullopt;
  const auto found = object->find("count");
  if (found == object->end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

std::string TicketOf(const query::Request& request) {
  nlohmann::json ticket;
  if (const auto* sql = std::get_if<std::string>(&request.source)) {
    ticket["query"] = *sql;
  } else {
    const auto& table = std::get<query::TableRef>(request.source);
    if (!table.catalog.empty()) ticket["catalog"] = table.catalog;
    if (!table.schema.empty()) ticket["schema"] = table.schema;
    ticket["table"] = table.table;
  }
  if (!request.read_after.empty()) ticket["read_after"] = request.read_after;
  // Texts were checked on their way in; a bad header value must still not throw.
  return ticket.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace arrowport::wire::flight
