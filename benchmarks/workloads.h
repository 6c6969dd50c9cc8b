// The data of the benchmarks: the same batches go to DuckDB in this process and to the server.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

namespace arrowport::bench {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

struct Workload {
  std::string name;
  std::string note;  ///< how it was made, when that is not obvious
  Batches batches;

  int64_t rows() const;
  /// Bytes of the column buffers, as Arrow counts them.
  int64_t bytes() const;
};

/// W1: id int64, timestamp int64, value f64, category utf8 (1 of 4), metric f64; no nulls.
arrow::Result<Workload> MakeDocumented(int64_t rows, int64_t batch_rows);
/// W3: 200 columns of eight types, 10 % nulls.
arrow::Result<Workload> MakeWide(int64_t rows, int64_t batch_rows);
/// W5: unique text of 8 to 200 bytes and a dictionary of 100 words.
arrow::Result<Workload> MakeText(int64_t rows, int64_t batch_rows);
/// W6: TPC-H lineitem by `dbgen` of the extension file, or rows of its shape when there is none.
arrow::Result<Workload> MakeLineitem(double scale, int64_t batch_rows,
                                     const std::string& extension);

}  // namespace arrowport::bench
