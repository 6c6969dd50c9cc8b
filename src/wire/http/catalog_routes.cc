// GET /streams, /streams/{stream}, /tables, /tables/{table}/schema.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "wire/http/routes.h"

namespace arrowport::wire::http {
namespace {

using Json = nlohmann::ordered_json;

Reply JsonReply(const Json& body) {
  Reply reply;
  reply.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return reply;
}

Json StreamJson(const ingest::StreamInfo& stream) {
  return {{"name", stream.name},
          {"table", stream.table},
          {"storage_backend", stream.backend},
          {"configured", stream.configured},
          {"rows", stream.rows},
          {"bytes", stream.bytes},
          {"last_ingest_us",
           stream.last_ingest_us == 0 ? Json(nullptr) : Json(stream.last_ingest_us)},
          {"last_error",
           stream.last_error.empty() ? Json(nullptr) : Json(stream.last_error)}};
}

Json FieldsJson(const arrow::FieldVector& fields) {
  Json list = Json::array();
  for (const auto& field : fields) {
    Json entry = {{"name", field->name()},
                  {"type", field->type()->ToString()},
                  {"nullable", field->nullable()}};
    if (field->type()->num_fields() > 0) {
      entry["fields"] = FieldsJson(field->type()->fields());
    }
    list.push_back(std::move(entry));
  }
  return list;
}

Json TableJson(const query::TableInfo& table) {
  return {{"catalog", table.catalog},
          {"schema", table.schema},
          {"table", table.table},
          {"type", table.type},
          {"estimated_rows",
           table.estimated_rows ? Json(*table.estimated_rows) : Json(nullptr)}};
}

arrow::Result<net::Route> MakeStreams(RouteRequest& request) {
  auto service = request.options->ingest;
  return AnswerWith(request, [service](const Exchange&) -> arrow::Result<Reply> {
    Json list = Json::array();
    for (const auto& stream : service->Streams()) list.push_back(StreamJson(stream));
    return JsonReply({{"streams", std::move(list)}});
  });
}

arrow::Result<net::Route> MakeOneStream(RouteRequest& request) {
  auto service = request.options->ingest;
  return AnswerWith(
      request,
      [service, name = request.arguments[0]](const Exchange&) -> arrow::Result<Reply> {
        const auto streams = service->Streams();
        auto found =
            std::find_if(streams.begin(), streams.end(),
                         [&](const auto& stream) { return stream.name == name; });
        if (found == streams.end()) {
          return Error(ErrorCode::kNotFound,
                       "no such stream, configured or seen: ", name);
        }
        return JsonReply(StreamJson(*found));
      });
}

arrow::Result<net::Route> MakeTables(RouteRequest& request) {
  auto service = request.options->query;
  return AnswerWith(request, [service](const Exchange&) -> arrow::Result<Reply> {
    ARROW_ASSIGN_OR_RAISE(auto tables, service->ListTables());
    Json list = Json::array();
    for (const auto& table : tables) list.push_back(TableJson(table));
    return JsonReply({{"tables", std::move(list)}});
  });
}

arrow::Result<net::Route> MakeTableSchema(RouteRequest& request) {
  auto service = request.options->query;
  return AnswerWith(
      request,
      [service, name = request.arguments[0]](const Exchange&) -> arrow::Result<Reply> {
        query::TableRef table{"", name};
        if (const size_t dot = name.find('.'); dot != std::string::npos) {
          table = {name.substr(0, dot), name.substr(dot + 1)};
        }
        ARROW_ASSIGN_OR_RAISE(query::TableInfo info, service->GetTable(table));
        Json body = TableJson(info);
        body["fields"] =
            info.arrow_schema ? FieldsJson(info.arrow_schema->fields()) : Json::array();
        return JsonReply(body);
      });
}

constexpr std::array kRoutes = {
    RouteEntry{"GET", "/streams", MakeStreams},
    RouteEntry{"GET", "/streams/{stream}", MakeOneStream},
    RouteEntry{"GET", "/tables", MakeTables},
    RouteEntry{"GET", "/tables/{table}/schema", MakeTableSchema},
};

}  // namespace

std::span<const RouteEntry> CatalogRoutes() { return kRoutes; }

}  // namespace arrowport::wire::http
