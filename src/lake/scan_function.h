// The table function that scans a source: DuckDB's parquet_scan with our reader in it.
#pragma once

#include <duckdb/catalog/catalog_entry/table_catalog_entry.hpp>
#include <duckdb/function/table_function.hpp>
#include <memory>

#include "lake/scan_source.h"

namespace arrowport::lake {

/// parquet_scan as it is registered, with every callback replaced that would take the
/// files for plain Parquet. Bind it with BindScan.
duckdb::TableFunction ScanFunction(duckdb::ClientContext& context);

struct BoundScan {
  duckdb::TableFunction function;
  duckdb::unique_ptr<duckdb::FunctionData> data;
  duckdb::vector<duckdb::LogicalType> types;
  duckdb::vector<duckdb::string> names;
};

/// A scan of `source`. `table`, when there is one, is kept by the bind data: prepared
/// statements outlive the transaction whose entry it is. Throws what DuckDB throws.
BoundScan BindScan(duckdb::ClientContext& context,
                   std::shared_ptr<const ScanSource> source,
                   std::shared_ptr<duckdb::TableCatalogEntry> table);

}  // namespace arrowport::lake
