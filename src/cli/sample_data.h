// Rows of made-up data, the same for the same seed on every machine.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>

namespace arrowport::cli {

/// id int64 (0, 1, ...), date date32 (2020-01-01 to 2023-12-31, uniform), category A-E
/// (uniform), value1 float64 (normal, mean 100, deviation 15), value2 float64
/// (exponential, mean 50), active bool (70 % true), description text without line breaks.
/// `category` and `description` are dictionaries of text.
std::shared_ptr<arrow::Schema> SampleSchema();

/// Rows [first_id, first_id + rows). The content depends on seed and first_id alone, so
/// batches can be made in any order. Errors: kOutOfMemory.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeSampleBatch(uint64_t seed,
                                                                   int64_t first_id,
                                                                   int64_t rows);

}  // namespace arrowport::cli
