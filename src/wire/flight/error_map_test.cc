#include "wire/flight/error_map.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace arrowport::wire::flight {
namespace {

std::string Trailer(const net::Outcome& outcome, std::string_view name) {
  for (const auto& [key, value] : outcome.trailers) {
    if (key == name) return value;
  }
  return "(none)";
}

TEST(ErrorMapTest, EveryCodeHasAStatusThatEveryDriverUnderstands) {
  const auto [errors, count] = AllErrors();
  ASSERT_GT(count, 30u);
  // OK, UNKNOWN, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, DATA_LOSS.
  const std::set<int> banned = {0, 2, 9, 10, 11, 15};
  for (size_t i = 0; i < count; ++i) {
    const ErrorInfo& info = errors[i];
    const auto outcome = OutcomeOf(MakeError(info.code, "text"));
    EXPECT_FALSE(banned.contains(outcome.grpc_status)) << info.name;
    EXPECT_EQ(outcome.message, "text");
    EXPECT_EQ(Trailer(outcome, "arrowport-code"), info.name);
    EXPECT_EQ(Trailer(outcome, "x-arrow-status"),
              std::to_string(static_cast<int>(info.status_code)));
    EXPECT_EQ(Trailer(outcome, "x-arrow-status-message-bin"), "text");
    if (outcome.grpc_status == static_cast<int>(GrpcStatus::kUnavailable)) {
      EXPECT_TRUE(info.retriable) << info.name;
    }
  }
}

TEST(ErrorMapTest, TheContractNamesTheseOnes) {
  const auto status = [](ErrorCode code) { return GrpcStatusOf(code); };
  EXPECT_EQ(status(ErrorCode::kBadQuery), GrpcStatus::kInvalidArgument);
  EXPECT_EQ(status(ErrorCode::kConstraintViolation), GrpcStatus::kInvalidArgument);
  EXPECT_EQ(status(ErrorCode::kSequenceGap), GrpcStatus::kInvalidArgument);
  EXPECT_EQ(status(ErrorCode::kColumnNotFound), GrpcStatus::kNotFound);
  EXPECT_EQ(status(ErrorCode::kAlreadyExists), GrpcStatus::kAlreadyExists);
  EXPECT_EQ(status(ErrorCode::kNotBuilt), GrpcStatus::kUnimplemented);
  EXPECT_EQ(status(ErrorCode::kTooLarge), GrpcStatus::kResourceExhausted);
  EXPECT_EQ(status(ErrorCode::kDraining), GrpcStatus::kUnavailable);
  EXPECT_EQ(status(ErrorCode::kCancelled), GrpcStatus::kCancelled);
}

TEST(ErrorMapTest, OkHasNoTrailers) {
  const auto outcome = OutcomeOf(arrow::Status::OK());
  EXPECT_EQ(outcome.grpc_status, 0);
  EXPECT_TRUE(outcome.trailers.empty());
}

TEST(ErrorMapTest, CarriesTheRetryHint) {
  EXPECT_EQ(
      Trailer(OutcomeOf(MakeError(ErrorCode::kOverloaded, "busy", 7)), "retry-after"),
      "7");
}

TEST(ErrorMapTest, LongMessagesAreCutBetweenCharacters) {
  std::string text(1499, 'a');
  for (int i = 0; i < 100; ++i) text += "\xE2\x82\xAC";
  const auto message = OutcomeOf(MakeError(ErrorCode::kBadQuery, text)).message;
  EXPECT_EQ(message, std::string(1499, 'a') + " ...");
}

}  // namespace
}  // namespace arrowport::wire::flight
