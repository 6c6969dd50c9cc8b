// How Arrow batches of one schema fill the columns of a table without a plan: what the
// appends below DuckDB's planner share.
#pragma once

#include <duckdb.hpp>
#include <duckdb/catalog/catalog_entry/table_catalog_entry.hpp>
#include <duckdb/function/table/arrow.hpp>
#include <optional>
#include <vector>

#include "engine/arrow_insert.h"

namespace arrowport::engine {

/// Immutable once resolved; then shared by threads.
class AppendColumns {
 public:
  /// The table in the snapshot of the open transaction. Throws.
  static duckdb::TableCatalogEntry& Entry(duckdb::ClientContext& context,
                                          const ArrowInsertTarget& target);

  /// False when the table needs a plan: a generated column, a column left out that has a
  /// DEFAULT, or one whose type is not what the Arrow type reads as (ENUM, UUID ...).
  /// REQUIRES: an open transaction. Throws.
  bool Resolve(duckdb::ClientContext& context, const ArrowInsertTarget& target);

  const duckdb::ArrowTableSchema& batch_columns() const { return batch_columns_; }
  const duckdb::vector<duckdb::LogicalType>& batch_types() const { return batch_types_; }
  const duckdb::vector<duckdb::LogicalType>& table_types() const { return table_types_; }

  /// `rows` (of the table's types, initialised empty) points at what `scanned` holds.
  void Arrange(duckdb::DataChunk& scanned, duckdb::DataChunk* rows) const;

 private:
  bool Match(const duckdb::TableCatalogEntry& table);

  duckdb::ArrowSchemaWrapper schema_;
  duckdb::ArrowTableSchema batch_columns_;
  duckdb::vector<duckdb::LogicalType> batch_types_;
  duckdb::vector<duckdb::LogicalType> table_types_;
  /// For each table column the batch column that fills it, or nothing for NULL.
  std::vector<std::optional<size_t>> sources_;
};

}  // namespace arrowport::engine
