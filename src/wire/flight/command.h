// What a client asks for: descriptors and tickets taken apart.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "query/service.h"
#include "wire/flight/proto/flight.pb.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct SqlText {
  std::string sql;
};

/// A message of the Flight SQL specification, wrapped in Any.
struct FlightSqlCommand {
  std::string name;  ///< "CommandStatementQuery"
  std::string payload;
};

struct DescriptorPath {
  std::vector<std::string> parts;
};

/// Tried in this order: Any with a Flight SQL type URL, JSON object, SQL text.
using Command = std::variant<FlightSqlCommand, nlohmann::json, SqlText, DescriptorPath>;

/// Errors: kInvalidArgument (neither path nor command, text not UTF-8, broken JSON).
arrow::Result<Command> ParseDescriptor(const proto::FlightDescriptor& descriptor);
/// The bytes of a command or of a ticket. Errors: kInvalidArgument.
arrow::Result<Command> ParseCommand(std::string_view bytes);

/// Whether this is CommandGetSqlInfo, whose result does not come from a query.
bool IsGetSqlInfo(const Command& command);

/// Whether this is a message of Flight SQL.
bool IsFlightSql(const Command& command);

/// The read that `command` describes: SQL text, {"query": sql}, {"schema", "table"},
/// path [table] or [schema, table], and of Flight SQL CommandStatementQuery,
/// CommandPreparedStatementQuery and TicketStatementQuery. The header
/// `arrowport-read-after` of `head` goes along.
/// Errors: kInvalidArgument, kInvalidName, kUnimplemented naming the command.
arrow::Result<query::Request> QueryOf(const Command& command,
                                      const net::RequestHead& head);

/// A ticket (or statement handle) that ParseCommand and QueryOf turn into `request`
/// again. It holds the whole statement: the server keeps nothing for it.
std::string TicketOf(const query::Request& request);

/// A ticket for the outcome of a statement without rows, which has run already.
std::string TicketOfCount(int64_t count);
/// The count in a ticket of TicketOfCount; nothing for any other command.
std::optional<int64_t> CountOf(const Command& command);

/// Text from outside as it may be used. Errors: kInvalidArgument naming `what`.
arrow::Result<std::string> CheckedText(std::string text, std::string_view what);

}  // namespace arrowport::wire::flight
