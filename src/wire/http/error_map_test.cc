#include "wire/http/error_map.h"

#include <gtest/gtest.h>

#include <set>

namespace arrowport::wire::http {
namespace {

TEST(HttpErrorMap, EveryCodeHasADocumentedStatusThatFitsItsFault) {
  const std::set<int> documented = {400, 401, 403, 404, 405, 409, 413,
                                    415, 422, 429, 500, 501, 503, 507};
  auto [errors, count] = AllErrors();
  for (size_t i = 0; i < count; ++i) {
    const int status = HttpStatusOf(errors[i].code);
    EXPECT_TRUE(documented.contains(status)) << errors[i].name << " " << status;
    if (status == 429 || status == 503) {
      EXPECT_TRUE(errors[i].retriable) << errors[i].name;
    }
    if (status == 500) {
      EXPECT_NE(errors[i].fault, Fault::kCaller) << errors[i].name;
    }
    if (status < 500 && status != 429 && status != 409) {
      EXPECT_EQ(errors[i].fault, Fault::kCaller) << errors[i].name;
    }
  }
}

TEST(HttpErrorMap, ContractSamples) {
  EXPECT_EQ(HttpStatusOf(ErrorCode::kSchemaMismatch), 409);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kSequenceGap), 409);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kSchemaDeclarationMismatch), 400);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kBadConfig), 422);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kNotBuilt), 501);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kNoSpace), 507);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kBadQuery), 400);
  EXPECT_EQ(HttpStatusOf(ErrorCode::kTableNotFound), 404);
}

}  // namespace
}  // namespace arrowport::wire::http
