#include "emulator/emulator.h"

#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/ids.h"

namespace arrowport::emulator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace flight = arrow::flight;
using std::chrono::milliseconds;

constexpr char kTable[] = "c.s.t";
constexpr char kTables[] = R"({"c.s.t": {"columns": [
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "position": 0}]}})";
constexpr milliseconds kPatience{10000};

/// A DoPut by Arrow's own client, on the in-process emulator.
struct Put {
  explicit Put(Emulator& emulator) {
    client = *flight::FlightClient::Connect(
        *flight::Location::ForGrpcTcp("127.0.0.1", emulator.grpc_port()));
    flight::FlightCallOptions options;
    options.timeout = flight::TimeoutDuration(10);
    options.headers = {{"authorization", "Bearer " + emulator.IssueToken(kTable)},
                       {"x-databricks-zerobus-table-name", kTable}};
    auto streams = client->DoPut(options, flight::FlightDescriptor::Command(""), schema);
    if (!streams.ok()) return;
    writer = std::move(streams->writer);
    reader = std::move(streams->reader);
  }
  std::string Read() {
    std::shared_ptr<arrow::Buffer> metadata;
    if (!reader || !reader->ReadMetadata(&metadata).ok() || !metadata) return "";
    return metadata->ToString();
  }
  arrow::Status Send(int64_t offset, const std::vector<int64_t>& ids) {
    arrow::Int64Builder builder;
    ARROW_RETURN_NOT_OK(builder.AppendValues(ids));
    ARROW_ASSIGN_OR_RAISE(auto array, builder.Finish());
    const auto batch = arrow::RecordBatch::Make(schema, array->length(), {array});
    return writer->WriteWithMetadata(
        *batch,
        arrow::Buffer::FromString("{\"offset_id\": " + std::to_string(offset) + "}"));
  }

  std::shared_ptr<arrow::Schema> schema =
      arrow::schema({arrow::field("id", arrow::int64())});
  std::unique_ptr<flight::FlightClient> client;
  std::unique_ptr<flight::FlightStreamWriter> writer;
  std::unique_ptr<flight::FlightMetadataReader> reader;
};

std::unique_ptr<Emulator> StartWith(Options options) {
  options.tables_json = kTables;
  auto emulator = Emulator::Start(options);
  EXPECT_TRUE(emulator.ok()) << emulator.status();
  return emulator.ok() ? std::move(*emulator) : nullptr;
}

TEST(EmulatorTest, RunsInTheProcessOfATest) {
  const auto emulator = StartWith({});
  Put put(*emulator);
  EXPECT_THAT(put.Read(), HasSubstr("\"ack_up_to_offset\":-1"));
  ASSERT_TRUE(put.Send(0, {5, 6}).ok());
  EXPECT_THAT(put.Read(), HasSubstr("\"ack_up_to_records\":2"));
  const auto logged = emulator->ReadLog();
  ASSERT_TRUE(logged.ok() && logged->size() == 1u);
  EXPECT_EQ((*logged)[0].table, kTable);
  EXPECT_EQ((*logged)[0].mode, "flight");
  EXPECT_THAT((*logged)[0].ids, ElementsAre("5", "6"));
  EXPECT_EQ(emulator->Read(Counter::kOpenNow, kTable), 1);
  ASSERT_TRUE(put.writer->DoneWriting().ok());
  EXPECT_EQ(put.Read(), "");
  EXPECT_TRUE(put.writer->Close().ok());
  EXPECT_TRUE(emulator->WaitUntil(
      [](const CounterValues& values) {
        return values[static_cast<size_t>(Counter::kOpenNow)] == 0;
      },
      kPatience, kTable));
}

TEST(EmulatorTest, WaitingEndsWithItsPatience) {
  const auto emulator = StartWith({});
  const auto never = [](const CounterValues&) { return false; };
  EXPECT_FALSE(emulator->WaitUntil(never, milliseconds(20)));
}

TEST(EmulatorTest, StopCutsWhatIsOpen) {
  Options options;
  options.script_json =
      R"({"faults": [{"point": "before_log", "action": {"type": "freeze"}}]})";
  const auto emulator = StartWith(options);
  Put put(*emulator);
  EXPECT_NE(put.Read(), "");
  ASSERT_TRUE(put.Send(0, {1}).ok());
  EXPECT_TRUE(emulator->WaitUntil(
      [](const CounterValues& values) {
        return values[static_cast<size_t>(Counter::kFaults)] == 1;
      },
      kPatience));
  emulator->Stop();
  EXPECT_EQ(put.Read(), "");
  EXPECT_FALSE(put.writer->Close().ok());
  EXPECT_EQ(emulator->Read(Counter::kOpenNow), 0);
  emulator->Stop();
}

TEST(EmulatorTest, AnExistingLogIsContinued) {
  const auto folder = std::filesystem::temp_directory_path() / NewRandomId();
  Options options;
  options.log_path = folder / "below" / "rows.log";
  for (int run = 1; run <= 2; ++run) {
    const auto emulator = StartWith(options);
    Put put(*emulator);
    put.Read();
    ASSERT_TRUE(put.Send(0, {run}).ok());
    EXPECT_NE(put.Read(), "");
    EXPECT_EQ(emulator->ReadLog()->size(), static_cast<size_t>(run));
  }
  std::ofstream(options.log_path, std::ios::app) << "{\"table\": 1}\n";
  const auto emulator = StartWith(options);
  EXPECT_EQ(CodeOf(emulator->ReadLog().status()), ErrorCode::kStorageCorrupt);
  EXPECT_TRUE(emulator->ClearLog().ok());
  EXPECT_TRUE(emulator->ReadLog()->empty());
  std::filesystem::remove_all(folder);
}

TEST(EmulatorTest, BadOptionsAreRefused) {
  const auto refused = [](auto change) {
    Options options;
    change(&options);
    const auto started = Emulator::Start(options);
    return started.ok() ? "started" : started.status().message();
  };
  EXPECT_THAT(refused([](Options* o) { o->time_scale = 0; }), HasSubstr("time scale"));
  EXPECT_THAT(refused([](Options* o) { o->request_bytes_max = 0; }),
              HasSubstr("request limit"));
  EXPECT_THAT(refused([](Options* o) { o->client_id = "a:b"; }), HasSubstr("client id"));
  EXPECT_THAT(refused([](Options* o) { o->tables_json = "[]"; }),
              HasSubstr("tables file"));
  EXPECT_THAT(refused([](Options* o) { o->tables_json = R"({"a.b.c": {}})"; }),
              HasSubstr("a.b.c.columns"));
  EXPECT_THAT(refused([](Options* o) { o->script_json = "{"; }), HasSubstr("the script"));
  EXPECT_THAT(refused([](Options* o) { o->log_path = "/dev/null/no"; }),
              HasSubstr("the log"));
}

}  // namespace
}  // namespace arrowport::emulator
