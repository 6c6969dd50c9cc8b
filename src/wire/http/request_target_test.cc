#include "wire/http/request_target.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

TEST(RequestTarget, PercentDecodes) {
  EXPECT_EQ(*PercentDecode("a%20b+c%2F%c3%A4", Plus::kPlus), "a b+c/\xc3\xa4");
  EXPECT_EQ(*PercentDecode("a+b", Plus::kSpace), "a b");
  for (const char* bad : {"%", "a%2", "%zz", "%2x", "%%20"}) {
    auto result = PercentDecode(bad, Plus::kPlus);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(CodeOf(result.status()), ErrorCode::kInvalidArgument);
  }
}

TEST(RequestTarget, ParsesQueryParts) {
  auto parameters = *ParseQueryPart("a=1&b=x%26y&&c&d=a=b");
  EXPECT_EQ(parameters,
            (QueryParameters{{"a", "1"}, {"b", "x&y"}, {"c", ""}, {"d", "a=b"}}));
  EXPECT_TRUE(ParseQueryPart("")->empty());
  EXPECT_FALSE(ParseQueryPart("a=1&a=2").ok());
  EXPECT_FALSE(ParseQueryPart("a=%").ok());
}

TEST(RequestTarget, SplitsPaths) {
  EXPECT_EQ(SplitPath("/stream/a%2Fb"),
            (std::vector<std::string_view>{"stream", "a%2Fb"}));
  EXPECT_EQ(SplitPath("/"), (std::vector<std::string_view>{""}));
  EXPECT_EQ(SplitPath("/a/"), (std::vector<std::string_view>{"a", ""}));
}

TEST(RequestTarget, Negotiates) {
  auto chosen = [](std::string accept) {
    auto result = NegotiateFormat(&accept);
    EXPECT_TRUE(result.ok()) << accept;
    return result.ok() ? *result : ResultFormat::kArrow;
  };
  EXPECT_EQ(*NegotiateFormat(nullptr), ResultFormat::kArrow);
  EXPECT_EQ(chosen("*/*"), ResultFormat::kArrow);
  EXPECT_EQ(chosen("Text/CSV; charset=utf-8"), ResultFormat::kCsv);
  EXPECT_EQ(chosen("application/json;q=0.5, text/csv;q=0.9"), ResultFormat::kCsv);
  EXPECT_EQ(chosen("text/html, application/json, */*"), ResultFormat::kJson);
  EXPECT_EQ(chosen("*/*, application/json"), ResultFormat::kJson);
  EXPECT_EQ(chosen("application/x-ndjson"), ResultFormat::kNdjson);
  for (std::string bad : {"image/png", "text/csv;q=0", "text/csv;q=x", ";;,,"}) {
    auto result = NegotiateFormat(&bad);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(CodeOf(result.status()), ErrorCode::kUnsupportedMediaType);
  }
}

}  // namespace
}  // namespace arrowport::wire::http
