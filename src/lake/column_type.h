// What a column of a Delta table is in DuckDB, and how a data file's column is matched
// with it.
#pragma once

#include <arrow/result.h>

#include <duckdb/common/multi_file/multi_file_data.hpp>
#include <duckdb/common/types.hpp>

#include "delta/schema.h"

namespace arrowport::lake {

/// string VARCHAR, timestamp TIMESTAMPTZ, timestamp_ntz TIMESTAMP, array LIST, ...
/// Errors: kUnsupportedType for an empty struct.
arrow::Result<duckdb::LogicalType> LogicalTypeOf(const delta::DataType& type);

/// How the reader finds `field` in a file by its physical name; absent members are NULL.
/// `type` is LogicalTypeOf(*field.type).
duckdb::MultiFileColumnDefinition DefinitionOf(const delta::StructField& field,
                                               const duckdb::LogicalType& type);

enum class MatchBy { kName, kFieldId };

/// The column of `local` that holds `field`, or nullptr: by physical name ignoring case,
/// or by the id of column mapping.
duckdb::MultiFileColumnDefinition* FindLocal(
    const delta::StructField& field, MatchBy match,
    duckdb::vector<duckdb::MultiFileColumnDefinition>& local);

/// Makes `definition` name what the file has: ids become names, members of lists and maps
/// are called as the file calls them.
void MatchDefinition(const delta::DataType& type, MatchBy match,
                     duckdb::MultiFileColumnDefinition& local,
                     duckdb::MultiFileColumnDefinition* definition);

/// Times of a file whose type says nothing about the zone (INT96 and old writers) are
/// taken as the table's type has them, whatever zone the session is in: the bits are the
/// same, a cast would shift them.
void TakeTimesAsDeclared(const delta::DataType& type,
                         duckdb::MultiFileColumnDefinition* local);

/// Whether every value of `from` is one of `to` and comparing before or after the change
/// of type is the same: equal types and whole numbers that grow.
bool KeepsComparisons(const duckdb::LogicalType& from, const duckdb::LogicalType& to);

}  // namespace arrowport::lake
