#include "wire/http/router.h"

#include <arrow/ipc/reader.h>
#include <arrow/util/base64.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "wire/http/http_fakes.h"

namespace arrowport::wire::http {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using namespace arrowport::wire::http::testing;

struct Answer {
  int status = 0;
  std::string body;
  bool finished = false;
  bool aborted = false;
  net::Headers headers;
  std::string Header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
  json Json() const { return json::parse(body, nullptr, false); }
  std::string code() const { return Json().value("code", ""); }
};

class HttpRouterTest : public ::testing::Test {
 protected:
  HttpRouterTest() { Configure([](HttpOptions&) {}); }

  void Configure(const std::function<void(HttpOptions&)>& change) {
    HttpOptions options;
    options.ingest = ingest_;
    options.query = query_;
    options.metrics = metrics_;
    options.server_version = "1.2.3";
    change(options);
    router_ = std::make_unique<HttpRouter>(std::move(options));
  }

  net::RequestHead Head(std::string method, std::string target,
                        net::Headers headers = {}) {
    net::RequestHead head;
    head.method = std::move(method);
    const size_t mark = target.find('?');
    head.path = target.substr(0, mark);
    if (mark != std::string::npos) head.query = target.substr(mark + 1);
    head.headers = std::move(headers);
    head.peer.loopback = true;
    head.request_id = "r1";
    return head;
  }

  /// Sends the body in pieces of `piece` bytes as the transport would, to its end.
  Answer Send(net::RequestHead head, std::string_view body = {}, size_t piece = 1000) {
    auto call = std::make_shared<FakeCall>(std::move(head));
    call->high_water = high_water_;
    net::Route route = router_->OnRequest(call->head(), call);
    if (!route.parser) route.parser = net::MakePieceParser(call->pool());
    arrow::Status status;
    for (size_t at = 0; at < body.size() && status.ok(); at += piece) {
      std::vector<net::Message> messages;
      auto part = body.substr(at, piece);
      status = route.parser->Consume(
          {reinterpret_cast<const uint8_t*>(part.data()), part.size()}, &messages);
      for (auto& message : messages) {
        route.handler->OnMessage(std::move(message));
        call->RunTasks();
      }
    }
    std::vector<net::Message> messages;
    if (status.ok()) status = route.parser->End(&messages);
    for (auto& message : messages) route.handler->OnMessage(std::move(message));
    if (status.ok()) {
      route.handler->OnEnd();
    } else {
      route.handler->OnBodyError(status);
    }
    call->RunTasks();
    for (int i = 0; i < 100000 && !call->finished && !call->aborted; ++i) {
      call->queued = 0;
      route.handler->OnWritable();
      call->RunTasks();
    }
    Answer answer;
    if (call->sent) answer.headers = call->sent->headers;
    answer.status = call->sent ? call->sent->status : 0;
    answer.body = call->body;
    answer.finished = call->finished;
    answer.aborted = call->aborted;
    write_bytes_max_ = call->write_bytes_max;
    route.handler->OnDone({});
    EXPECT_EQ(answer.Header("x-request-id"), "r1");
    return answer;
  }

  int64_t IngestedRows() const {
    int64_t rows = 0;
    for (const auto& batch : ingest_->batches) rows += batch->num_rows();
    return rows;
  }

  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::shared_ptr<FakeQuery> query_ = std::make_shared<FakeQuery>();
  std::shared_ptr<observe::Registry> metrics_ = std::make_shared<observe::Registry>();
  std::unique_ptr<HttpRouter> router_;
  int64_t high_water_ = int64_t{1} << 40;
  int64_t write_bytes_max_ = 0;
};

std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

std::string ToParquet(const std::shared_ptr<arrow::RecordBatch>& batch,
                      int64_t rows_per_group) {
  auto sink = *arrow::io::BufferOutputStream::Create();
  auto table = *arrow::Table::FromRecordBatches({batch});
  EXPECT_TRUE(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink,
                                         rows_per_group)
                  .ok());
  return (*sink->Finish())->ToString();
}

