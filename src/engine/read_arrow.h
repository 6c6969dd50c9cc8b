// SELECT from Arrow IPC files: read_arrow('file'), read_arrow('*.arrow'),
// read_arrow(['a.arrows', 'b.arrow']), FROM 'x.arrow', FROM 'x.arrows'. A single file, a
// glob or a list; stream and file format; '-' is standard input; http(s) addresses.
//
// Columns are those of the first file; in the others they are found by name, one that is
// missing is NULL, one of another type is an error. `filename := true` adds a column
// `filename`; without it `filename` and `file_name` may be named all the same. Only columns
// in use are read.
#pragma once

#include <arrow/status.h>

namespace duckdb {
class DuckDB;
}

namespace arrowport::engine {

/// Makes the function, and the reading of quoted file names, known to a new instance.
arrow::Status RegisterReadArrow(duckdb::DuckDB& instance);

}  // namespace arrowport::engine
