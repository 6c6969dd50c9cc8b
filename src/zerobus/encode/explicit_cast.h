// Columns of types that no table has (time, duration, interval, union), as integers or
// text, when the user asks for it. Everything else stays as it is.
//
// Integers count the type's own unit: time32 and intervals of months become int32, time64
// and durations int64; the other intervals and unions have no single integer and are
// refused. Text is large_utf8: times "HH:MM:SS" with the digits of the unit, durations
// and intervals as ISO 8601 ("PT1.500S", "P14M", "P1DT0.500S", "P1M2DT0.000000003S"; a
// negative part has its own sign), unions the text of the value that is there.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>

namespace arrowport::zerobus::encode {

enum class ExplicitCast { kIntegers, kText };

/// `schema` itself when it holds no such type, also not inside others. Extension types
/// that hold one become their storage. Errors: kUnsupportedType naming the column.
arrow::Result<std::shared_ptr<arrow::Schema>> ExplicitCastSchema(
    const std::shared_ptr<arrow::Schema>& schema, ExplicitCast cast);

/// `to`: what ExplicitCastSchema made of the batch's schema. Columns that stay are
/// shared. Errors: kBadData for a union whose codes or offsets point nowhere.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> ExplicitCastBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch,
    const std::shared_ptr<arrow::Schema>& to);

}  // namespace arrowport::zerobus::encode
