#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "emulator/json_fields.h"
#include "emulator/routes.h"

namespace arrowport::emulator {
namespace {

using nlohmann::json;

constexpr int64_t kLogPieceBytes = 4 << 20;

HttpReply Json(const nlohmann::ordered_json& object) {
  HttpReply reply;
  reply.body = object.dump(-1, ' ', false, json::error_handler_t::replace);
  return reply;
}

HttpReply Done(const arrow::Status& status) {
  return status.ok() ? Json({{"status", "ok"}}) : HttpErrorOf(status);
}

using Query = std::map<std::string, std::string>;

std::string Argument(const Query& query, const std::string& name) {
  const auto it = query.find(name);
  return it == query.end() ? "" : it->second;
}

HttpReply PutScript(Service& service, const HttpRequest& request, const Query&) {
  auto script = ParseScript(request.body);
  if (!script.ok()) return HttpErrorOf(script.status());
  service.scenario.SetScript(std::move(*script));
  return Done({});
}

HttpReply DeleteScript(Service& service, const HttpRequest&, const Query&) {
  service.scenario.SetScript({});
  return Done({});
}

HttpReply GetCounters(Service& service, const HttpRequest&, const Query&) {
  HttpReply reply;
  reply.body = service.counters.ToJson();
  return reply;
}

HttpReply DeleteCounters(Service& service, const HttpRequest&, const Query&) {
  service.counters.Clear();
  return Done({});
}

HttpReply GetLog(Service& service, const HttpRequest&, const Query& query) {
  int64_t offset = 0;
  if (const std::string text = Argument(query, "from"); !text.empty()) {
    const json number = json::parse(text, nullptr, false);
    if (!number.is_number_unsigned() || number.get<uint64_t>() > INT64_MAX) {
      return HttpError(400, "INVALID_ARGUMENT", "from must be a number of bytes");
    }
    offset = number.get<int64_t>();
  }
  auto text = service.log->Read(offset, kLogPieceBytes);
  if (!text.ok()) return HttpErrorOf(text.status());
  HttpReply reply;
  reply.headers.emplace_back(
      "x-log-next", std::to_string(offset + static_cast<int64_t>(text->size())));
  reply.body = std::move(*text);
  reply.content_type = "application/x-ndjson";
  return reply;
}

HttpReply DeleteLog(Service& service, const HttpRequest&, const Query&) {
  return Done(service.log->Clear());
}

HttpReply GetTables(Service& service, const HttpRequest&, const Query&) {
  return Json({{"tables", service.tables.Names()}});
}

arrow::Result<std::string> ColumnsOf(const std::string& body) {
  ARROW_ASSIGN_OR_RAISE(const json document, ParseJson(body, "the body"));
  JsonFields fields(document, "");
  const json* columns = fields.Value("columns");
  if (!columns || !columns->is_array()) {
    fields.Fail("columns", "a list of Unity Catalog column objects");
  }
  ARROW_RETURN_NOT_OK(fields.Finish());
  return columns->dump();
}

HttpReply PutTable(Service& service, const HttpRequest& request, const Query& query) {
  const auto columns = ColumnsOf(request.body);
  if (!columns.ok()) return HttpErrorOf(columns.status());
  return Done(service.tables.Put(Argument(query, "name"), *columns));
}

HttpReply DeleteTable(Service& service, const HttpRequest&, const Query& query) {
  return Done(service.tables.Drop(Argument(query, "name")));
}

HttpReply PostRotate(Service& service, const HttpRequest&, const Query& query) {
  // The fields of a script's rotation, as far as they make sense at once.
  Rotation rotation;
  if (const std::string text = Argument(query, "duration_ms"); !text.empty()) {
    const json number = json::parse(text, nullptr, false);
    if (!number.is_number_unsigned() || number.get<uint64_t>() > 86400000) {
      return HttpError(400, "INVALID_ARGUMENT", "duration_ms must be a number up to a day");
    }
    rotation.duration = std::chrono::milliseconds(number.get<int64_t>());
  }
  rotation.forced = Argument(query, "forced") != "false";
  if (Argument(query, "signal") == "false") rotation.signals = 0;
  return Json({{"streams", service.streams.Rotate(Argument(query, "table"), rotation)}});
}

HttpReply PostRevoke(Service& service, const HttpRequest&, const Query& query) {
  return Json({{"tokens", service.tokens.Revoke(Argument(query, "table"))}});
}

HttpReply PostExpire(Service& service, const HttpRequest&, const Query& query) {
  return Json({{"tokens", service.tokens.Expire(Argument(query, "table"))}});
}

struct ControlRoute {
  std::string_view method;
  std::string_view path;
  HttpReply (*answer)(Service& service, const HttpRequest& request, const Query& query);
};

constexpr ControlRoute kRoutes[] = {
    {"PUT", "/control/script", PutScript},
    {"DELETE", "/control/script", DeleteScript},
    {"GET", "/control/counters", GetCounters},
    {"DELETE", "/control/counters", DeleteCounters},
    {"GET", "/control/log", GetLog},
    {"DELETE", "/control/log", DeleteLog},
    {"GET", "/control/tables", GetTables},
    {"PUT", "/control/table", PutTable},
    {"DELETE", "/control/table", DeleteTable},
    {"POST", "/control/rotate", PostRotate},
    {"POST", "/control/tokens/revoke", PostRevoke},
    {"POST", "/control/tokens/expire", PostExpire},
};

}  // namespace

HttpReply AnswerControl(Service& service, const HttpRequest& request) {
  const auto query = ParseForm(request.head.query);
  if (!query) return HttpError(400, "INVALID_ARGUMENT", "the query is malformed");
  bool known_path = false;
  for (const ControlRoute& route : kRoutes) {
    if (route.path != request.head.path) continue;
    if (route.method == request.head.method) return route.answer(service, request, *query);
    known_path = true;
  }
  if (known_path) return HttpError(405, "METHOD_NOT_ALLOWED", "not offered on this path");
  return HttpError(404, "NOT_FOUND", "no such path: " + request.head.path);
}

}  // namespace arrowport::emulator
