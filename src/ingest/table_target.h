// The table an upload goes to: found, made, evolved, and how rows are cast into it.
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>

#include "ingest/row_groups.h"
#include "schema/cast_plan.h"
#include "schema/names.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

/// Immutable; its calls may block on the sink.
class TableTarget {
 public:
  TableTarget(std::shared_ptr<sink::TableSink> sink, schema::TableName name,
              std::shared_ptr<const sink::WriteOptions> options)
      : sink_(std::move(sink)), name_(std::move(name)), options_(std::move(options)) {}

  struct Look {
    std::shared_ptr<const sink::Table> table;  ///< as it is, or as it will be
    schema::CastPlan cast;
  };

  /// Looks, changes nothing: what is refused later must not have made a table.
  /// Errors: kSchemaMismatch, kUnsupportedType, kStorageUnavailable, kNoSpace.
  arrow::Result<Look> LookFor(const std::shared_ptr<arrow::Schema>& incoming) const;

  /// The table ready to be written to, read afresh.
  arrow::Result<std::shared_ptr<const sink::Table>> Prepare(
      const std::shared_ptr<arrow::Schema>& incoming) const;

  /// Batches cast for an earlier look, cast again where the table is different now.
  /// `first_row`: rows of the upload before them.
  arrow::Result<Batches> Refit(const sink::Table& table, Batches batches,
                               int64_t first_row) const;

  const schema::TableName& name() const { return name_; }
  const std::shared_ptr<const sink::WriteOptions>& options() const { return options_; }

 private:
  const std::shared_ptr<sink::TableSink> sink_;
  const schema::TableName name_;
  const std::shared_ptr<const sink::WriteOptions> options_;
};

}  // namespace arrowport::ingest
