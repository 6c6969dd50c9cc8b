#include "engine/append_columns.h"

#include <arrow/c/bridge.h>

#include <duckdb/catalog/catalog.hpp>

namespace arrowport::engine {

duckdb::TableCatalogEntry& AppendColumns::Entry(duckdb::ClientContext& context,
                                                const ArrowInsertTarget& target) {
  return duckdb::Catalog::GetEntry<duckdb::TableCatalogEntry>(
      context, target.catalog, target.table.schema, target.table.table);
}

bool AppendColumns::Resolve(duckdb::ClientContext& context,
                            const ArrowInsertTarget& target) {
  const arrow::Status exported =
      arrow::ExportSchema(*target.columns, &schema_.arrow_schema);
  if (!exported.ok()) throw duckdb::InvalidInputException(exported.message());
  duckdb::ArrowTableFunction::PopulateArrowTableSchema(context, batch_columns_,
                                                       schema_.arrow_schema);
  batch_types_ = batch_columns_.GetTypes();
  const duckdb::TableCatalogEntry& table = Entry(context, target);
  table_types_ = table.GetTypes();
  return Match(table);
}

bool AppendColumns::Match(const duckdb::TableCatalogEntry& table) {
  const auto& names = batch_columns_.GetNames();
  size_t found = 0;
  for (const auto& column : table.GetColumns().Logical()) {
    if (column.Generated()) return false;
    auto& source = sources_.emplace_back();
    for (size_t i = 0; i < names.size(); ++i) {
      if (duckdb::StringUtil::CIEquals(names[i], column.Name())) source = i;
    }
    if (!source && column.HasDefaultValue()) return false;
    if (source && batch_types_[*source] != column.Type()) return false;
    found += source.has_value();
  }
  return found == names.size();
}

void AppendColumns::Arrange(duckdb::DataChunk& scanned, duckdb::DataChunk* rows) const {
  rows->Reset();
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i]) {
      rows->data[i].Reference(scanned.data[*sources_[i]]);
    } else {
      rows->data[i].Reference(duckdb::Value(table_types_[i]));
    }
  }
  rows->SetCardinality(scanned.size());
}

}  // namespace arrowport::engine
