// Text and bytes columns in Flight's layout without touching their values.
#pragma once

#include <arrow/array/data.h>
#include <arrow/result.h>

#include <memory>

namespace arrowport::zerobus::encode::internal {

enum class TextRule {
  kUtf8,  ///< every value must be UTF-8
  kBytes,
};

/// `array`, a column of (Large)Utf8 or (Large)Binary, as one of LargeUtf8 or LargeBinary that
/// shares its values; offsets of 32 bits are widened. Null when it is of another type, or
/// when some value or offset is bad: which one is for others to find out.
/// Errors: kOutOfMemory.
arrow::Result<std::shared_ptr<arrow::ArrayData>> ShareText(
    const arrow::ArrayData& array, TextRule rule,
    const std::shared_ptr<arrow::DataType>& flight);

}  // namespace arrowport::zerobus::encode::internal
