#include "arrowport/zerobus/telemetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "arrowport/zerobus/writer.h"
#include "base/clock.h"
#include "zerobus/failure.h"
#include "zerobus/testing_collector.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeCollector;
using testing::FakeService;
using ::testing::HasSubstr;
using testing::Ids;
using testing::MakeWriter;
using testing::OptionsFor;
using testing::Received;
using testing::ServerCall;
using Action = FakeService::Action;
using Connection = FakeService::Connection;

TelemetryOptions ExportTo(const FakeCollector& collector) {
  TelemetryOptions options;
  options.endpoint = collector.endpoint();
  return options;
}

std::shared_ptr<Telemetry> MakeTelemetry(const TelemetryOptions& options) {
  return Telemetry::Make(options).ValueOrDie();
}

Options Observed(Options options, const std::shared_ptr<Telemetry>& telemetry) {
  options.observers.push_back(telemetry->ObserverOf(options));
  return options;
}

std::map<std::string, std::string> Texts(
    const google::protobuf::RepeatedPtrField<otlp::KeyValue>& attributes) {
  std::map<std::string, std::string> texts;
  for (const auto& attribute : attributes) {
    const otlp::AnyValue& value = attribute.value();
    texts[attribute.key()] =
        value.has_int_value() ? std::to_string(value.int_value()) : value.string_value();
  }
  return texts;
}

double SecondsSince(Clock::Steady began) {
  return std::chrono::duration<double>(SystemClock().SteadyNow() - began).count();
}

TEST(Telemetry, TellsWhatAWriterDid) {
  FakeCollector collector;
  FakeService service;
  TelemetryOptions exported = ExportTo(collector);
  exported.headers = {{"X-Api-Key", "k1"}};
  exported.service_name = "loader";
  exported.resource_attributes = {{"deployment.environment.name", "test"}};
  auto telemetry = MakeTelemetry(exported);
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  for (int64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(writer->SendBatch(Ids(i * 10, 10)).success());
  }
  ASSERT_TRUE(writer->Shutdown().ok());

  const auto metrics = collector.requests("/v1/metrics");
  ASSERT_FALSE(metrics.empty());
  EXPECT_THAT(metrics.back().head, HasSubstr("content-type: application/x-protobuf"));
  EXPECT_THAT(metrics.back().head, HasSubstr("x-api-key: k1"));
  const auto sums = collector.sums();
  const std::map<std::string, int64_t> expected = {
      {"arrowport.zerobus.sends{durable}", 3},
      {"arrowport.zerobus.rows.durable", 30},
      {"arrowport.zerobus.arrow.size", 240},
      {"arrowport.zerobus.requests.sent{false}", 3},
      {"arrowport.zerobus.requests.acked", 3},
      {"arrowport.zerobus.connections", 1},
      {"arrowport.zerobus.in_flight.requests", 0},
      {"arrowport.zerobus.in_flight.size", 0},
      {"arrowport.zerobus.send.duration{durable}", 3},
      {"arrowport.zerobus.ack.duration", 3},
      {"arrowport.zerobus.encode.duration", 3},
      {"arrowport.zerobus.connect.duration", 1}};
  for (const auto& [name, value] : expected) {
    ASSERT_TRUE(sums.contains(name)) << name;
    EXPECT_EQ(sums.at(name), value) << name;
  }
  EXPECT_GT(sums.at("arrowport.zerobus.encoded.size"), 0);
  const auto message = collector.newest_metrics();
  const auto resource = Texts(message.resource_metrics(0).resource().attributes());
  EXPECT_EQ(resource.at("service.name"), "loader");
  EXPECT_EQ(resource.at("deployment.environment.name"), "test");

  const auto spans = collector.spans();
  ASSERT_EQ(spans.size(), 4U);
  std::set<std::string> ids;
  for (const otlp::Span& span : spans) {
    EXPECT_EQ(span.trace_id().size(), 16U);
    EXPECT_EQ(span.span_id().size(), 8U);
    EXPECT_LE(span.start_time_unix_nano(), span.end_time_unix_nano());
    EXPECT_EQ(span.status().code(), otlp::Status::STATUS_CODE_UNSET);
    ids.insert(span.trace_id());
  }
  EXPECT_EQ(ids.size(), 4U);
  EXPECT_EQ(spans[0].name(), "connect main.test.ids");
  EXPECT_EQ(spans[1].name(), "send main.test.ids");
  const auto attributes = Texts(spans[1].attributes());
  EXPECT_EQ(attributes.at("messaging.destination.name"), "main.test.ids");
  EXPECT_EQ(attributes.at("messaging.batch.message_count"), "10");
  EXPECT_EQ(attributes.at("arrowport.zerobus.mode"), "proto");
  EXPECT_EQ(attributes.at("server.address"), "127.0.0.1");
  EXPECT_TRUE(telemetry->Close().ok());
  EXPECT_EQ(telemetry->statistics().spans_exported, 4);
}

