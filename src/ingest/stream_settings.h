// The settings of a stream: defaults, then `streams.<name>.*`, then the request's own.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/cast_plan.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

enum class OnMismatch { kReject, kQuarantine, kSkip };
enum class WriteMode { kAppend, kOverwrite };

/// Names and texts as in the configuration: "target_table", "delta_options.mode"; lists
/// are comma-separated. "table" and "backend" are short for "target_table" and
/// "storage_backend".
using SettingTexts = std::map<std::string, std::string>;

struct DeltaOptions {
  std::vector<std::string> partition_by;
  std::vector<std::string> z_order_by;
  int64_t target_file_size = 134217728;
  std::string compression = "snappy";
  schema::SchemaMode schema_mode = schema::SchemaMode::kMerge;
  WriteMode mode = WriteMode::kAppend;
  bool type_widening = false;
  int64_t commit_interval_ms = 500;
  std::string optimize = "off";
};

struct StreamSettings {
  std::string target_table;  ///< empty: the stream's name
  std::string storage_backend = "duckdb";
  int64_t chunk_size = 122880;
  std::string compression = "zstd:3";
  schema::SchemaMode schema_mode = schema::SchemaMode::kStrict;
  OnMismatch on_mismatch = OnMismatch::kReject;
  WriteMode mode = WriteMode::kAppend;
  DeltaOptions delta;
};

/// How rows are stored by these settings, for their storage backend: what `delta_options`
/// say of mode and schema_mode wins where Delta is written.
sink::WriteOptions WriteOptionsOf(const StreamSettings& settings);
WriteMode WriteModeOf(const StreamSettings& settings);
/// Wanted between commits to one table.
std::chrono::milliseconds CommitSpacingOf(const StreamSettings& settings);

/// `base` with `texts` applied. Errors: kBadConfig naming the key and the nearest valid
/// one, or the value and what is allowed.
arrow::Result<StreamSettings> ApplySettings(StreamSettings base,
                                            const SettingTexts& texts);

}  // namespace arrowport::ingest