std::string StreamBody(const std::string& ipc, const std::string& config = "",
                       const std::string& after = "") {
  std::string body = "{";
  if (!config.empty()) body += "\"config\": " + config + ", ";
  body += "\"batch\": {\"data\": \"" + arrow::util::base64_encode(ipc) + "\"}";
  if (!after.empty()) body += ", \"config\": " + after;
  return body + "}";
}

TEST_F(HttpRouterTest, IngestStreamAnswersAsTheContractSays) {
  const auto body = ToIpc({MakeBatch(100), MakeBatch(50, 100)});
  Answer answer = Send(Head("POST", "/ingest/sales%20eu?table=x.y&schema_mode=merge",
                            {{"idempotency-key", "k1"}}),
                       body, 777);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(answer.finished);
  const json expected = {{"status", "success"},
                         {"stream", "sales eu"},
                         {"rows_processed", 150},
                         {"storage_backend", "duckdb"},
                         {"message", "Data processed successfully"},
                         {"table", "t"},
                         {"bytes", 0},
                         {"batches", 2},
                         {"durability", "file"},
                         {"version", "duckdb:7"},
                         {"idempotent_replay", false},
                         {"request_id", "r1"}};
  EXPECT_EQ(answer.Json(), expected);
  EXPECT_EQ(ingest_->request.overrides,
            (std::map<std::string, std::string>{{"target_table", "x.y"},
                                                {"schema_mode", "merge"}}));
  EXPECT_EQ(ingest_->request.idempotency_key, "k1");
  EXPECT_EQ(ingest_->request.protocol, "rest");
  EXPECT_THAT(metrics_->Expose(),
              HasSubstr("arrowport_rows_processed_total{stream=\"sales eu\",backend="
                        "\"duckdb\",protocol=\"rest\"} 150\n"));
}

TEST_F(HttpRouterTest, EveryBodyFormatAndEncodingLandsTheSameRows) {
  const auto batch = MakeBatch(20000);
  const std::string stream = ToIpc({batch->Slice(0, 7000), batch->Slice(7000)});
  const std::string file =
      ToIpc({batch->Slice(0, 7000), batch->Slice(7000)}, IpcForm::kFile);
  const std::string parquet = ToParquet(batch, 6000);
  const std::string types[] = {"application/vnd.apache.arrow.stream",
                               "application/vnd.apache.arrow.file",
                               "application/vnd.apache.parquet"};
  const std::string bodies[] = {stream, file, parquet};
  for (int i = 0; i < 3; ++i) {
    for (const std::string encoding : {"identity", "gzip", "zstd"}) {
      for (size_t piece : {999u, 100000000u}) {
        ingest_->batches.clear();
        const std::string sent = encoding == "gzip"   ? Gzip(bodies[i])
                                 : encoding == "zstd" ? Zstd(bodies[i])
                                                      : bodies[i];
        Answer answer = Send(Head("POST", "/ingest/s",
                                  {{"content-type", types[i]},
                                   {"content-encoding", encoding}}),
                             sent, piece);
        ASSERT_EQ(answer.status, 200) << types[i] << encoding << answer.body;
        auto table = *arrow::Table::FromRecordBatches(ingest_->batches);
        auto wanted = *arrow::Table::FromRecordBatches({batch});
        EXPECT_TRUE(table->Equals(*wanted)) << types[i] << encoding;
      }
    }
  }
}

