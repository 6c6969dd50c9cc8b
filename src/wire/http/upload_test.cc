#include <arrow/ipc/writer.h>
#include <arrow/util/base64.h>
#include <arrow/util/byte_size.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <zlib.h>
#include <zstd.h>

#include "wire/http/http_fixture.h"

namespace arrowport::wire::http {
namespace {

using namespace arrowport::wire::http::testing;
using UploadTest = HttpRouterTest;

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

TEST_F(UploadTest, IngestStreamAnswersAsTheContractSays) {
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
}

TEST_F(UploadTest, EveryBodyFormatAndEncodingLandsTheSameRows) {
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
        Answer answer =
            Send(Head("POST", "/ingest/s",
                      {{"content-type", types[i]}, {"content-encoding", encoding}}),
                 sent, piece);
        ASSERT_EQ(answer.status, 200) << types[i] << encoding << answer.body;
        auto table = *arrow::Table::FromRecordBatches(ingest_->batches);
        auto wanted = *arrow::Table::FromRecordBatches({batch});
        EXPECT_TRUE(table->Equals(*wanted)) << types[i] << encoding;
      }
    }
  }
}

TEST_F(UploadTest, CutBodiesAreNeverASuccess) {
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
        Answer answer =
            Send(Head("POST", "/ingest/s",
                      {{"content-type", types[i]}, {"content-encoding", encoding}}),
                 std::string_view(whole).substr(0, cut), 4096);
        EXPECT_EQ(answer.status, 400) << types[i] << encoding << cut << answer.body;
        EXPECT_FALSE(ingest_->finished) << types[i] << encoding << cut;
      }
    }
  }
}

TEST_F(UploadTest, ParquetBeyondMemoryIsSpooledAndBackPressureIsObeyed) {
  Configure([](HttpOptions& options) { options.decode.spool_memory_bytes = 1000; });
  const auto batch = MakeBatch(20000);
  Answer answer = Send(
      Head("POST", "/ingest/s", {{"content-type", "application/vnd.apache.parquet"}}),
      ToParquet(batch, 5000), 4000);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(IngestedRows(), 20000);
  EXPECT_EQ(ingest_->batches.size(), 4u);
}

TEST_F(UploadTest, SpoolsWithinItsLimitOnly) {
  Configure([](HttpOptions& options) { options.decode.spool_bytes_max = 1000; });
  Answer answer = Send(
      Head("POST", "/ingest/s", {{"content-type", "application/vnd.apache.parquet"}}),
      ToParquet(MakeBatch(20000), 5000), 400);
  EXPECT_EQ(answer.status, 413) << answer.body;
}

TEST_F(UploadTest, DecodedRowsOfEveryFormatAreChargedToTheBudgetWhileTheyLive) {
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  Configure([&](HttpOptions& options) { options.decode.budget = budget; });
  const auto batch = MakeBatch(20000);
  const int64_t row_bytes = *arrow::util::ReferencedBufferSize(*batch);
  const std::pair<std::string, std::string> bodies[] = {
      {"application/vnd.apache.arrow.file", ToIpc({batch}, IpcForm::kFile)},
      {"application/vnd.apache.parquet", ToParquet(batch, 5000)}};
  for (const auto& [type, body] : bodies) {
    Answer answer =
        Send(Head("POST", "/ingest/s", {{"content-type", type}}), body, 100000);
    ASSERT_EQ(answer.status, 200) << type << answer.body;
    EXPECT_GE(budget->used_bytes(), row_bytes) << type;
    ingest_->batches.clear();
    EXPECT_EQ(budget->used_bytes(), 0) << type;
  }
}

TEST_F(UploadTest, DecompressionBombsAreRefused) {
  Configure([](HttpOptions& options) { options.decode.decompress_ratio_max = 50; });
  const std::string zeros(64 << 20, '\0');
  const std::string types[] = {"application/vnd.apache.parquet"};
  for (const std::string encoding : {"gzip", "zstd"}) {
    Answer answer =
        Send(Head("POST", "/ingest/s",
                  {{"content-type", types[0]}, {"content-encoding", encoding}}),
             encoding == "gzip" ? Gzip(zeros) : Zstd(zeros));
    EXPECT_EQ(answer.status, 413) << answer.body;
    EXPECT_EQ(answer.code(), "TOO_LARGE");
  }
}

