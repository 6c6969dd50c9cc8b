#include <algorithm>
#include <array>

#include "base/error.h"
#include "emulator/grpc_code.h"
#include "emulator/json_fields.h"
#include "emulator/script.h"

namespace arrowport::emulator {
namespace {

using nlohmann::json;

template <typename Value, size_t kSize>
using NameTable = std::array<std::pair<std::string_view, Value>, kSize>;

constexpr NameTable<Point, 8> kPoints = {{
    {"before_headers", Point::kBeforeHeaders},
    {"after_headers", Point::kAfterHeaders},
    {"before_create_reply", Point::kBeforeCreateReply},
    {"after_open", Point::kAfterOpen},
    {"before_log", Point::kBeforeLog},
    {"after_log", Point::kAfterLog},
    {"mid_frame", Point::kMidFrame},
    {"after_acks", Point::kAfterAcks},
}};

constexpr NameTable<ActionKind, 18> kActions = {{
    {"status", ActionKind::kStatus},
    {"ok", ActionKind::kOk},
    {"reset_stream", ActionKind::kResetStream},
    {"goaway", ActionKind::kGoaway},
    {"tcp_close", ActionKind::kTcpClose},
    {"tcp_reset", ActionKind::kTcpReset},
    {"freeze", ActionKind::kFreeze},
    {"silence", ActionKind::kSilence},
    {"stall", ActionKind::kStall},
    {"delay", ActionKind::kDelay},
    {"ack_duplicate", ActionKind::kAckDuplicate},
    {"ack_lower", ActionKind::kAckLower},
    {"ack_too_high", ActionKind::kAckTooHigh},
    {"ack_without_offset", ActionKind::kAckWithoutOffset},
    {"ack_unparseable", ActionKind::kAckUnparseable},
    {"ack_missing", ActionKind::kAckMissing},
    {"unexpected_message", ActionKind::kUnexpectedMessage},
    {"close_signal", ActionKind::kCloseSignal},
}};

constexpr NameTable<Mode, 2> kModes = {{{"record", Mode::kRecord},
                                        {"flight", Mode::kFlight}}};

using ExpiresIn = OauthRules::ExpiresIn;
constexpr NameTable<ExpiresIn, 4> kExpiresIn = {{{"number", ExpiresIn::kNumber},
                                                 {"text", ExpiresIn::kText},
                                                 {"missing", ExpiresIn::kMissing},
                                                 {"zero", ExpiresIn::kZero}}};

template <typename Value, size_t kSize>
std::optional<Value> Named(JsonFields& fields, const std::string& name,
                           const NameTable<Value, kSize>& table) {
  const auto text = fields.Text(name);
  if (!text) return std::nullopt;
  std::string known;
  for (const auto& [entry, value] : table) {
    if (entry == *text) return value;
    known += (known.empty() ? "one of " : ", ") + std::string(entry);
  }
  fields.Fail(name, known);
  return std::nullopt;
}

template <typename Value>
void Set(Value* target, const std::optional<Value>& value) {
  if (value) *target = *value;
}

void SetSpan(Span* target, const std::optional<std::pair<int64_t, int64_t>>& range) {
  if (range) *target = {range->first, range->second};
}

void SetGrpcCode(JsonFields& fields, const std::string& name, int* target) {
  const auto text = fields.Text(name);
  if (!text) return;
  const auto code = GrpcCodeOf(*text);
  if (!code) return fields.Fail(name, "a gRPC status code such as UNAVAILABLE");
  *target = *code;
}

bool MayBeTorn(ActionKind kind) {
  return kind == ActionKind::kTcpClose || kind == ActionKind::kTcpReset ||
         kind == ActionKind::kFreeze;
}

bool ConcernsAcks(ActionKind kind) {
  return kind >= ActionKind::kAckDuplicate && kind <= ActionKind::kAckMissing;
}

arrow::Status ParseAction(const json& value, const std::string& path, Action* action) {
  JsonFields fields(value, path);
  const auto kind = Named(fields, "type", kActions);
  if (!fields.Has("type")) fields.Fail("type", "the name of an action");
  if (kind) action->kind = *kind;
  SetGrpcCode(fields, "code", &action->grpc_status);
  Set(&action->message, fields.Text("message"));
  Set(&action->reason, fields.Text("reason"));
  if (const auto* metadata = fields.Value("metadata")) {
    if (!metadata->is_object()) fields.Fail("metadata", "an object of texts");
    for (const auto& [name, text] : metadata->items()) {
      if (!text.is_string()) {
        fields.Fail("metadata", "an object of texts");
        break;
      }
      action->metadata[name] = text;
    }
  }
  if (const auto code = fields.Integer("http2_code", 0, UINT32_MAX)) {
    action->http2_code = static_cast<uint32_t>(*code);
  }
  action->duration = fields.Milliseconds("duration_ms");
  Set(&action->amount, fields.Integer("by", 1, kNoEnd));
  if (action->kind == ActionKind::kDelay && !action->duration) {
    fields.Fail("duration_ms", "how long the delay is");
  }
  return fields.Finish();
}

arrow::Status CheckFault(const FaultRule& fault, JsonFields& fields) {
  const bool per_request =
      fault.point == Point::kBeforeLog || fault.point == Point::kAfterLog;
  const bool per_ack =
      fault.point == Point::kMidFrame || fault.point == Point::kAfterAcks;
  if (fault.point == Point::kMidFrame && !MayBeTorn(fault.action.kind)) {
    fields.Fail("action", "tcp_close, tcp_reset or freeze in the middle of a frame");
  }
  if (ConcernsAcks(fault.action.kind) && !per_request && !per_ack) {
    fields.Fail("point", "before_log, after_log or after_acks for an ack action");
  }
  if (fault.action.kind == ActionKind::kAckMissing && fault.point != Point::kAfterLog) {
    fields.Fail("point", "after_log for ack_missing");
  }
  if (fault.action.kind == ActionKind::kCloseSignal && fault.point < Point::kAfterOpen) {
    fields.Fail("point", "a point of an open call for close_signal");
  }
  if (fields.Has("at") && !per_request && !per_ack) {
    fields.Fail("at", "no value at this point");
  }
  return fields.Finish();
}

arrow::Status ParseFault(const json& value, const std::string& path, FaultRule* fault) {
  JsonFields fields(value, path);
  Set(&fault->table, fields.Text("table"));
  if (fault->table == "*") fault->table.clear();
  fault->mode = Named(fields, "mode", kModes);
  SetSpan(&fault->connections, fields.Range("connection", 1));
  if (!fields.Has("point")) fields.Fail("point", "the name of a point");
  Set(&fault->point, Named(fields, "point", kPoints));
  SetSpan(&fault->at, fields.Range("at", 0));
  Set(&fault->times_max, fields.Integer("times", 1, kNoEnd));
  Set(&fault->probability, fields.Number("probability", 0, 1));
  if (const auto* action = fields.Value("action")) {
    fields.Keep(ParseAction(*action, fields.PathOf("action"), &fault->action));
  } else {
    fields.Fail("action", "an object");
  }
  return CheckFault(*fault, fields);
}

arrow::Status ParseAcks(const json& value, const std::string& path, AckPolicy* acks) {
  JsonFields fields(value, path);
  Set(&acks->every, fields.Integer("every", 0, kNoEnd));
  Set(&acks->rows, fields.Integer("rows", 0, kNoEnd));
  Set(&acks->delay, fields.Milliseconds("delay_ms"));
  Set(&acks->jitter, fields.Milliseconds("jitter_ms"));
  Set(&acks->idle, fields.Milliseconds("idle_ms"));
  return fields.Finish();
}

arrow::Status ParseRotation(const json& value, const std::string& path,
                            Rotation* rotation) {
  JsonFields fields(value, path);
  SetSpan(&rotation->connections, fields.Range("connection", 1));
  rotation->after = fields.Milliseconds("after_ms");
  rotation->after_requests = fields.Integer("after_requests", 1, kNoEnd);
  rotation->duration = fields.Milliseconds("duration_ms");
  Set(&rotation->with_ack, fields.Boolean("with_ack"));
  Set(&rotation->forced, fields.Boolean("forced"));
  Set(&rotation->early, fields.Milliseconds("early_ms"));
  Set(&rotation->late, fields.Milliseconds("late_ms"));
  Set(&rotation->signals, fields.Integer("signals", 0, 1000));
  Set(&rotation->repeat, fields.Milliseconds("repeat_ms"));
  if (!rotation->after && !rotation->after_requests) {
    fields.Fail("after_ms", "when to rotate: after_ms or after_requests");
  }
  return fields.Finish();
}

void ParseRules(JsonFields& fields, TableRules* rules) {
  if (const auto* acks = fields.Value("acks")) {
    fields.Keep(ParseAcks(*acks, fields.PathOf("acks"), &rules->acks.emplace()));
  }
  if (const auto* rotation = fields.Value("rotation")) {
    fields.Keep(
        ParseRotation(*rotation, fields.PathOf("rotation"), &rules->rotation.emplace()));
  }
}

arrow::Status ParseOauthFault(const json& value, const std::string& path,
                              OauthFault* fault) {
  JsonFields fields(value, path);
  SetSpan(&fault->requests, fields.Range("request", 1));
  if (const auto status = fields.Integer("status", 400, 599)) {
    fault->http_status = static_cast<int>(*status);
  }
  fault->retry_after_seconds = fields.Integer("retry_after", 0, 86400);
  fault->body = fields.Text("body");
  Set(&fault->delay, fields.Milliseconds("delay_ms"));
  Set(&fault->hang, fields.Boolean("hang"));
  return fields.Finish();
}

template <typename Item, typename Parse>
void ParseList(JsonFields& fields, const std::string& name, std::vector<Item>* items,
               Parse parse) {
  const auto* list = fields.Value(name);
  if (!list) return;
  if (!list->is_array()) return fields.Fail(name, "a list");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fields.PathOf(name) + "[" + std::to_string(i) + "]";
    fields.Keep(parse((*list)[i], path, &items->emplace_back()));
  }
}

arrow::Status ParseOauth(const json& value, const std::string& path, OauthRules* oauth) {
  JsonFields fields(value, path);
  Set(&oauth->token_life_seconds, fields.Integer("token_life_seconds", 0, 86400));
  Set(&oauth->expires_in, Named(fields, "expires_in", kExpiresIn));
  ParseList(fields, "faults", &oauth->faults, ParseOauthFault);
  return fields.Finish();
}

arrow::Status ParseStatuses(const json& value, const std::string& path,
                            Statuses* statuses) {
  JsonFields fields(value, path);
  SetGrpcCode(fields, "row", &statuses->row);
  SetGrpcCode(fields, "offset", &statuses->offset);
  SetGrpcCode(fields, "size", &statuses->size);
  return fields.Finish();
}

arrow::Status ParseFlight(const json& value, const std::string& path,
                          FlightRules* flight) {
  JsonFields fields(value, path);
  Set(&flight->near_types, fields.Boolean("near_types"));
  Set(&flight->reordered, fields.Boolean("reordered"));
  Set(&flight->missing_nullable, fields.Boolean("missing_nullable"));
  return fields.Finish();
}

void ParseTables(JsonFields& fields, std::map<std::string, TableRules>* tables) {
  const auto* value = fields.Value("tables");
  if (!value) return;
  if (!value->is_object()) return fields.Fail("tables", "an object by table name");
  for (const auto& [name, rules] : value->items()) {
    JsonFields table(rules, "tables[" + name + "]");
    ParseRules(table, &(*tables)[name]);
    fields.Keep(table.Finish());
  }
}

}  // namespace

std::string_view NameOf(Mode mode) {
  return mode == Mode::kRecord ? "record" : "flight";
}

arrow::Result<Script> ParseScript(std::string_view text) {
  ARROW_ASSIGN_OR_RAISE(const json document, ParseJson(text, "the script"));
  Script script;
  JsonFields fields(document, "");
  ParseRules(fields, &script.all);
  ParseTables(fields, &script.tables);
  ParseList(fields, "faults", &script.faults, ParseFault);
  if (const auto* oauth = fields.Value("oauth")) {
    fields.Keep(ParseOauth(*oauth, "oauth", &script.oauth));
  }
  if (const auto* statuses = fields.Value("statuses")) {
    fields.Keep(ParseStatuses(*statuses, "statuses", &script.statuses));
  }
  if (const auto* flight = fields.Value("flight")) {
    fields.Keep(ParseFlight(*flight, "flight", &script.flight));
  }
  if (const auto seed = fields.Integer("seed", 0, kNoEnd)) {
    script.seed = static_cast<uint64_t>(*seed);
  }
  ARROW_RETURN_NOT_OK(fields.Finish());
  return script;
}

}  // namespace arrowport::emulator
