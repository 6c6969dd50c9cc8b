// The rows that an encoder failed, as one text to compare.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::zerobus::encode {

/// "0:SCHEMA_MISMATCH 3:BAD_DATA". Expects that rows and counts agree with it.
inline std::string Failures(const EncodedRows& rows) {
  std::string text;
  for (const FailedRow& failed : rows.failed_rows) {
    EXPECT_EQ(rows.rows[static_cast<size_t>(failed.row)].data(), nullptr);
    if (!text.empty()) text += ' ';
    text += std::to_string(failed.row) + ":" +
            std::string(InfoOf(CodeOf(failed.status)).name);
  }
  int64_t bytes = 0;
  size_t good = 0;
  for (std::string_view row : rows.rows) {
    bytes += static_cast<int64_t>(row.size());
    good += row.data() != nullptr;
  }
  EXPECT_EQ(bytes, rows.bytes);
  EXPECT_EQ(good + rows.failed_rows.size(), rows.rows.size());
  return text;
}

}  // namespace arrowport::zerobus::encode
