#include "maintain/table_operations.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "delta/history.h"
#include "delta/restore.h"
#include "delta/table_info.h"
#include "delta/vacuum.h"

namespace arrowport::maintain {
namespace {

constexpr int64_t kHourMs = 3600 * 1000;
constexpr int64_t kRetentionMinMs = 7 * 24 * kHourMs;
constexpr double kRetentionHoursMax = 24 * 36500;
constexpr int64_t kHistoryDefault = 100;
constexpr int64_t kHistoryMax = 10'000;
constexpr int64_t kTargetFileBytesMin = 1 << 20;
constexpr int64_t kTargetFileBytesMax = int64_t{16} << 30;
constexpr int64_t kVersionMax = std::numeric_limits<int64_t>::max();

/// JSON of the log inside a reply. What cannot be read becomes `otherwise`.
Json Embedded(const std::string& text, Json otherwise) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? std::move(otherwise) : std::move(json);
}

Json ProtocolJson(const delta::Protocol& protocol) {
  Json json = {{"minReaderVersion", protocol.min_reader_version},
               {"minWriterVersion", protocol.min_writer_version}};
  if (protocol.reader_features) json["readerFeatures"] = *protocol.reader_features;
  if (protocol.writer_features) json["writerFeatures"] = *protocol.writer_features;
  return json;
}

/// 168, or 1.5: whole hours without a fraction.
Json HoursJson(int64_t milliseconds) {
  if (milliseconds % kHourMs == 0) return milliseconds / kHourMs;
  return static_cast<double>(milliseconds) / kHourMs;
}

}  // namespace

Json TableNumbers(const delta::Snapshot& snapshot) {
  const delta::TableInfo info = delta::DescribeTable(snapshot);
  return {{"version", info.version},
          {"num_files", info.files},
          {"size_bytes", info.size_bytes},
          {"num_rows", info.rows ? Json(*info.rows) : Json(nullptr)}};
}

int64_t RetentionMsOf(const delta::Snapshot& snapshot, const OperationTools& tools) {
  return std::max({snapshot.state().properties.deleted_file_retention_ms,
                   tools.retention_ms, kRetentionMinMs});
}

arrow::Result<Json> TableInfo(const TableHandle& handle, const RequestFields& fields,
                              const OperationTools&) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({}));
  const auto snapshot = handle.table->snapshot();
  const delta::Metadata& metadata = snapshot->state().metadata;
  Json reply = TableNumbers(*snapshot);
  reply["schema"] = Embedded(metadata.schema_string, nullptr);
  reply["partition_columns"] = metadata.partition_columns;
  reply["protocol"] = ProtocolJson(snapshot->state().protocol);
  reply["properties"] = Json::object();
  for (const auto& [name, value] : metadata.configuration) {
    reply["properties"][name] = value;
  }
  return reply;
}

arrow::Result<Json> TableHistory(const TableHandle& handle, const RequestFields& fields,
                                 const OperationTools& tools) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({"limit"}));
  ARROW_ASSIGN_OR_RAISE(const auto limit, fields.Integer("limit", 1, kHistoryMax));
  const delta::LogReader log(handle.store, *tools.clock);
  ARROW_ASSIGN_OR_RAISE(const auto lines,
                        delta::ReadHistory(log, limit.value_or(kHistoryDefault)));
  Json history = Json::array();
  for (const delta::HistoryLine& line : lines) {
    history.push_back(
        {{"version", line.version},
         {"timestamp", line.timestamp_ms},
         {"operation", line.operation.empty() ? Json(nullptr) : Json(line.operation)},
         {"operationParameters", Embedded(line.parameters_json, Json::object())},
         {"operationMetrics", Embedded(line.metrics_json, Json::object())}});
  }
  return Json{{"history", std::move(history)}};
}

arrow::Result<Json> VacuumTable(const TableHandle& handle, const RequestFields& fields,
                                const OperationTools& tools) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({"retention_hours", "dry_run", "force"}));
  ARROW_ASSIGN_OR_RAISE(const auto hours,
                        fields.Number("retention_hours", 0, kRetentionHoursMax));
  ARROW_ASSIGN_OR_RAISE(const auto dry_run, fields.Flag("dry_run"));
  ARROW_ASSIGN_OR_RAISE(const auto force, fields.Flag("force"));
  delta::VacuumOptions options;
  options.mode =
      dry_run.value_or(true) ? delta::VacuumMode::kDryRun : delta::VacuumMode::kRemove;
  options.retention_ms = hours ? static_cast<int64_t>(*hours * kHourMs)
                               : RetentionMsOf(*handle.table->snapshot(), tools);
  options.force = force.value_or(false);
  options.listed_max = 0;
  ARROW_ASSIGN_OR_RAISE(
      const auto report,
      delta::Vacuum(*handle.table, handle.store, options, *tools.clock));
  return Json{{"dry_run", dry_run.value_or(true)},
              {"retention_hours", HoursJson(report.retention_ms)},
              {"files", report.files},
              {"bytes", report.bytes}};
}

arrow::Result<Json> RestoreTable(const TableHandle& handle, const RequestFields& fields,
                                 const OperationTools& tools) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({"version"}));
  ARROW_ASSIGN_OR_RAISE(const auto version, fields.Integer("version", 0, kVersionMax));
  if (!version) {
    return Error(ErrorCode::kInvalidArgument,
                 "field \"version\" is missing: the version to go back to");
  }
  ARROW_ASSIGN_OR_RAISE(
      const auto report,
      delta::Restore(*handle.table, handle.store, *version, *tools.clock));
  return Json{{"version", report.version},
              {"files_restored", report.files_restored},
              {"files_removed", report.files_removed},
              {"bytes_restored", report.bytes_restored},
              {"bytes_removed", report.bytes_removed}};
}

arrow::Result<Json> OptimizeTable(const TableHandle& handle, const RequestFields& fields,
                                  const OperationTools& tools) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({"z_order_by", "target_file_size"}));
  delta::OptimizeOptions options;
  ARROW_ASSIGN_OR_RAISE(options.z_order_by, fields.TextList("z_order_by"));
  ARROW_ASSIGN_OR_RAISE(const auto target,
                        fields.Integer("target_file_size", kTargetFileBytesMin,
                                       kTargetFileBytesMax));
  options.target_file_bytes = target.value_or(tools.target_file_bytes);
  options.files.target_file_bytes = options.target_file_bytes;
  ARROW_ASSIGN_OR_RAISE(const auto report,
                        delta::Optimize(*handle.table, handle.store, tools.encoders,
                                        options, *tools.clock));
  return Json{{"version", report.version},
              {"files_added", report.files_added},
              {"files_removed", report.files_removed},
              {"bytes_added", report.bytes_added},
              {"bytes_removed", report.bytes_removed},
              {"commits", report.commits},
              {"conflicts", report.conflicts}};
}

arrow::Result<Json> CheckpointTable(const TableHandle& handle, const RequestFields& fields,
                                    const OperationTools&) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({}));
  ARROW_RETURN_NOT_OK(handle.table->WriteCheckpoint());
  ARROW_ASSIGN_OR_RAISE(const auto cleaned, handle.table->CleanUpLog());
  return Json{{"version", handle.table->snapshot()->version()},
              {"log_files_removed", cleaned.log_files_removed}};
}

}  // namespace arrowport::maintain
