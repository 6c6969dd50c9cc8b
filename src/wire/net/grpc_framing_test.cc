#include "wire/net/grpc_framing.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "wire/net/grpc_headers.h"
#include "wire/net/grpc_text.h"
#include "wire/net/http1_head.h"
#include "wire/net/testing_handlers.h"

namespace arrowport::wire::net {
namespace {

using testing::AppendVarint;

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Field(uint64_t number, std::string_view value) {
  std::string field;
  AppendVarint(number << 3 | 2, &field);
  AppendVarint(value.size(), &field);
  field += value;
  return field;
}

std::string Framed(std::string_view message) {
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    framed += static_cast<char>(message.size() >> shift);
  }
  framed += message;
  return framed;
}

/// Feeds in pieces and admits everything.
arrow::Result<std::vector<Inbound>> Cut(MessageCutter* cutter, std::string_view bytes,
                                        size_t piece) {
  std::vector<Inbound> messages;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    auto part = Bytes(bytes.substr(at, piece));
    while (true) {
      ARROW_ASSIGN_OR_RAISE(size_t used, cutter->Feed(part, &messages));
      part = part.subspan(used);
      if (!cutter->awaiting_admission()) break;
      cutter->Admit();
    }
  }
  return messages;
}

TEST(MessageCutterTest, FlightDataInPiecesOfEverySize) {
  auto pool = BufferPool::Make(1 << 20, std::make_shared<ByteBudget>(1 << 30));
  std::string unknown;
  AppendVarint(77 << 3 | 0, &unknown);
  AppendVarint(1ull << 60, &unknown);
  AppendVarint(78 << 3 | 1, &unknown);
  unknown += "8 bytes.";
  AppendVarint(79 << 3 | 5, &unknown);
  unknown += "four";
  const std::string body(1000, 'b');
  const std::string wire =
      Framed(Field(1, "path") + unknown + Field(2, "meta") + Field(99, "skipped") +
             Field(3, "app") + Field(1000, body)) +
      Framed("") + Framed(Field(1000, ""));
  for (size_t piece = 1; piece <= wire.size(); ++piece) {
    MessageCutter cutter(MessageFormat::kFlightData, 1 << 20, pool);
    auto messages = Cut(&cutter, wire, piece);
    ASSERT_TRUE(messages.ok()) << messages.status() << " piece " << piece;
    ASSERT_EQ(messages->size(), 3u);
    const Message& first = (*messages)[0].message;
    EXPECT_EQ(first.descriptor->ToString(), "path");
    EXPECT_EQ(first.metadata->ToString(), "meta");
    EXPECT_EQ(first.app_metadata->ToString(), "app");
    EXPECT_EQ(first.body->ToString(), body);
    EXPECT_EQ(first.body->address() % 64, 0u);
    EXPECT_EQ((*messages)[1].message.body, nullptr);
    EXPECT_EQ((*messages)[2].message.body->size(), 0);
    EXPECT_TRUE(cutter.at_boundary());
  }
  EXPECT_EQ(pool->budget()->used_bytes(), 0);
}

TEST(MessageCutterTest, HostileMessages) {
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  auto pool = BufferPool::Make(1 << 20, budget);
  std::string long_field;
  AppendVarint(1000 << 3 | 2, &long_field);
  AppendVarint(1ull << 62, &long_field);
  std::string negative;
  AppendVarint(1000 << 3 | 2, &negative);
  AppendVarint(~0ull, &negative);
  for (const std::string& message :
       {long_field, negative, std::string(11, '\xff'), std::string("\x0a\x05half"),
        std::string("\x08\x01"), std::string("\x0b"), std::string("\0\0", 2),
        std::string("\x12")}) {
    MessageCutter cutter(MessageFormat::kFlightData, 1 << 20, pool);
    auto messages = Cut(&cutter, Framed(message), 3);
    ASSERT_FALSE(messages.ok());
    EXPECT_EQ(CodeOf(messages.status()), ErrorCode::kBadData) << messages.status();
  }
  EXPECT_EQ(budget->used_bytes(), 0);
}