TEST(Telemetry, TellsFailuresByKind) {
  FakeCollector collector;
  FakeService service;
  service.set_on_open([](ServerCall& call, Connection& connection) {
    if (connection.number > 0) return false;
    call.Finish(14, "try later");
    return true;
  });
  service.set_on_request([](ServerCall& call, Connection& connection, const Received& r) {
    if (connection.number == 1 && r.ids.front() == 10) {
      call.Finish(14, "gone");
      return Action::kLog;
    }
    if (r.ids.front() == 20) {
      call.Finish(3, "bad row: \xff\xfe Error Code: 8001");
      return Action::kDrop;
    }
    return Action::kLogAndAck;
  });
  auto telemetry = MakeTelemetry(ExportTo(collector));
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  ASSERT_TRUE(writer->SendBatch(Ids(10, 10)).success());
  const auto refused = writer->SendBatch(Ids(20, 10));
  ASSERT_FALSE(refused.success());
  const std::string kind(ErrorKindName(KindOf(refused.error())));
  static_cast<void>(writer->Shutdown());

  const auto sums = collector.sums();
  const auto at = [&](const std::string& name) {
    const auto found = sums.find("arrowport.zerobus." + name);
    return found == sums.end() ? -1 : found->second;
  };
  EXPECT_EQ(at("sends{durable}"), 2);
  EXPECT_EQ(at("sends{failed}"), 1);
  EXPECT_EQ(at("rows.durable"), 20);
  EXPECT_EQ(at("rows.failed{" + kind + "}"), 10);
  EXPECT_EQ(at("requests.failed{" + kind + "}"), 1);
  EXPECT_EQ(at("requests.sent{true}"), 1);
  EXPECT_EQ(at("connections{Connection}"), 1);
  EXPECT_EQ(at("connections"), 2);
  EXPECT_GE(at("reconnects{failure}"), 2);
  EXPECT_EQ(at("in_flight.requests"), 0);
  bool told = false;
  for (const otlp::Span& span : collector.spans()) {
    const auto attributes = Texts(span.attributes());
    if (attributes.contains("arrowport.zerobus.service_code")) {
      told = true;
      EXPECT_EQ(span.status().code(), otlp::Status::STATUS_CODE_ERROR);
      EXPECT_EQ(attributes.at("error.type"), kind);
      EXPECT_EQ(attributes.at("arrowport.zerobus.service_code"), "8001");
      EXPECT_EQ(attributes.at("rpc.grpc.status_code"), "3");
      EXPECT_THAT(span.status().message(), HasSubstr("bad row: ??"));
    }
  }
  EXPECT_TRUE(told);
}

