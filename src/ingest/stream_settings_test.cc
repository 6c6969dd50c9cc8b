#include "ingest/stream_settings.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::ingest {
namespace {

void ExpectBad(const SettingTexts& texts, const std::vector<std::string>& fragments) {
  arrow::Status status = ApplySettings({}, texts).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(CodeOf(status), ErrorCode::kBadConfig);
  for (const auto& fragment : fragments) {
    EXPECT_NE(status.message().find(fragment), std::string::npos) << status.message();
  }
}

TEST(StreamSettings, LaterLayersWin) {
  StreamSettings defaults;
  auto stream = ApplySettings(defaults, {{"target_table", "t"}, {"chunk_size", "5"}});
  ASSERT_TRUE(stream.ok()) << stream.status().ToString();
  auto request = ApplySettings(*stream, {{"chunk_size", "7"}, {"mode", "overwrite"}});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->target_table, "t");
  EXPECT_EQ(request->chunk_size, 7);
  EXPECT_EQ(request->mode, WriteMode::kOverwrite);
  EXPECT_EQ(request->on_mismatch, OnMismatch::kReject);
}

TEST(StreamSettings, EveryKeyIsParsed) {
  auto all = ApplySettings({}, {{"table", "x.y"},
                                {"backend", "delta"},
                                {"compression", "zstd:7"},
                                {"schema_mode", "merge"},
                                {"on_mismatch", "skip"},
                                {"delta_options.partition_by", "a, b"},
                                {"delta_options.z_order_by", ""},
                                {"delta_options.target_file_size", "1024"},
                                {"delta_options.compression", "zstd"},
                                {"delta_options.mode", "append"},
                                {"delta_options.type_widening", "true"},
                                {"delta_options.commit_interval_ms", "0"},
                                {"delta_options.optimize", "off"}});
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(all->target_table, "x.y");
  EXPECT_EQ(all->storage_backend, "delta");
  EXPECT_EQ(all->delta.partition_by, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all->delta.schema_mode, schema::SchemaMode::kMerge);
  EXPECT_TRUE(all->delta.type_widening);
}

TEST(StreamSettings, DeltaOptionsWinOverTheStreams) {
  auto settings = ApplySettings(
      {}, {{"schema_mode", "strict"}, {"delta_options.schema_mode", "widen"}});
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->schema_mode, schema::SchemaMode::kStrict);
  EXPECT_EQ(settings->delta.schema_mode, schema::SchemaMode::kWiden);
}

TEST(StreamSettings, MistakesAreNamed) {
  ExpectBad({{"shema_mode", "strict"}}, {"nearest: schema_mode", "shema_mode"});
  ExpectBad({{std::string(100000, 'x'), "y"}}, {"unknown"});
  ExpectBad({{"schema_mode", "loose"}}, {"schema_mode", "strict, merge, widen", "loose"});
  ExpectBad({{"chunk_size", "0"}}, {"chunk_size", "whole number"});
  ExpectBad({{"chunk_size", "12x"}}, {"12x"});
  ExpectBad({{"compression", "zstd:99"}}, {"compression"});
  ExpectBad({{"compression", "brotli"}}, {"zstd, lz4, none"});
  ExpectBad({{"delta_options.partition_by", "a,,b"}}, {"empty item"});
  EXPECT_EQ(CodeOf(ApplySettings({}, {{"mode", "upsert"}}).status()),
            ErrorCode::kNotBuilt);
}

TEST(StreamSettings, DeltaOptionsWinWhereDeltaIsWritten) {
  auto of = [](const SettingTexts& texts) { return ApplySettings({}, texts).ValueOrDie(); };
  using enum schema::SchemaMode;
  EXPECT_EQ(WriteOptionsOf(of({})).schema_mode, kStrict);
  EXPECT_EQ(WriteOptionsOf(of({{"backend", "delta"}})).schema_mode, kMerge);
  EXPECT_EQ(WriteOptionsOf(of({{"backend", "delta"}, {"schema_mode", "strict"}})).schema_mode,
            kStrict);
  const auto both = of({{"backend", "delta"},
                        {"schema_mode", "strict"},
                        {"delta_options.schema_mode", "widen"},
                        {"mode", "overwrite"},
                        {"delta_options.mode", "append"},
                        {"partition_by", "a,b"}});
  EXPECT_EQ(WriteOptionsOf(both).schema_mode, kWiden);
  EXPECT_EQ(WriteOptionsOf(both).partition_by, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(WriteModeOf(both), WriteMode::kAppend);
  EXPECT_EQ(WriteModeOf(of({{"backend", "delta"}, {"mode", "overwrite"}})),
            WriteMode::kOverwrite);
  EXPECT_EQ(WriteModeOf(of({{"delta_options.mode", "overwrite"}})), WriteMode::kAppend);
  EXPECT_EQ(CommitSpacingOf(of({{"backend", "delta"}})).count(), 500);
  EXPECT_EQ(CommitSpacingOf(of({})).count(), 0);
}

}  // namespace
}  // namespace arrowport::ingest