TEST(MessageCutterTest, ReservesAtThePrefixAndCountsOnce) {
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  auto pool = BufferPool::Make(1 << 20, budget);
  MessageCutter cutter(MessageFormat::kFlightData, 1 << 30, pool);
  std::string body = Field(1000, std::string(200'000, 'b'));
  std::string wire = Framed(body);
  std::vector<Inbound> messages;
  EXPECT_EQ(*cutter.Feed(Bytes(wire), &messages), 5u);
  EXPECT_TRUE(cutter.awaiting_admission());
  EXPECT_EQ(budget->used_bytes(), 0);
  cutter.Admit();
  EXPECT_EQ(budget->used_bytes(), static_cast<int64_t>(body.size()));
  ASSERT_TRUE(cutter.Feed(Bytes(wire).subspan(5, 100'000), &messages).ok());
  EXPECT_EQ(budget->used_bytes(), static_cast<int64_t>(body.size()));
  ASSERT_TRUE(cutter.Feed(Bytes(wire).subspan(100'005), &messages).ok());
  EXPECT_EQ(budget->used_bytes(), 200'000);
  messages.clear();
  EXPECT_EQ(budget->used_bytes(), 0);
}

TEST(MessageCutterTest, TooLargeAtThePrefix) {
  MessageCutter cutter(MessageFormat::kRaw, 100, BufferPool::Make(0, nullptr));
  std::vector<Inbound> messages;
  auto used = cutter.Feed(Bytes(std::string_view("\0\0\0\0\x65", 5)), &messages);
  EXPECT_EQ(CodeOf(used.status()), ErrorCode::kTooLarge);
}

TEST(GrpcTextTest, MessagesArePercentEncoded) {
  EXPECT_EQ(EncodeGrpcMessage("plain text"), "plain text");
  EXPECT_EQ(EncodeGrpcMessage("100%\n\xc3\xa9"), "100%25%0A%C3%A9");
}

TEST(GrpcTextTest, Timeouts) {
  using std::chrono::nanoseconds;
  EXPECT_EQ(ParseGrpcTimeout("1S"), nanoseconds(1'000'000'000));
  EXPECT_EQ(ParseGrpcTimeout("20m"), nanoseconds(20'000'000));
  EXPECT_EQ(ParseGrpcTimeout("3u"), nanoseconds(3000));
  EXPECT_EQ(ParseGrpcTimeout("99999999n"), nanoseconds(99'999'999));
  EXPECT_TRUE(ParseGrpcTimeout("99999999H")->count() > 0);
  EXPECT_TRUE(ParseGrpcTimeout("99999999M")->count() > 0);
  for (std::string_view bad : {"", "S", "1", "1x", "-1S", "123456789S", "1.5S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(bad)) << bad;
  }
}

TEST(GrpcTextTest, Base64) {
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37);
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
  }
  EXPECT_EQ(EncodeBase64("ab"), "YWI");
  EXPECT_EQ(DecodeBase64("YWI="), "ab");
  EXPECT_FALSE(DecodeBase64("Y"));
  EXPECT_FALSE(DecodeBase64("Y-I_"));
}

TEST(GrpcHeadersTest, BinaryMetadataIsSplitAndDecoded) {
  Headers headers;
  EXPECT_TRUE(AppendMetadata("x-bin", "YWI, Y2Q=", &headers));
  EXPECT_EQ(headers, (Headers{{"x-bin", "ab"}, {"x-bin", "cd"}}));
  EXPECT_FALSE(AppendMetadata("x-bin", "*", &headers));
  EXPECT_TRUE(AppendMetadata("x", "a, b", &headers));
  EXPECT_EQ(headers.back().second, "a, b");
}

TEST(GrpcHeadersTest, WhatMayNotBeSentIsLeftOut) {
  HeaderBlock block;
  block.AddMetadata({{"X-Upper", "a\r\nb"},
                     {":status", "1"},
                     {"bad name", "x"},
                     {"data-bin", "ab"},
                     {"grpc-status", "0"}});
  std::vector<std::string> sent;
  for (const auto& entry : block.entries()) {
    sent.push_back(std::string(reinterpret_cast<char*>(entry.name), entry.namelen) + "=" +
                   std::string(reinterpret_cast<char*>(entry.value), entry.valuelen));
  }
  EXPECT_EQ(sent, (std::vector<std::string>{"x-upper=a  b", "data-bin=YWI"}));
}

TEST(Http1HeadTest, Targets) {
  struct Case {
    std::string_view target, path, query;
  };
  for (const Case& test :
       {Case{"/a/b?x=1&y", "/a/b", "x=1&y"}, Case{"/a%20b", "/a%20b", ""},
        Case{"http://h:1/p?q", "/p", "q"}, Case{"http://h", "/", ""}, Case{"*", "*", ""},
        Case{"/a?b?c", "/a", "b?c"}}) {
    RequestHead head;
    EXPECT_TRUE(SplitTarget(test.target, &head)) << test.target;
    EXPECT_EQ(head.path, test.path);
    EXPECT_EQ(head.query, test.query);
  }
  RequestHead head;
  EXPECT_FALSE(SplitTarget("", &head));
  EXPECT_FALSE(SplitTarget("host:80", &head));
}

TEST(Http1HeadTest, FieldsOfHandlersCannotBreakTheHead) {
  ResponseHead head;
  head.headers = {{"x", "a\r\nset-cookie: b"},
                  {"bad\r\nname", "x"},
                  {"Content-Length", "7"},
                  {"transfer-encoding", "chunked"}};
  std::string text;
  AnswerHeadContext context;
  context.request_id = "id";
  context.whole_bytes = 3;
  EXPECT_EQ(AppendAnswerHead(context, &head, &text), AnswerFraming::kLength);
  EXPECT_NE(text.find("x: a  set-cookie: b\r\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("bad"), std::string::npos);
  EXPECT_EQ(text.find("chunked"), std::string::npos);
  EXPECT_NE(text.find("Content-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(ChunkHead(255), "ff\r\n");
}

}  // namespace
}  // namespace arrowport::wire::net