TEST(Telemetry, AnOpenThatHangsIsAFailedConnection) {
  FakeCollector collector;
  FakeService service;
  service.set_on_open(
      [](ServerCall&, Connection& connection) { return connection.number == 0; });
  auto telemetry = MakeTelemetry(ExportTo(collector));
  Options options = OptionsFor(service);
  options.stream.recovery_timeout = milliseconds(200);
  auto writer = MakeWriter(Observed(options, telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  ASSERT_TRUE(writer->Shutdown().ok());
  const auto spans = collector.spans();
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans[0].name(), "connect main.test.ids");
  EXPECT_EQ(spans[0].status().code(), otlp::Status::STATUS_CODE_ERROR);
  EXPECT_GE(spans[0].end_time_unix_nano() - spans[0].start_time_unix_nano(),
            150'000'000U);
  EXPECT_EQ(spans[1].status().code(), otlp::Status::STATUS_CODE_UNSET);
}

TEST(Telemetry, RowsThatFailConversionAreCounted) {
  FakeCollector collector;
  Options options("", "main.test.ids");
  options.writer_disabled = true;
  auto telemetry = MakeTelemetry(ExportTo(collector));
  auto writer = MakeWriter(Observed(options, telemetry));
  arrow::StringBuilder texts;
  ASSERT_TRUE(texts.AppendValues({"good", "\xff", "good"}).ok());
  auto batch =
      arrow::RecordBatch::Make(arrow::schema({arrow::field("text", arrow::utf8())}), 3,
                               {texts.Finish().ValueOrDie()});
  EXPECT_TRUE(writer->SendBatch(batch).IsPartialSuccess());
  ASSERT_TRUE(writer->Shutdown().ok());
  const auto sums = collector.sums();
  EXPECT_EQ(sums.at("arrowport.zerobus.rows.durable"), 2);
  EXPECT_EQ(sums.at("arrowport.zerobus.rows.failed{Conversion}"), 1);
  EXPECT_EQ(sums.at("arrowport.zerobus.sends{partial}"), 1);
}

TEST(Telemetry, WritersOfOneTableAreAddedUp) {
  FakeCollector collector;
  FakeService service;
  auto telemetry = MakeTelemetry(ExportTo(collector));
  for (int64_t i = 0; i < 2; ++i) {
    auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
    ASSERT_TRUE(writer->SendBatch(Ids(i * 10, 10)).success());
    ASSERT_TRUE(writer->Shutdown().ok());
  }
  EXPECT_EQ(collector.sums().at("arrowport.zerobus.rows.durable"), 20);
}

TEST(Telemetry, ExportsByItself) {
  FakeCollector collector;
  FakeService service;
  TelemetryOptions exported = ExportTo(collector);
  exported.interval = milliseconds(20);
  auto telemetry = MakeTelemetry(exported);
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  EXPECT_TRUE(collector.WaitFor([&] {
    return collector.sums()["arrowport.zerobus.rows.durable"] == 10 &&
           collector.spans().size() == 2;
  }));
}

// --- A collector that is down, slow or refuses harms nobody ---

TEST(Telemetry, NobodyListens) {
  std::string endpoint;
  {
    FakeCollector gone;
    endpoint = gone.endpoint();
  }
  FakeService service;
  std::mutex mutex;
  std::vector<std::string> told;
  TelemetryOptions exported;
  exported.endpoint = endpoint;
  exported.queued_spans_max = 8;
  exported.log = [&](TelemetryLevel level, std::string_view text) {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(level, TelemetryLevel::kWarning);
    told.emplace_back(text);
  };
  auto telemetry = MakeTelemetry(exported);
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  for (int64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(writer->SendBatch(Ids(i, 1)).success());
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.logged_ids().size(), 30U);
  EXPECT_FALSE(telemetry->Close().ok());
  const TelemetryStatistics statistics = telemetry->statistics();
  EXPECT_EQ(statistics.exports, 0);
  EXPECT_GE(statistics.failed_exports, 2);
  EXPECT_GE(statistics.spans_dropped, 31 - 2 * 8);
  // Once, however often it failed.
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told.front(), HasSubstr("cannot be exported"));
}

TEST(Telemetry, ACollectorThatNeverAnswersHoldsUpNothing) {
  FakeCollector collector;
  collector.set_status(0);
  FakeService service;
  TelemetryOptions exported = ExportTo(collector);
  exported.interval = milliseconds(1);
  exported.flush_timeout = milliseconds(200);
  exported.timeout = seconds(60);
  auto telemetry = MakeTelemetry(exported);
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 1)).success());
  ASSERT_TRUE(collector.WaitFor([&] { return !collector.requests().empty(); }));
  for (int64_t i = 1; i < 20; ++i) {
    ASSERT_TRUE(writer->SendBatch(Ids(i, 1)).success());
  }
  const auto began = SystemClock().SteadyNow();
  EXPECT_TRUE(writer->Shutdown().ok());
  const arrow::Status closed = telemetry->Close();
  ASSERT_FALSE(closed.ok());
  EXPECT_EQ(KindOf(closed), ErrorKind::kClosed);
  EXPECT_LT(SecondsSince(began), 10);
}

