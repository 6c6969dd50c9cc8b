// SQL cases as text: what a statement gives, in whatever way it is sent. A file holds
// cases separated by empty lines; `#` starts a comment line.
//
//   statement ok            the lines below run without error
//   CREATE TABLE t (a INTEGER)
//
//   statement error BAD_QUERY          fails with that code
//   SELEC 1
//
//   query [rowsort]         gives, behind `----`, the fields and the rows
//   SELECT 1 AS a, 'x' AS b
//   ----
//   a: int32 | b: string
//   1 | x
//
// Values: NULL, [list], {struct: field}, {map=value}; in text, backslash, control
// characters and `|` are written \x with two hexadecimal digits.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/scalar.h>

#include <memory>
#include <string>
#include <vector>

namespace arrowport::sql_test {

struct Case {
  enum class Kind { kOk, kError, kQuery };
  Kind kind = Kind::kOk;
  bool rowsort = false;
  std::string error;  ///< name of the code
  std::string sql;
  std::vector<std::string> expected;  ///< header line, then rows
  int line = 0;
};

arrow::Result<std::vector<Case>> ReadCases(const std::string& path);

/// Header line and rows, as in a case file.
arrow::Result<std::vector<std::string>> Format(
    const arrow::Schema& schema,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches, bool rowsort);

/// The file with the results of its queries replaced by `results` (one an element of
/// ReadCases, empty where nothing is to change).
arrow::Status Rewrite(const std::string& path, const std::vector<Case>& cases,
                      const std::vector<std::vector<std::string>>& results);

}  // namespace arrowport::sql_test
