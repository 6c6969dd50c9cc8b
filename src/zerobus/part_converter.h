// A large batch converted in parts, by several threads, and given out in order: the first
// rows are on their way, and judged by the service, while the last are encoded.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <chrono>
#include <memory>

#include "zerobus/batch_delivery.h"
#include "zerobus/encoding.h"

namespace arrowport::zerobus {

/// Some rows of the batch, converted.
struct ConvertedPart {
  int64_t first_row = 0;
  int64_t rows = 0;
  Converted converted;
  std::chrono::nanoseconds time{0};  ///< of one thread
};

/// Of one caller. The threads are those of Arrow's CPU pool; the caller works too, so
/// that a pool busy elsewhere only makes it slower. Converted and not yet taken are at
/// most two parts a thread.
class PartConverter {
 public:
  /// `prepared`: what Encoding::Prepare made of the delivery's batch. `bytes`: of that
  /// batch, which decide how many parts there are.
  PartConverter(std::shared_ptr<const Encoding> encoding,
                std::shared_ptr<BatchDelivery> delivery,
                std::shared_ptr<arrow::RecordBatch> prepared, int64_t bytes);
  /// Waits for parts under way.
  ~PartConverter();

  bool done() const;
  /// Of the part that Next gives.
  int64_t first_row() const;
  /// REQUIRES: not done. Errors: as Encoding::Convert; nothing may follow one.
  arrow::Result<ConvertedPart> Next();

 private:
  struct Shared;
  void Help();

  const std::shared_ptr<Shared> shared_;
  int64_t taken_ = 0;  ///< parts
};

}  // namespace arrowport::zerobus
