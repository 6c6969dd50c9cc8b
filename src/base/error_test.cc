#include "base/error.h"

#include <gtest/gtest.h>

#include <set>

namespace arrowport {
namespace {

TEST(Error, TableIsInDeclarationOrderWithDistinctNames) {
  auto [errors, count] = AllErrors();
  EXPECT_EQ(count, static_cast<size_t>(ErrorCode::kInternal) + 1);
  std::set<std::string_view> names;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(static_cast<size_t>(errors[i].code), i);
    EXPECT_TRUE(names.insert(errors[i].name).second) << errors[i].name;
  }
}

TEST(Error, CodeSurvivesContext) {
  arrow::Status status =
      WithContext("commit batch", Error(ErrorCode::kSchemaMismatch, "column ", 3));
  EXPECT_EQ(CodeOf(status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(status.message(), "commit batch: column 3");
  EXPECT_TRUE(WithContext("x", arrow::Status::OK()).ok());
}

TEST(Error, ForeignStatusIsMappedByItsCode) {
  EXPECT_EQ(CodeOf(arrow::Status::Invalid("x")), ErrorCode::kBadData);
  EXPECT_EQ(CodeOf(arrow::Status::UnknownError("x")), ErrorCode::kInternal);
}

TEST(Error, RetryAfterIsCarried) {
  EXPECT_EQ(RetryAfterSeconds(MakeError(ErrorCode::kOverloaded, "full", 2)), 2);
  EXPECT_EQ(RetryAfterSeconds(arrow::Status::Invalid("x")), std::nullopt);
}

}  // namespace
}  // namespace arrowport
