// A sink whose tables are made and changed by statements of their own, before the rows come.
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>

#include "sink/table_sink.h"

namespace arrowport::sink {

/// Plans and prepares over Create and AddColumns.
class DdlTableSink : public TableSink {
 public:
  /// Creates schema and table from `fields`; when another writer made it first, returns
  /// that one. Errors: kUnsupportedType naming the column, kInvalidName.
  virtual arrow::Result<std::shared_ptr<const Table>> Create(
      const schema::TableName& name, const arrow::Schema& fields) = 0;

  /// Adds nullable columns; ones that exist by now are left alone.
  virtual arrow::Result<std::shared_ptr<const Table>> AddColumns(
      const schema::TableName& name, const arrow::FieldVector& fields) = 0;

  /// The Arrow type a column made from `field` has (and batches must be cast to), or
  /// kUnsupportedType. Pure.
  virtual arrow::Result<std::shared_ptr<arrow::DataType>> StoredType(
      const arrow::Field& field) const = 0;

  arrow::Result<std::shared_ptr<const Table>> Plan(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) final;
  arrow::Result<std::shared_ptr<const Table>> Prepare(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) final;
};

/// Columns as CastPlan takes them.
std::vector<schema::TargetColumn> TargetColumns(const Table& table);

}  // namespace arrowport::sink