TEST_F(UploadTest, GarbageBodiesAreRefusedClearly) {
  std::string garbage(5000, 'x');
  for (std::string type :
       {"application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file",
        "application/vnd.apache.parquet"}) {
    for (std::string encoding : {"identity", "gzip", "zstd"}) {
      Answer answer = Send(Head("POST", "/ingest/s",
                                {{"content-type", type}, {"content-encoding", encoding}}),
                           garbage);
      EXPECT_TRUE(answer.status == 400 || answer.status == 413)
          << type << encoding << answer.status << answer.body;
    }
  }
  EXPECT_FALSE(ingest_->finished);
}

TEST_F(UploadTest, HeadersAreChecked) {
  auto code = [&](net::Headers headers, std::string target = "/ingest/s") {
    return Send(Head("POST", target, std::move(headers)), "").code();
  };
  EXPECT_EQ(code({{"content-type", "text/csv"}}), "UNSUPPORTED_MEDIA_TYPE");
  EXPECT_EQ(code({{"content-encoding", "br"}}), "UNSUPPORTED_MEDIA_TYPE");
  EXPECT_EQ(code({{"arrowport-producer", "p"}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"arrowport-sequence", "1"}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"arrowport-producer", "p"}, {"arrowport-sequence", "-1"}}),
            "INVALID_ARGUMENT");
  EXPECT_EQ(
      code({{"arrowport-producer", "p"}, {"arrowport-sequence", "9999999999999999999"}}),
      "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"idempotency-key", std::string(256, 'k')}}), "INVALID_ARGUMENT");
  EXPECT_EQ(code({{"idempotency-key", "k"},
                  {"arrowport-producer", "p"},
                  {"arrowport-sequence", "1"}}),
            "INVALID_ARGUMENT");
  EXPECT_EQ(code({}, "/ingest/a%zz"), "INVALID_ARGUMENT");
  EXPECT_EQ(code({}, "/ingest/s?a=1&a=2"), "INVALID_ARGUMENT");
  EXPECT_EQ(ingest_->opened, 0);
}

TEST_F(UploadTest, ProducerAndSequenceArePassedOn) {
  Answer answer = Send(Head("POST", "/ingest/a%2Fb",
                            {{"arrowport-producer", "p"}, {"arrowport-sequence", "12"}}),
                       ToIpc({MakeBatch(1)}));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(ingest_->request.producer, "p");
  EXPECT_EQ(ingest_->request.sequence, 12);
  EXPECT_EQ(ingest_->request.stream, "a/b");
}

TEST_F(UploadTest, ServiceErrorsBecomeTheirStatus) {
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
}

TEST_F(UploadTest, QuarantineAndSkipAreSaid) {
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

TEST_F(UploadTest, PausedSessionsStopReadingUntilReady) {
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

TEST_F(UploadTest, StreamTakesJsonHoweverItIsCut) {
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
    for (const std::string& body :
         {StreamBody(ipc, config), StreamBody(ipc, "", config)}) {
      ingest_->batches.clear();
      Answer answer = Send(Head("POST", "/stream/s"), body, piece);
      ASSERT_EQ(answer.status, 200) << answer.body;
      EXPECT_EQ(IngestedRows(), 600);
      EXPECT_EQ(ingest_->request.overrides, wanted);
    }
  }
}

TEST_F(UploadTest, StreamTakesEscapesExtraKeysAndNoEndMarker) {
  std::string ipc = ToIpc({MakeBatch(500)});
  ipc.resize(ipc.size() - 8);
  std::string data = arrow::util::base64_encode(ipc);
  std::string escaped;
  for (char c : data)
    escaped += c == '/' ? "\\/" : c == '+' ? "\\u002b" : std::string(1, c);
  const std::string body =
      R"({"x": [1, {"data": "no"}, "a\"b"], "b\u0061tch": {"more": -1.5e3, "data": ")" +
      escaped + R"(", "z": null}, "config": null} )";
  Answer answer =
      Send(Head("POST", "/stream/s", {{"content-type", "application/json"}}), body, 100);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(IngestedRows(), 500);
}