TEST(Telemetry, SpansWaitWhileTheCollectorIsUnavailable) {
  FakeCollector collector;
  collector.set_status(503, "Retry-After: 1\r\n");
  FakeService service;
  auto telemetry = MakeTelemetry(ExportTo(collector));
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  EXPECT_FALSE(telemetry->Flush().ok());
  EXPECT_EQ(telemetry->statistics().spans_exported, 0);
  EXPECT_EQ(telemetry->statistics().spans_dropped, 0);
  collector.set_status(200);
  EXPECT_TRUE(telemetry->Flush().ok());
  EXPECT_EQ(telemetry->statistics().spans_exported, 2);
}

TEST(Telemetry, WhatIsRefusedIsDropped) {
  FakeCollector collector;
  collector.set_status(400);
  FakeService service;
  auto telemetry = MakeTelemetry(ExportTo(collector));
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  const arrow::Status flushed = telemetry->Flush();
  ASSERT_FALSE(flushed.ok());
  EXPECT_THAT(flushed.message(), HasSubstr("status 400"));
  EXPECT_EQ(telemetry->statistics().spans_dropped, 2);
  EXPECT_TRUE(writer->Shutdown().ok());
}

// --- Files, options ---

TEST(Telemetry, KeepsFilesWithoutACollector) {
  std::string name = (fs::temp_directory_path() / "zerobus_telemetry_XXXXXX").string();
  const fs::path folder = mkdtemp(name.data());
  TelemetryOptions exported;
  exported.endpoint.clear();
  exported.output_folder = folder.string();
  FakeService service;
  auto telemetry = MakeTelemetry(exported);
  auto other = MakeTelemetry(exported);  // has files of its own
  auto writer = MakeWriter(Observed(OptionsFor(service), telemetry));
  ASSERT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  ASSERT_TRUE(writer->Shutdown().ok());
  ASSERT_TRUE(telemetry->Close().ok());
  std::ifstream traces(folder / "otlp/traces.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(traces, line));
  const auto spans =
      nlohmann::json::parse(line)["resourceSpans"][0]["scopeSpans"][0]["spans"];
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[1]["name"], "send main.test.ids");
  EXPECT_EQ(spans[1]["kind"], 3);
  EXPECT_EQ(spans[1]["traceId"].get<std::string>().size(), 32U);
  EXPECT_EQ(spans[1]["traceId"].get<std::string>().find_first_not_of("0123456789abcdef"),
            std::string::npos);
  EXPECT_EQ(spans[1]["spanId"].get<std::string>().size(), 16U);
  std::ifstream metrics(folder / "otlp/metrics.jsonl");
  ASSERT_TRUE(std::getline(metrics, line));
  EXPECT_THAT(line, HasSubstr("arrowport.zerobus.rows.durable"));
  EXPECT_TRUE(other->Close().ok());
  fs::remove_all(folder);
}

TEST(Telemetry, RefusesOptionsThatCannotWork) {
  const auto refused = [](auto change) {
    TelemetryOptions options;
    change(&options);
    const auto made = Telemetry::Make(options);
    EXPECT_FALSE(made.ok());
    return made.ok() ? "" : made.status().message();
  };
  EXPECT_THAT(refused([](auto* o) { o->endpoint.clear(); }), HasSubstr("endpoint"));
  EXPECT_THAT(refused([](auto* o) { o->endpoint = "localhost:4318"; }),
              HasSubstr("http://"));
  EXPECT_THAT(refused([](auto* o) { o->endpoint = "http://u:secret@host"; }),
              ::testing::AllOf(HasSubstr("header"), ::testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(refused([](auto* o) { o->endpoint = "http://host?x=1"; }),
              HasSubstr("query"));
  EXPECT_THAT(refused([](auto* o) { o->headers = {{"a", "b\r\nc: d"}}; }),
              HasSubstr("header"));
  EXPECT_THAT(refused([](auto* o) { o->interval = milliseconds(0); }),
              HasSubstr("times"));
  EXPECT_THAT(refused([](auto* o) { o->queued_spans_max = 0; }), HasSubstr("queue"));
  EXPECT_THAT(refused([](auto* o) { o->output_folder = "/proc/no/folder"; }),
              HasSubstr("folder"));
}

}  // namespace
}  // namespace arrowport::zerobus