TEST_F(HttpRouterTest, CutBodiesAreNeverASuccess) {
  const auto batch = MakeBatch(3000);
  const std::string bodies[] = {ToIpc({batch}), ToIpc({batch}, IpcForm::kFile),
                                ToParquet(batch, 1000)};
  const std::string types[] = {"application/vnd.apache.arrow.stream",
                               "application/vnd.apache.arrow.file",
                               "application/vnd.apache.parquet"};
  for (int i = 0; i < 3; ++i) {
    for (const std::string encoding : {"identity", "gzip", "zstd"}) {
      const std::string whole = encoding == "gzip"   ? Gzip(bodies[i])
                                : encoding == "zstd" ? Zstd(bodies[i])
                                                     : bodies[i];
      for (size_t cut : {size_t{0}, size_t{3}, size_t{9}, whole.size() / 2,
                         whole.size() - 9, whole.size() - 1}) {
        ingest_->finished = false;
        Answer answer = Send(Head("POST", "/ingest/s",
                                  {{"content-type", types[i]},
                                   {"content-encoding", encoding}}),
                             std::string_view(whole).substr(0, cut), 4096);
        EXPECT_EQ(answer.status, 400) << types[i] << encoding << cut << answer.body;
        EXPECT_FALSE(ingest_->finished) << types[i] << encoding << cut;
      }
    }
  }
}

TEST_F(HttpRouterTest, ParquetBeyondMemoryIsSpooledAndBackPressureIsObeyed) {
  Configure([](HttpOptions& options) { options.decode.spool_memory_bytes = 1000; });
  const auto batch = MakeBatch(20000);
  Answer answer = Send(
      Head("POST", "/ingest/s", {{"content-type", "application/vnd.apache.parquet"}}),
      ToParquet(batch, 5000), 4000);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(IngestedRows(), 20000);
  EXPECT_EQ(ingest_->batches.size(), 4u);
}

TEST_F(HttpRouterTest, SpoolsWithinItsLimitOnly) {
  Configure([](HttpOptions& options) { options.decode.spool_bytes_max = 1000; });
  Answer answer = Send(
      Head("POST", "/ingest/s", {{"content-type", "application/vnd.apache.parquet"}}),
      ToParquet(MakeBatch(20000), 5000), 400);
  EXPECT_EQ(answer.status, 413) << answer.body;
}

TEST_F(HttpRouterTest, DecompressionBombsAreRefused) {
  Configure([](HttpOptions& options) { options.decode.decompress_ratio_max = 50; });
  const std::string zeros(64 << 20, '\0');
  const std::string types[] = {"application/vnd.apache.parquet"};
  for (const std::string encoding : {"gzip", "zstd"}) {
    Answer answer = Send(Head("POST", "/ingest/s",
                              {{"content-type", types[0]}, {"content-encoding", encoding}}),
                         encoding == "gzip" ? Gzip(zeros) : Zstd(zeros));
    EXPECT_EQ(answer.status, 413) << answer.body;
    EXPECT_EQ(answer.code(), "TOO_LARGE");
  }
}

TEST_F(HttpRouterTest, GarbageBodiesAreRefusedClearly) {
  std::string garbage(5000, 'x');
  for (std::string type :
       {"application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file",
        "application/vnd.apache.parquet"}) {
    for (std::string encoding : {"identity", "gzip", "zstd"}) {
      Answer answer = Send(
          Head("POST", "/ingest/s",
               {{"content-type", type}, {"content-encoding", encoding}}),
          garbage);
      EXPECT_TRUE(answer.status == 400 || answer.status == 413)
          << type << encoding << answer.status << answer.body;
    }
  }
  EXPECT_FALSE(ingest_->finished);
}

TEST_F(HttpRouterTest, HeadersAreChecked) {
  auto code = [&](net::Headers headers, std::string target = "/ingest/s") {
    return Send(Head("POST", target, std::move(headers)), "").code();
  };
  EXPECT_EQ(code({{"content-type", "text/csv"}}), "UNSUPPORTED_MEDIA_TYPE");
  EXPECT_EQ(code({{"content-encoding", "br"}}), "UNSUPPORTED_MEDIA_TYPE");
  EXPECT_EQ(code({{"arrowport-producer", "p"}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"arrowport-sequence", "1"}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"arrowport-producer", "p"}, {"arrowport-sequence", "-1"}}),
            "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"arrowport-producer", "p"}, {"arrowport-sequence", "9999999999999999999"}}),
            "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"idempotency-key", std::string(256, 'k')}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"idempotency-key", "k"}, {"arrowport-producer", "p"},
                  {"arrowport-sequence", "1"}}),
            "INVALID_ARGUMENT");
  EXPECT_EQ(code({}, "/ingest/a%zz"), "INVALID_ARGUMENT");
  EXPECT_EQ(code({}, "/ingest/s?a=1&a=2"), "INVALID_ARGUMENT");
  EXPECT_EQ(ingest_->opened, 0);
}

