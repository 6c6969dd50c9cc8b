// How batches of one schema become requests of one stream.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

#include "arrowport/zerobus/options.h"
#include "zerobus/batch_delivery.h"
#include "zerobus/encode/row_encoder.h"
#include "zerobus/encode/table_schema.h"
#include "zerobus/flight_protocol.h"
#include "zerobus/stream_protocol.h"

namespace arrowport::zerobus {

/// What came of converting some rows.
struct Converted {
  std::vector<Request> requests;
  int64_t encoded_rows = 0;
  int64_t encoded_bytes = 0;
  std::vector<FailedRow> failed_rows;  ///< indices in the whole batch
};

/// Immutable, thread-safe.
class Encoding {
 public:
  /// `descriptor`: serialized, or empty for the one made of `table`.
  /// Errors: Schema, Conversion or Configuration: the batch's schema and the table, or
  /// the descriptor, do not go together.
  static arrow::Result<std::shared_ptr<const Encoding>> Make(
      const Options& options, std::shared_ptr<arrow::Schema> schema,
      std::shared_ptr<const encode::TableSchema> table, const std::string& descriptor);

  /// Batches of equal keys may go down one stream.
  const std::string& stream_key() const { return stream_key_; }
  const std::shared_ptr<const StreamProtocol>& protocol() const { return protocol_; }
  /// Of the batches.
  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  const std::string& descriptor_option() const { return descriptor_option_; }
  /// Shown to observers when a stream begins.
  const std::string& shown_descriptor() const { return shown_descriptor_; }

  /// The batch whose rows Convert takes: `batch` itself unless unsupported_types cast it.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Prepare(
      const std::shared_ptr<arrow::RecordBatch>& batch) const;
  /// Rows first_row .. + rows of the delivery's batch. The requests count from the first
  /// encoded row among them: the delivery counts those before too. `prepared`: what
  /// Prepare made of that batch. Errors: of the whole call, as RowEncoder and
  /// CastToTable.
  arrow::Result<Converted> Convert(const std::shared_ptr<BatchDelivery>& delivery,
                                   const arrow::RecordBatch& prepared, int64_t first_row,
                                   int64_t rows) const;

 private:
  Encoding() = default;
  arrow::Status MakeRecord(const Options& options, const std::string& descriptor);
  arrow::Status MakeFlight(const Options& options);
  /// `part`: the rows, the first of which is `first_row` of the batch.
  arrow::Result<Converted> ConvertRecords(const std::shared_ptr<BatchDelivery>& delivery,
                                          const arrow::RecordBatch& part,
                                          int64_t first_row) const;
  arrow::Result<Converted> ConvertFlight(const std::shared_ptr<BatchDelivery>& delivery,
                                         std::shared_ptr<arrow::RecordBatch> part,
                                         int64_t first_row) const;

  /// The rows of `batch` that can be cast; null when there are none. The others go to
  /// `failed_rows`, empty before, with indices counted from `first_row`.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> CastGoodRows(
      const std::shared_ptr<arrow::RecordBatch>& batch, int64_t first_row,
      std::vector<FailedRow>* failed_rows) const;

  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::Schema> prepared_schema_;  ///< schema_, or a cast of it
  std::shared_ptr<const encode::TableSchema> table_;
  std::string descriptor_option_;
  std::string stream_key_;
  std::string shown_descriptor_;
  std::shared_ptr<const StreamProtocol> protocol_;
  std::shared_ptr<const encode::RowEncoder> encoder_;  ///< record modes
  std::shared_ptr<const FlightProtocol> flight_;       ///< Flight mode
  bool cast_to_table_ = false;
  int64_t request_bytes_max_ = 0;
};

}  // namespace arrowport::zerobus
