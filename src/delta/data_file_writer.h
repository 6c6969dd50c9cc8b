// One Parquet data file of a Delta table: encoded row group by row group straight to the
// store, with the statistics its `add` action carries.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <arrow/util/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delta/schema.h"
#include "delta/statistics.h"
#include "store/store.h"

namespace arrowport::delta {

enum class IntegerEncoding {
  kPacked,  ///< DELTA_BINARY_PACKED: a third smaller and faster; every reader named in the
            ///< documentation takes it
  kPlain,   ///< for readers of the Parquet 1 encodings only
};

struct Compression {
  arrow::Compression::type codec;
  std::optional<int> level;
  std::string_view file_suffix;  ///< "snappy", ...; empty for none
};

/// "snappy", "zstd", "zstd:<1-22>", "gzip", "lz4" (LZ4_RAW), "none". Errors: kBadConfig.
arrow::Result<Compression> ParseCompression(std::string_view text);

struct DataFileOptions {
  std::string compression = "snappy";
  IntegerEncoding integers = IntegerEncoding::kPacked;
  int64_t target_file_bytes = int64_t{128} << 20;  ///< a new file begins above
  int64_t row_group_rows = int64_t{1} << 20;
  int64_t row_group_bytes = int64_t{128} << 20;  ///< of Arrow buffers held at a time
  int files_at_once = 2;  ///< of a partition, when its rows are many and encoders idle
};

/// The Arrow schema of the table's data files: partition columns left out, required where
/// the table says not null.
std::shared_ptr<arrow::Schema> DataFileSchema(
    const TableSchema& schema, NameStyle names,
    const std::vector<std::string>& partition_columns);

/// What the log says of a finished file.
struct DataFile {
  std::string path;  ///< below the store's root, not encoded
  int64_t size = 0;
  int64_t rows = 0;
  int64_t modified_ms = 0;
  std::string stats;  ///< JSON text
};

/// Caller-locked. Destroying it unfinished leaves no file behind.
class DataFileWriter {
 public:
  struct Spec {
    store::Store* store = nullptr;  ///< outlives the writer
    std::string path;               ///< below the store's root; its folder is made
    std::shared_ptr<arrow::Schema> file_schema;  ///< DataFileSchema
    std::shared_ptr<const StatisticsPlan> statistics;
    DataFileOptions options;
  };

  /// Opens nothing yet: a file that ends small is encoded in memory and written at once.
  /// Errors: kBadConfig (compression).
  static arrow::Result<std::unique_ptr<DataFileWriter>> Make(Spec spec);
  virtual ~DataFileWriter() = default;

  /// One row group of the batches' rows; each batch has exactly the file's columns and
  /// types (nullability aside). Errors: kConstraintViolation naming the column for a null
  /// in a required one, the store's.
  virtual arrow::Status WriteRowGroup(
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) = 0;

  /// Encoded bytes so far.
  virtual int64_t bytes_written() const = 0;
  virtual int64_t rows_written() const = 0;

  /// Footer, content synced, the name visible but not yet synced (Store::SyncFolder).
  virtual arrow::Result<DataFile> Finish() = 0;
};

/// The pool encoders allocate from: jemalloc's when this Arrow has it.
arrow::MemoryPool* EncoderMemoryPool();

}  // namespace arrowport::delta