TEST_F(HttpRouterTest, ProducerAndSequenceArePassedOn) {
  Answer answer = Send(Head("POST", "/ingest/a%2Fb",
                            {{"arrowport-producer", "p"}, {"arrowport-sequence", "12"}}),
                       ToIpc({MakeBatch(1)}));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(ingest_->request.producer, "p");
  EXPECT_EQ(ingest_->request.sequence, 12);
  EXPECT_EQ(ingest_->request.stream, "a/b");
}

TEST_F(HttpRouterTest, ServiceErrorsBecomeTheirStatus) {
  const std::string body = ToIpc({MakeBatch(10)});
  ingest_->open_status = Error(ErrorCode::kInvalidName, "bad name");
  EXPECT_EQ(Send(Head("POST", "/ingest/s"), body).status, 400);
  ingest_->open_status = {};
  ingest_->start_status = Error(ErrorCode::kSchemaMismatch, "column a");
  Answer mismatch = Send(Head("POST", "/ingest/s"), body);
  EXPECT_EQ(mismatch.status, 409);
  EXPECT_EQ(mismatch.Json(), (json{{"status", "error"},
                                   {"code", "SCHEMA_MISMATCH"},
                                   {"message", "column a"},
                                   {"retriable", false},
                                   {"request_id", "r1"}}));
  ingest_->start_status = {};
  ingest_->push_status = MakeError(ErrorCode::kOverloaded, "full", 7);
  Answer full = Send(Head("POST", "/ingest/s"), body);
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.Header("retry-after"), "7");
  ingest_->push_status = {};
  ingest_->finish_status = Error(ErrorCode::kNoSpace, "disk full");
  EXPECT_EQ(Send(Head("POST", "/ingest/s"), body).status, 507);
  EXPECT_THAT(metrics_->Expose(),
              HasSubstr("arrowport_schema_mismatches_total{stream=\"s\"} 1\n"));
}

TEST_F(HttpRouterTest, QuarantineAndSkipAreSaid) {
  const std::string body = ToIpc({MakeBatch(10)});
  ingest_->receipt.quarantined = true;
  Answer answer = Send(Head("POST", "/ingest/s"), body);
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.Json()["status"], "quarantined");
  EXPECT_EQ(answer.Json()["rows_processed"], 0);
  ingest_->receipt.quarantined = false;
  ingest_->receipt.warning = "10 rows skipped";
  EXPECT_EQ(Send(Head("POST", "/ingest/s"), body).Json()["warning"], "10 rows skipped");
}

TEST_F(HttpRouterTest, PausedSessionsStopReadingUntilReady) {
  ingest_->pause_each = true;
  auto call = std::make_shared<FakeCall>(Head("POST", "/ingest/s"));
  net::Route route = router_->OnRequest(call->head(), call);
  const std::string body = ToIpc({MakeBatch(10), MakeBatch(10)});
  std::vector<net::Message> messages;
  ASSERT_TRUE(route.parser
                  ->Consume({reinterpret_cast<const uint8_t*>(body.data()), body.size()},
                            &messages)
                  .ok());
  for (auto& message : messages) route.handler->OnMessage(std::move(message));
  route.handler->OnEnd();
  call->RunTasks();
  EXPECT_TRUE(call->paused);
  EXPECT_EQ(ingest_->batches.size(), 1u);
  ingest_->pause_each = false;
  route.handler->OnDone(Error(ErrorCode::kCancelled, "gone"));
  EXPECT_TRUE(ingest_->aborted);
}

