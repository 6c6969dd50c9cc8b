#include "cli/zerobus_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::cli {
namespace {

using ::testing::HasSubstr;

Context ContextWith(std::map<std::string, std::string> more) {
  Context context;
  context.environment = {{"ZEROBUS_ENDPOINT", "https://1.zerobus.test"},
                         {"ZEROBUS_TABLE_NAME", "main.web.events"},
                         {"UNITY_CATALOG_URL", "https://workspace.test"},
                         {"ZEROBUS_CLIENT_ID", "id"},
                         {"ZEROBUS_CLIENT_SECRET", "hush"}};
  for (auto& [name, value] : more) context.environment[name] = value;
  return context;
}

TEST(ZerobusSettings, TheEnvironmentIsEnough) {
  const auto settings = LoadZerobusSettings({}, ContextWith({})).ValueOrDie();
  EXPECT_EQ(settings.options.endpoint, "https://1.zerobus.test");
  EXPECT_EQ(settings.options.table, "main.web.events");
  EXPECT_EQ(settings.options.client_id, "id");
  EXPECT_EQ(settings.options.client_secret, "hush");
  EXPECT_EQ(settings.options.mode, zerobus::Mode::kProto);
  EXPECT_FALSE(settings.debug);
}

TEST(ZerobusSettings, SetOverFlagOverEnvironment) {
  ZerobusFlags flags;
  flags.settings = {{"table_name", "main.web.flag"}, {"mode", "json"}};
  flags.sets = {"zerobus.mode=flight",
                "zerobus.stream.max_inflight_bytes=3MiB",
                "zerobus.stream.recovery=false",
                "zerobus.stream.recovery_timeout_ms=77",
                "zerobus.stream.token_refresh_buffer_s=5",
                "zerobus.stream.ipc_compression=lz4",
                "zerobus.retry.max_attempts=9"};
  const auto loaded = LoadZerobusSettings(
      flags, ContextWith({{"RETRY_MAX_ATTEMPTS", "3"}, {"RETRY_MAX_DELAY_MS", "400"}}));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const zerobus::Options& options = loaded->options;
  EXPECT_EQ(options.table, "main.web.flag");
  EXPECT_EQ(options.mode, zerobus::Mode::kFlight);
  EXPECT_EQ(options.stream.max_inflight_bytes, 3 << 20);
  EXPECT_FALSE(options.stream.recovery);
  EXPECT_EQ(options.stream.recovery_timeout, std::chrono::milliseconds(77));
  EXPECT_EQ(options.stream.token_refresh_buffer, std::chrono::seconds(5));
  EXPECT_EQ(options.stream.ipc_compression, zerobus::IpcCompression::kLz4Frame);
  EXPECT_EQ(options.stream.connection_timeout, std::chrono::milliseconds(30'000));
  EXPECT_EQ(options.retry.attempts_max, 9);
  EXPECT_EQ(options.retry.delay_max, std::chrono::milliseconds(400));
}

TEST(ZerobusSettings, Telemetry) {
  EXPECT_FALSE(LoadZerobusSettings({}, ContextWith({})).ValueOrDie().telemetry);
  const auto plain = LoadZerobusSettings({}, ContextWith({{"OTLP_ENABLED", "true"}}));
  EXPECT_EQ(plain.ValueOrDie().telemetry->endpoint, "http://localhost:4318");
  const auto files = LoadZerobusSettings(
      {}, ContextWith({{"OTLP_ENABLED", "true"}, {"OTLP_OUTPUT_DIR", "/o"}}));
  EXPECT_EQ(files.ValueOrDie().telemetry->endpoint, "");
  const auto loaded = LoadZerobusSettings(
      {}, ContextWith({{"OTLP_ENABLED", "true"},
                       {"OTLP_ENDPOINT", "https://collector"},
                       {"OTLP_WRITE_INTERVAL_SECS", "7"},
                       {"OTLP_TIMEOUT_SECS", "3"},
                       {"OTLP_SERVICE_NAME", "loader"},
                       {"OTLP_LOG_LEVEL", "warn"},
                       {"OTLP_HEADERS", "authorization=Bearer%20k,x-org=1"},
                       {"OTLP_RESOURCE_ATTRIBUTES", "team=sales"}}));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const zerobus::TelemetryOptions& telemetry = *loaded->telemetry;
  EXPECT_EQ(telemetry.endpoint, "https://collector");
  EXPECT_EQ(telemetry.interval, std::chrono::seconds(7));
  EXPECT_EQ(telemetry.timeout, std::chrono::seconds(3));
  EXPECT_EQ(telemetry.service_name, "loader");
  EXPECT_EQ(telemetry.log_level, zerobus::TelemetryLevel::kWarning);
  EXPECT_EQ(telemetry.headers,
            (zerobus::Headers{{"authorization", "Bearer k"}, {"x-org", "1"}}));
  EXPECT_EQ(telemetry.resource_attributes.at(0).second, "sales");
  const auto refused = LoadZerobusSettings(
      {}, ContextWith({{"OTLP_ENABLED", "true"}, {"OTLP_HEADERS", "hush-hush"}}));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(),
              ::testing::AllOf(HasSubstr("headers"), ::testing::Not(HasSubstr("hush"))));
}

TEST(ZerobusSettings, DebugFiles) {
  const auto debug = [](std::map<std::string, std::string> environment) {
    environment["DEBUG_OUTPUT_DIR"] = "/debug";
    return LoadZerobusSettings({}, ContextWith(std::move(environment)))
        .ValueOrDie()
        .debug;
  };
  EXPECT_FALSE(debug({}));
  auto both = debug({{"DEBUG_ENABLED", "true"}});
  EXPECT_TRUE(both->arrow && both->protobuf);
  EXPECT_EQ(both->output_folder, "/debug");
  EXPECT_EQ(both->flush_interval, std::chrono::seconds(5));
  EXPECT_FALSE(both->file_bytes_max);
  EXPECT_EQ(both->rotated_files_max, 10);
  auto one = debug({{"DEBUG_ARROW_ENABLED", "true"},
                    {"DEBUG_MAX_FILE_SIZE", "4096"},
                    {"DEBUG_MAX_FILES_RETAINED", "2"},
                    {"DEBUG_FLUSH_INTERVAL_SECS", "9"}});
  EXPECT_TRUE(one->arrow && !one->protobuf);
  EXPECT_EQ(one->flush_interval, std::chrono::seconds(9));
  EXPECT_EQ(one->file_bytes_max, 4096);
  EXPECT_EQ(one->rotated_files_max, 2);
  auto less = debug({{"DEBUG_ENABLED", "true"}, {"DEBUG_ARROW_ENABLED", "false"}});
  EXPECT_TRUE(!less->arrow && less->protobuf);
}

TEST(ZerobusSettings, RefusalsSayWhatToDoAndKeepTheSecret) {
  const auto refused = [](std::map<std::string, std::string> environment,
                          std::vector<std::string> sets = {}) {
    ZerobusFlags flags;
    flags.sets = std::move(sets);
    const auto loaded = LoadZerobusSettings(flags, ContextWith(std::move(environment)));
    EXPECT_FALSE(loaded.ok());
    if (loaded.ok()) return std::string();
    EXPECT_EQ(CodeOf(loaded.status()), ErrorCode::kBadConfig);
    EXPECT_THAT(loaded.status().ToString(), Not(HasSubstr("hush")));
    return loaded.status().message();
  };
  EXPECT_THAT(refused({{"ZEROBUS_WRITER_DISABLED", "true"}}), HasSubstr("--debug-dir"));
  EXPECT_THAT(refused({{"DEBUG_PROTOBUF_ENABLED", "true"}, {"DEBUG_OUTPUT_DIR", "x"}},
                      {"zerobus.mode=json"}),
              HasSubstr("zerobus.mode proto"));
  EXPECT_THAT(refused({{"ZEROBUS_TABLE_NAME", "one"}}),
              HasSubstr("catalog.schema.table"));
  EXPECT_THAT(refused({}, {"zerobus.retry.max_atempts=1"}), HasSubstr("max_attempts"));
  EXPECT_THAT(refused({}, {"zerobus.stream.flush_timeout_ms=99999999999999"}),
              HasSubstr("flush_timeout_ms"));
  EXPECT_THAT(refused({{"RETRY_MAX_ATTEMPTS", "0"}}), HasSubstr("attempts"));
}

}  // namespace
}  // namespace arrowport::cli
