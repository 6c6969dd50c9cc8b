#include "wire/http/router.h"

#include <arrow/ipc/reader.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include <algorithm>

#include "wire/http/http_fixture.h"

namespace arrowport::wire::http {
namespace {

using ::testing::HasSubstr;
using namespace arrowport::wire::http::testing;

TEST_F(HttpRouterTest, QueryGivesEveryFormat) {
  query_->results = {MakeBatch(3), MakeBatch(2, 3)};
  query_->schema = query_->results[0]->schema();
  Answer csv = Send(Head("GET", "/query?sql=SELECT+1&format=csv"));
  EXPECT_EQ(csv.status, 200);
  EXPECT_EQ(csv.body,
            "id,name\r\n0,name 0\r\n1,name 7919\r\n2,name 5831\r\n3,name "
            "3743\r\n4,name 1655\r\n");
  EXPECT_EQ(std::get<std::string>(query_->request.source), "SELECT 1");
  Answer all =
      Send(Head("POST", "/query",
                {{"accept", "application/json"}, {"arrowport-read-after", "duckdb:3"}}),
           "SELECT 2");
  EXPECT_EQ(all.Header("content-type"), "application/json");
  EXPECT_EQ(all.Json().size(), 5u);
  EXPECT_EQ(all.Json()[4], (json{{"id", 4}, {"name", "name 1655"}}));
  EXPECT_EQ(query_->request.read_after, "duckdb:3");
  Answer lines = Send(Head("POST", "/query", {{"accept", "application/x-ndjson"}}), "x");
  EXPECT_EQ(std::count(lines.body.begin(), lines.body.end(), '\n'), 5);
  for (std::string codec : {"none", "zstd", "lz4"}) {
    Answer arrow = Send(Head("POST", "/query?codec=" + codec), "SELECT 3");
    auto reader = *arrow::ipc::RecordBatchStreamReader::Open(
        std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(arrow.body)));
    EXPECT_EQ((*reader->ToTable())->num_rows(), 5) << codec;
    Answer parquet =
        Send(Head("POST", "/query?format=parquet&codec=" + codec), "SELECT 3");
    auto file = *parquet::arrow::OpenFile(std::make_shared<arrow::io::BufferReader>(
                                              arrow::Buffer::FromString(parquet.body)),
                                          arrow::default_memory_pool());
    EXPECT_EQ((*file->ReadTable())->num_rows(), 5) << codec;
  }
}

TEST_F(HttpRouterTest, QueryParametersOfJsonBodies) {
  query_->schema = arrow::schema({});
  const std::string body =
      R"( {"sql": "SELECT ?", "params": [null, true, 5, 2.5, "x", 18446744073709551615]})";
  EXPECT_EQ(Send(Head("POST", "/query"), body).status, 200);
  ASSERT_EQ(query_->request.parameters.size(), 6u);
  EXPECT_EQ(query_->request.parameters[5]->type->id(), arrow::Type::UINT64);
  EXPECT_EQ(query_->request.parameters[4]->ToString(), "x");
  for (std::string bad :
       {R"({"sql": 5})", R"({"sql": "x", "params": 5})",
        R"({"sql": "x", "params": [[1]]})", R"({"sql": )", R"({})", "", "  ; "}) {
    EXPECT_EQ(Send(Head("POST", "/query"), bad).code(), "INVALID_ARGUMENT") << bad;
  }
  EXPECT_EQ(Send(Head("POST", "/query"), "{\"a\":" + std::string(100000, '[')).code(),
            "INVALID_ARGUMENT");
  EXPECT_EQ(Send(Head("GET", "/query")).code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Send(Head("GET", "/query?sql=x&format=xml")).code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Send(Head("GET", "/query?sql=x", {{"accept", "image/png"}})).status, 415);
}

TEST_F(HttpRouterTest, QueryErrorsBeforeAndBehindTheFirstByte) {
  query_->end_status = Error(ErrorCode::kBadQuery, "syntax error");
  Answer bad = Send(Head("POST", "/query"), "SELEC");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.code(), "BAD_QUERY");
  query_->schema = MakeBatch(1)->schema();
  EXPECT_EQ(Send(Head("POST", "/query"), "SELECT x").status, 400);
  query_->results = {MakeBatch(1)};
  Answer cut = Send(Head("POST", "/query"), "SELECT 1");
  EXPECT_EQ(cut.status, 200);
  EXPECT_TRUE(cut.aborted);
  EXPECT_FALSE(cut.finished);
  query_->execute_status = Error(ErrorCode::kDraining, "stopping");
  Answer draining = Send(Head("POST", "/query"), "SELECT 1");
  EXPECT_EQ(draining.status, 503);
  EXPECT_EQ(draining.Header("retry-after"), "1");
}

TEST_F(HttpRouterTest, SlowReadersPauseTheQueryAndMissNothing) {
  high_water_ = 4096;
  query_->results = {MakeBatch(50000), MakeBatch(50000, 50000), MakeBatch(7, 100000)};
  query_->schema = query_->results[0]->schema();
  for (std::string format : {"csv", "arrow", "ndjson", "parquet"}) {
    query_->pauses = 0;
    high_water_ = int64_t{1} << 40;
    Answer fast = Send(Head("GET", "/query?sql=x&format=" + format));
    high_water_ = 4096;
    Answer slow = Send(Head("GET", "/query?sql=x&format=" + format));
    EXPECT_TRUE(slow.finished);
    EXPECT_EQ(slow.body.size(), fast.body.size()) << format;
    EXPECT_EQ(slow.body, fast.body) << format;
    // A Parquet row group comes out whole, here at the end only.
    EXPECT_EQ(query_->pauses > 0, format != "parquet") << format;
    EXPECT_LE(write_bytes_max_, 4096 + (1 << 20)) << format;
  }
}