TEST_F(HttpRouterTest, StreamTakesJsonHoweverItIsCut) {
  const std::string ipc = ToIpc({MakeBatch(500), MakeBatch(100, 500)});
  const std::string config =
      R"({"target_table": "a.b", "chunk_size": 5, "compression": {"algorithm": "zstd", "level": 3},
          "delta_options": {"partition_by": ["x", "y"], "type_widening": true}, "mode": null})";
  const std::map<std::string, std::string> wanted = {
      {"target_table", "a.b"},
      {"chunk_size", "5"},
      {"compression", "zstd:3"},
      {"delta_options.partition_by", "x,y"},
      {"delta_options.type_widening", "true"}};
  for (size_t piece : {1u, 7u, 64u, 5000u, 1000000u}) {
    for (const std::string& body : {StreamBody(ipc, config), StreamBody(ipc, "", config)}) {
      ingest_->batches.clear();
      Answer answer = Send(Head("POST", "/stream/s"), body, piece);
      ASSERT_EQ(answer.status, 200) << answer.body;
      EXPECT_EQ(IngestedRows(), 600);
      EXPECT_EQ(ingest_->request.overrides, wanted);
    }
  }
}

TEST_F(HttpRouterTest, StreamTakesEscapesExtraKeysAndNoEndMarker) {
  std::string ipc = ToIpc({MakeBatch(500)});
  ipc.resize(ipc.size() - 8);
  std::string data = arrow::util::base64_encode(ipc);
  std::string escaped;
  for (char c : data) escaped += c == '/' ? "\\/" : c == '+' ? "\\u002b" : std::string(1, c);
  const std::string body = R"({"x": [1, {"data": "no"}, "a\"b"], "b\u0061tch": {"more": -1.5e3, "data": ")" +
                           escaped + R"(", "z": null}, "config": null} )";
  Answer answer = Send(Head("POST", "/stream/s", {{"content-type", "application/json"}}),
                       body, 100);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(IngestedRows(), 500);
}

TEST_F(HttpRouterTest, DeclaredSchemaMustBeTheStreams) {
  const auto batch = MakeBatch(5);
  auto declared = [&](const arrow::Schema& schema) {
    auto bytes = *arrow::ipc::SerializeSchema(schema);
    return "{\"batch\": {\"arrow_schema\": \"" +
           arrow::util::base64_encode(bytes->ToString()) + "\", \"data\": \"" +
           arrow::util::base64_encode(ToIpc({batch})) + "\"}}";
  };
  EXPECT_EQ(Send(Head("POST", "/stream/s"), declared(*batch->schema())).status, 200);
  auto dictionary = arrow::schema(
      {batch->schema()->field(0),
       arrow::field("name", arrow::dictionary(arrow::int32(), arrow::utf8()))});
  EXPECT_EQ(Send(Head("POST", "/stream/s"), declared(*dictionary)).status, 200);
  auto other = arrow::schema({batch->schema()->field(0), arrow::field("name", arrow::int8())});
  Answer answer = Send(Head("POST", "/stream/s"), declared(*other));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code(), "SCHEMA_DECLARATION_MISMATCH");
}

