// How a query result becomes the bytes of a reply body, one format each.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <arrow/util/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "wire/http/request_target.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// Begin, Write ..., End; each appends the bytes that are ready. Caller-locked.
class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  virtual arrow::Status Begin(const std::shared_ptr<arrow::Schema>& schema,
                              net::Slices* out) = 0;
  virtual arrow::Status Write(const arrow::RecordBatch& batch, net::Slices* out) = 0;
  virtual arrow::Status End(net::Slices* out) = 0;
  /// Rows to give to one Write, so that its output stays a few MiB.
  virtual int64_t rows_per_write() const = 0;
};

/// Codec inside Arrow and Parquet results; without one Arrow is uncompressed, Parquet
/// snappy.
using Codec = std::optional<arrow::Compression::type>;

/// "zstd", "lz4", "none". Errors: kInvalidArgument.
arrow::Result<Codec> ParseCodec(std::string_view name);

arrow::Result<std::unique_ptr<ResultWriter>> MakeResultWriter(ResultFormat format,
                                                              Codec codec);

/// Of result_parquet.cc.
arrow::Result<std::unique_ptr<ResultWriter>> MakeParquetWriter(Codec codec);

}  // namespace arrowport::wire::http