TEST_F(HttpRouterTest, CatalogsAreListed) {
  ingest_->streams = {{"s", "t", "duckdb", true, 5, 50, 0, ""}};
  EXPECT_EQ(Send(Head("GET", "/streams")).Json()["streams"][0]["rows"], 5);
  EXPECT_EQ(Send(Head("GET", "/streams/s")).Json()["table"], "t");
  EXPECT_EQ(Send(Head("GET", "/streams/none")).status, 404);
  query_->tables = {{"main", "main", "t", "BASE TABLE", MakeBatch(1)->schema(), 7}};
  EXPECT_EQ(Send(Head("GET", "/tables")).Json()["tables"][0]["estimated_rows"], 7);
  EXPECT_EQ(Send(Head("GET", "/tables/t/schema")).Json()["fields"][1]["type"], "string");
  EXPECT_EQ(Send(Head("GET", "/tables/main.t/schema")).status, 200);
  EXPECT_EQ(Send(Head("GET", "/tables/none/schema")).code(), "TABLE_NOT_FOUND");
}

TEST_F(HttpRouterTest, ServiceRoutes) {
  EXPECT_EQ(Send(Head("GET", "/health/live")).status, 200);
  EXPECT_EQ(Send(Head("GET", "/health/ready")).Json()["status"], "ready");
  EXPECT_EQ(Send(Head("GET", "/version")).Json()["version"], "1.2.3");
  EXPECT_EQ(Send(Head("POST", "/admin/checkpoint"), "{}").status, 200);
  EXPECT_EQ(ingest_->checkpoints, 1);
  Answer metrics = Send(Head("GET", "/metrics"));
  EXPECT_THAT(metrics.Header("content-type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("arrowport_requests_total{route=\"/version\",code="
                                      "\"200\"} 1\n"));
  Configure([](HttpOptions& options) {
    options.metrics = nullptr;
    options.readiness = [] { return Readiness{false, {{"storage", "reopening"}}}; };
  });
  EXPECT_EQ(Send(Head("GET", "/metrics")).status, 404);
  Answer ready = Send(Head("GET", "/health/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.Header("retry-after"), "1");
  EXPECT_EQ(ready.Json()["details"]["storage"], "reopening");
}

TEST_F(HttpRouterTest, OpenApiNamesEveryRouteAndErrorCode) {
  const json document = Send(Head("GET", "/openapi.json")).Json();
  ASSERT_TRUE(document.is_object());
  for (const char* path : {"/ingest/{stream}", "/stream/{stream}", "/query", "/streams",
                           "/tables/{table}/schema", "/metrics", "/admin/checkpoint"}) {
    EXPECT_TRUE(document["paths"].contains(path)) << path;
  }
  const json& codes =
      document["components"]["schemas"]["Error"]["properties"]["code"]["enum"];
  auto [errors, count] = AllErrors();
  EXPECT_EQ(codes.size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_TRUE(std::find(codes.begin(), codes.end(), errors[i].name) != codes.end())
        << errors[i].name;
  }
}

TEST_F(HttpRouterTest, UnknownUnbuiltAndWrongMethod) {
  EXPECT_EQ(Send(Head("GET", "/")).status, 404);
  EXPECT_EQ(Send(Head("GET", "/stream/a/b")).status, 404);
  EXPECT_EQ(Send(Head("POST", "/stream/"), "{}").status, 404);
  Answer method = Send(Head("PUT", "/query"), "x");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.Header("allow"), "GET, POST");
  for (auto [verb, path] :
       std::vector<std::pair<std::string, std::string>>{{"GET", "/delta"},
                                                        {"POST", "/delta/t/vacuum"},
                                                        {"GET", "/quarantine"},
                                                        {"DELETE", "/quarantine/x"},
                                                        {"POST", "/migrate"},
                                                        {"POST", "/admin/backup"},
                                                        {"POST", "/admin/reload"},
                                                        {"GET", "/ui"}}) {
    Answer answer = Send(Head(verb, path));
    EXPECT_EQ(answer.status, 501) << path;
    EXPECT_EQ(answer.code(), "NOT_BUILT") << path;
  }
}

TEST_F(HttpRouterTest, ProtectedModeServesOnlyLocalClients) {
  net::RequestHead head = Head("GET", "/version");
  head.peer.loopback = false;
  Answer answer = Send(head);
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("auth.allow_anonymous"));
  head.path = "/health/live";
  EXPECT_EQ(Send(head).status, 200);
  Configure([](HttpOptions& options) { options.access = Access::kEveryone; });
  head.path = "/version";
  EXPECT_EQ(Send(head).status, 200);
}

TEST_F(HttpRouterTest, HealthAndMetricsAreExemptFromAdmission) {
  EXPECT_EQ(router_->AdmissionOf(Head("GET", "/health/live")), net::Admission::kExempt);
  EXPECT_EQ(router_->AdmissionOf(Head("GET", "/metrics")), net::Admission::kExempt);
  EXPECT_EQ(router_->AdmissionOf(Head("GET", "/query")), net::Admission::kCounted);
}

}  // namespace
}  // namespace arrowport::wire::http