TEST_F(HttpRouterTest, HostileJsonIsRefused) {
  const std::string data = arrow::util::base64_encode(ToIpc({MakeBatch(5)}));
  const std::string deep(100, '[');
  const std::string bodies[] = {
      "",
      "[]",
      "{",
      "{}",
      "{\"batch\": {}}",
      "{\"batch\": []}",
      "{\"batch\": {\"data\": 5}}",
      "{\"batch\": {\"data\": \"!!!!\"}}",
      "{\"batch\": {\"data\": \"QUJD\"}}",
      "{\"batch\": {\"data\": \"" + data.substr(0, data.size() / 2) + "\"}}",
      "{\"batch\": {\"data\": \"" + data,
      "{\"batch\": {\"data\": \"" + data + "\"}} x",
      "{\"batch\": {\"data\": \"" + data + "\", \"data\": \"\"}}",
      "{\"batch\": {\"data\": \"" + data + "\"}, \"batch\": {}}",
      "{\"batch\": {\"data\": \"" + data + "\"}, \"config\": 5}",
      "{\"batch\": {\"data\": \"" + data + "\"}, \"config\": {\"a\": }}",
      "{\"batch\": {\"arrow_schema\": \"zz\", \"data\": \"" + data + "\"}}",
      "{\"batch\": {\"arrow_schema\": \"QUJD\", \"data\": \"" + data + "\"}}",
      "{\"a\": " + deep + "}",
      "{\"" + std::string(5000, 'k') + "\": 1}",
      "{\"a\": " + std::string(5000, '1') + "}",
      "{\"a\": tru}",
      "{\"a\" 1}",
      "{\"a\": \"\\x\"}",
      "{\"a\": \"\\u12g4\"}",
      "{\"a\": 1,}",
      "{\"a\": [1}",
      "{\"batch\": {\"data\": \"\\ud83d\\ude00\"}}",
  };
  for (const std::string& body : bodies) {
    for (size_t piece : {1u, 1000u}) {
      ingest_->finished = false;
      Answer answer = Send(Head("POST", "/stream/s"), body, piece);
      EXPECT_EQ(answer.status, 400) << body.substr(0, 100) << answer.body;
      EXPECT_FALSE(ingest_->finished) << body.substr(0, 100);
    }
  }
  Answer config = Send(Head("POST", "/stream/s"),
                       "{\"config\": {\"a\": {\"b\": {\"c\": 1}}}, \"batch\": {}}");
  EXPECT_EQ(config.status, 422) << config.body;
}

TEST_F(HttpRouterTest, ABatchTooLargeToHoldGoesAheadUnlessConfigFollows) {
  Configure([](HttpOptions& options) { options.decode.request_memory_max = 2000; });
  const std::string ipc = ToIpc({MakeBatch(500), MakeBatch(500)});
  EXPECT_EQ(Send(Head("POST", "/stream/s"), StreamBody(ipc)).status, 200);
  Answer answer =
      Send(Head("POST", "/stream/s"), StreamBody(ipc, "", "{\"mode\": \"overwrite\"}"));
  EXPECT_EQ(answer.status, 413) << answer.body;
}

TEST_F(HttpRouterTest, QueryGivesEveryFormat) {
  query_->results = {MakeBatch(3), MakeBatch(2, 3)};
  query_->schema = query_->results[0]->schema();
  Answer csv = Send(Head("GET", "/query?sql=SELECT+1&format=csv"));
  EXPECT_EQ(csv.status, 200);
  EXPECT_EQ(csv.body, "id,name\r\n0,name 0\r\n1,name 7919\r\n2,name 5831\r\n3,name "
                      "3743\r\n4,name 1655\r\n");
  EXPECT_EQ(std::get<std::string>(query_->request.source), "SELECT 1");
  Answer all = Send(Head("POST", "/query", {{"accept", "application/json"},
                                            {"arrowport-read-after", "duckdb:3"}}),
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
    auto file = *parquet::arrow::OpenFile(
        std::make_shared<arrow::io::BufferReader>(
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
       {R"({"sql": 5})", R"({"sql": "x", "params": 5})", R"({"sql": "x", "params": [[1]]})",
        R"({"sql": )", R"({})", "", "  ; "}) {
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
  for (auto [verb, path] : std::vector<std::pair<std::string, std::string>>{
           {"GET", "/delta"}, {"POST", "/delta/t"}, {"POST", "/delta/t/vacuum"},
           {"GET", "/quarantine"}, {"DELETE", "/quarantine/x"}, {"POST", "/migrate"},
           {"POST", "/admin/backup"}, {"POST", "/admin/reload"}, {"GET", "/ui"}}) {
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

}  // namespace
}  // namespace arrowport::wire::http