TEST_F(UploadTest, DeltaTakesABatchBareOrNestedOrRaw) {
  const std::string ipc = ToIpc({MakeBatch(10)});
  const std::string data = "\"data\": \"" + arrow::util::base64_encode(ipc) + "\"";
  const std::string options = R"("delta_options": {"partition_by": ["a", "b"]})";
  const std::map<std::string, std::string> plain = {{"storage_backend", "delta"},
                                                    {"target_table", "t"}};
  auto with = [&](std::map<std::string, std::string> more) {
    more.insert(plain.begin(), plain.end());
    return more;
  };
  const std::vector<std::pair<std::string, std::map<std::string, std::string>>> cases = {
      {"{" + data + "}", plain},
      {"{\"batch\": {" + data + "}}", plain},
      {"{" + data + ", " + options + "}", with({{"delta_options.partition_by", "a,b"}})},
      {"{" + options + R"(, "config": {"schema_mode": "strict"}, "batch": {)" + data + "}}",
       with({{"delta_options.partition_by", "a,b"}, {"schema_mode", "strict"}})},
      {R"({"config": {"backend": "delta"}, )" + data + "}", plain},
  };
  for (const auto& [body, overrides] : cases) {
    ingest_->batches.clear();
    Answer answer = Send(Head("POST", "/delta/t"), body, 100);
    ASSERT_EQ(answer.status, 200) << body << answer.body;
    EXPECT_EQ(answer.Json()["rows_processed"], 10);
    EXPECT_EQ(ingest_->request.overrides, overrides) << body;
  }
  Answer raw = Send(Head("POST", "/delta/t?schema_mode=merge",
                         {{"content-type", "application/vnd.apache.arrow.stream"}}),
                    ipc, 100);
  EXPECT_EQ(raw.status, 200) << raw.body;
  EXPECT_EQ(ingest_->request.overrides, with({{"schema_mode", "merge"}}));
}

TEST_F(UploadTest, DeltaRefusesWhatContradictsTheRoute) {
  const std::string data =
      "\"data\": \"" + arrow::util::base64_encode(ToIpc({MakeBatch(1)})) + "\"";
  for (const std::string config : {R"({"backend": "duckdb"})", R"({"table": "u"})"}) {
    Answer answer = Send(Head("POST", "/delta/t"), "{\"config\": " + config + ", " + data + "}");
    EXPECT_EQ(answer.status, 422) << answer.body;
  }
  EXPECT_EQ(Send(Head("POST", "/delta/t?backend=duckdb"), "{" + data + "}").status, 422);
  EXPECT_EQ(Send(Head("POST", "/delta/t"), "{" + data + ", \"delta_options\": 5}").status, 400);
  EXPECT_EQ(Send(Head("POST", "/delta/t"), "{" + data + ", \"batch\": {" + data + "}}").status,
            400);
  EXPECT_EQ(Send(Head("POST", "/delta/t", {{"content-type", "text/html"}}), "{}").status, 415);
  // Elsewhere a bare batch is none.
  EXPECT_EQ(Send(Head("POST", "/stream/t"), "{" + data + "}").status, 400);
}

TEST_F(UploadTest, DeclaredSchemaMustBeTheStreams) {
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
  auto other =
      arrow::schema({batch->schema()->field(0), arrow::field("name", arrow::int8())});
  Answer answer = Send(Head("POST", "/stream/s"), declared(*other));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code(), "SCHEMA_DECLARATION_MISMATCH");
}

TEST_F(UploadTest, HostileJsonIsRefused) {
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

TEST_F(UploadTest, ABatchTooLargeToHoldGoesAheadUnlessConfigFollows) {
  Configure([](HttpOptions& options) { options.decode.request_memory_max = 2000; });
  const std::string ipc = ToIpc({MakeBatch(500), MakeBatch(500)});
  EXPECT_EQ(Send(Head("POST", "/stream/s"), StreamBody(ipc)).status, 200);
  Answer answer =
      Send(Head("POST", "/stream/s"), StreamBody(ipc, "", "{\"mode\": \"overwrite\"}"));
  EXPECT_EQ(answer.status, 413) << answer.body;
}

}  // namespace
}  // namespace arrowport::wire::http
