#include "lake/scan_source.h"

#include <algorithm>
#include <atomic>
#include <duckdb/common/string_util.hpp>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "delta/deletion_vector.h"
#include "delta/table_info.h"
#include "lake/log_value.h"

namespace arrowport::lake {
namespace {

std::atomic<uint64_t> next_serial{1};

std::optional<int64_t> RowsOf(const ScanFile::Parts& parts,
                              std::optional<int64_t> records) {
  const bool whole = parts.deleted_rows == DeletedRows::kLeftOut;
  if (!parts.deletion_vector) return whole ? records : std::nullopt;
  const int64_t deleted = parts.deletion_vector->cardinality;
  const int64_t earlier = parts.earlier_deletion_vector
                              ? parts.earlier_deletion_vector->cardinality
                              : 0;
  if (!whole) {
    return deleted >= earlier ? std::optional(deleted - earlier) : std::nullopt;
  }
  if (!records || deleted < 0 || deleted > *records) return std::nullopt;
  return *records - deleted;
}

/// The constants of each partition met so far.
using Partitions = std::map<delta::PartitionValues, std::shared_ptr<const Constants>>;

arrow::Result<std::shared_ptr<const ScanFile>> FileOf(const ScanSource& source,
                                                      const delta::AddFile& add,
                                                      Partitions* partitions) {
  ScanFile::Parts parts;
  ARROW_ASSIGN_OR_RAISE(parts.path, OpenablePath(*source.store, add.path));
  auto& constants = (*partitions)[add.partition_values];
  if (!constants) {
    ARROW_ASSIGN_OR_RAISE(Constants made,
                          PartitionConstants(source, add.partition_values));
    constants = std::make_shared<const Constants>(std::move(made));
  }
  parts.constants = constants;
  parts.stats = add.stats;
  parts.deletion_vector = add.deletion_vector;
  parts.size_bytes = add.size;
  return std::make_shared<const ScanFile>(std::move(parts));
}

}  // namespace

ScanFile::ScanFile(Parts parts)
    : parts_(std::move(parts)),
      records_(delta::RecordCount(parts_.stats)),
      rows_(RowsOf(parts_, records_)) {}

const ScanFile::Column& ScanFile::StatisticsOf(uint32_t index,
                                               const delta::StructField& field,
                                               const duckdb::LogicalType& type) const {
  MutexLock lock(mutex_);
  for (const auto& column : columns_) {
    if (column->index == index) return *column;
  }
  ColumnStatistics log =
      ReadColumnStatistics(parts_.stats, field.physical_name(), *field.type);
  auto statistics = ToDuckDb(log, records_, type);
  columns_.push_back(
      std::unique_ptr<const Column>(new Column{index, std::move(log),
                                               std::move(statistics)}));
  return *columns_.back();
}

arrow::Result<std::shared_ptr<ScanSource>> SourceWithoutFiles(const TableVersion& table) {
  auto source = std::make_shared<ScanSource>();
  source->name = table.name;
  source->version = table.snapshot->version();
  source->serial = next_serial.fetch_add(1);
  source->store = table.store;
  source->snapshot = table.snapshot;
  const delta::TableState& state = table.snapshot->state();
  source->match = state.match_by_field_id ? MatchBy::kFieldId : MatchBy::kName;
  const auto& partitions = state.metadata.partition_columns;
  for (const delta::StructField& field : state.schema->fields) {
    auto type = LogicalTypeOf(*field.type);
    if (!type.ok()) return WithContext("column " + field.name, type.status());
    const bool partition =
        std::any_of(partitions.begin(), partitions.end(), [&](const std::string& name) {
          return duckdb::StringUtil::CIEquals(name, field.name);
        });
    std::optional<uint32_t> slot;
    if (partition) slot = source->slot_count++;
    source->columns.push_back({field, *type, DefinitionOf(field, *type), slot});
  }
  return source;
}

arrow::Result<std::shared_ptr<const ScanSource>> SourceOf(const TableVersion& table,
                                                          const ScanSource* previous) {
  ARROW_ASSIGN_OR_RAISE(auto source, SourceWithoutFiles(table));
  // An append keeps the entries of the files that were there: same address, same file, as
  // long as both snapshots live, and they do.
  std::unordered_map<const delta::AddFile*, size_t> known;
  if (previous != nullptr && previous->snapshot->state().schema ==
                                 table.snapshot->state().schema) {
    for (size_t i = 0; i < previous->adds.size(); ++i) known[previous->adds[i]] = i;
  }
  const int64_t count = table.snapshot->file_count();
  source->files.reserve(count);
  source->adds.reserve(count);
  arrow::Status failed;
  Partitions partitions;
  table.snapshot->VisitFiles([&](int64_t, const delta::AddFile& add) {
    if (!failed.ok()) return;
    source->adds.push_back(&add);
    auto found = known.find(&add);
    if (found != known.end()) {
      source->files.push_back(previous->files[found->second]);
      return;
    }
    auto file = FileOf(*source, add, &partitions);
    if (file.ok()) {
      source->files.push_back(*std::move(file));
    } else {
      failed = WithContext(add.path, file.status());
    }
  });
  ARROW_RETURN_NOT_OK(failed);
  return source;
}

arrow::Result<std::string> OpenablePath(const store::Store& store,
                                        std::string_view path_in_log) {
  ARROW_ASSIGN_OR_RAISE(std::string path, delta::PathBelowRoot(store, path_in_log));
  return store.PathFor(path);
}

arrow::Result<Constants> PartitionConstants(
    const ScanSource& source, const delta::PartitionValues& values) {
  Constants constants(source.slot_count);
  for (const ScanColumn& column : source.columns) {
    if (!column.slot) continue;
    auto found = values.find(column.field.physical_name());
    auto value = PartitionValue(
        found == values.end() ? std::nullopt : found->second, *column.field.type);
    if (!value.ok()) return WithContext("column " + column.field.name, value.status());
    constants[*column.slot] = *std::move(value);
  }
  return constants;
}

}  // namespace arrowport::lake
