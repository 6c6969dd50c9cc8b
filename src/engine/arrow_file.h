// Arrow IPC data by name: files in both formats, standard input, http(s).
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/ipc/reader.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

namespace arrowport::engine {

/// One source of record batches. Thread-safe: batches are handed out one at a time.
class ArrowFile {
 public:
  virtual ~ArrowFile() = default;
  virtual const std::shared_ptr<arrow::Schema>& schema() const = 0;
  /// The next batch, with the columns asked for at opening, validated in full; nullptr at
  /// the end. Errors: kBadData naming the file, also for a stream without its end marker.
  virtual arrow::Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
};

/// Opens `name`: a path (memory-mapped when it is an ordinary file), "-" or "/dev/stdin",
/// or an http(s) address, which is fetched into an unnamed temporary file first. Stream and
/// file format are told apart by their first bytes. `columns`: top-level fields to read,
/// ascending; empty reads all. Errors: kBadQuery (no such file, not Arrow), kBadData,
/// kUnreachable.
arrow::Result<std::unique_ptr<ArrowFile>> OpenArrowFile(const std::string& name,
                                                        std::vector<int> columns);

}  // namespace arrowport::engine
