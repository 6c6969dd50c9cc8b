// Judged by nlohmann's JSON, and for UTF-8 by Arrow.
#include "zerobus/encode/json_text.h"

#include <arrow/util/utf8.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace arrowport::zerobus::encode::internal {
namespace {

/// Nothing when it is not UTF-8. The bytes lie in memory of just their size.
std::string Quoted(const std::string& text) {
  const auto exact = std::make_unique<char[]>(text.size());
  std::copy(text.begin(), text.end(), exact.get());
  JsonText out(text.size());
  out.Append('x');
  if (!out.AppendQuoted({exact.get(), text.size()})) return {};
  std::string quoted(out.From(1));
  EXPECT_EQ(out.Finish()->ToString(), "x" + quoted);
  return quoted;
}

void ExpectReadBack(const std::string& text) {
  const std::string quoted = Quoted(text);
  const auto read = nlohmann::json::parse(quoted, nullptr, false);
  ASSERT_TRUE(read.is_string()) << quoted;
  ASSERT_EQ(read.get<std::string>(), text) << quoted;
  ASSERT_TRUE(std::none_of(quoted.begin(), quoted.end(),
                           [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
}

TEST(JsonText, Escapes) {
  EXPECT_EQ(Quoted(""), R"("")");
  EXPECT_EQ(Quoted("a/b'\x7f"), "\"a/b'\x7f\"");
  EXPECT_EQ(Quoted("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(Quoted(std::string("\0\b\f\x1f", 4)), R"("\u0000\u0008\u000c\u001f")");
  EXPECT_EQ(Quoted("é漢🎉"), "\"é漢🎉\"");
}

TEST(JsonText, EveryCharacterAtEveryPlace) {
  for (size_t size : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 33}) {
    for (size_t place = 0; place < size; ++place) {
      for (int c = 0; c < 128; ++c) {
        std::string text(size, 'x');
        text[place] = static_cast<char>(c);
        ExpectReadBack(text);
      }
    }
  }
}

TEST(JsonText, NeighboursOfWhatIsEscaped) {
  // 0x1f, 0x21, 0x23, 0x5b, 0x5d beside the escaped: a carry between bytes would show.
  const std::string neighbours = "\x1f\x20\x21\"#\"!\\[\\]\\\x01\x02\"\"\\\\\x7f\x1f!";
  for (size_t before = 0; before < 17; ++before) {
    ExpectReadBack(std::string(before, '!') + neighbours);
    ExpectReadBack(std::string(before, '"') + neighbours + std::string(before, '\\'));
    ExpectReadBack(std::string(before, 'a') + "é" + neighbours + "漢\"🎉");
  }
}

TEST(JsonText, LongText) {
  const std::string plain(100'003, 'a');
  EXPECT_EQ(Quoted(plain), '"' + plain + '"');
  ExpectReadBack(std::string(5000, '\x01'));  // six times as long
  ExpectReadBack(plain + "\"" + plain + "é" + plain);
}

TEST(JsonText, OnlyUtf8) {
  // A part of a character, or a wrong one, at every place; beside it what is escaped.
  for (const std::string bad : {"\x80", "\xc3", "\xc0\x80", "\xe6\xbc", "\xed\xa0\x80",
                                "\xf0\x9f\x8e", "\xf4\x90\x80\x80", "\xff", "\xa9\xc3"}) {
    for (size_t before = 0; before < 20; ++before) {
      for (size_t after : {0, 1, 7, 20}) {
        const std::string head(before, 'x'), tail(after, 'x');
        EXPECT_EQ(Quoted(head + bad + tail), "");
        EXPECT_EQ(Quoted(head + "é\"" + bad + tail), "");
        EXPECT_EQ(Quoted("\"" + head + bad + "\\" + tail), "");
      }
    }
  }
}

TEST(JsonText, BytesAtRandom) {
  std::mt19937 random(4);
  const std::string pieces[] = {"a", "\"", "\\", "\n", "é", "漢", "🎉", "plain words", "\x1f",
                                std::string(1, '\0'), "\xc3", "\xa9"};
  int good = 0;
  for (int i = 0; i < 30'000; ++i) {
    const size_t kinds = i % 2 == 0 ? std::size(pieces) : std::size(pieces) - 2;
    std::string text;
    for (auto n = random() % 12; n > 0; --n) text += pieces[random() % kinds];
    if (arrow::util::ValidateUTF8(text)) {
      ExpectReadBack(text);
      ++good;
    } else {
      ASSERT_EQ(Quoted(text), "");
    }
  }
  EXPECT_GT(good, 15'000);
  EXPECT_LT(good, 29'000);
}

TEST(JsonText, CountsOneRowAtATime) {
  JsonText out(3);
  out.Append("12345");
  EXPECT_TRUE(out.is_too_large());
  const size_t before = out.BeginCount();
  EXPECT_FALSE(out.is_too_large());
  out.Append("123");
  EXPECT_FALSE(out.is_too_large());
  out.Append('4');
  EXPECT_TRUE(out.is_too_large());
  out.Truncate(5);
  EXPECT_FALSE(out.is_too_large());
  out.CountFrom(before);
  EXPECT_TRUE(out.is_too_large());
  EXPECT_EQ(out.Finish()->ToString(), "12345");
  EXPECT_EQ(out.size(), 0u);
  EXPECT_EQ(out.Finish()->size(), 0);
}

}  // namespace
}  // namespace arrowport::zerobus::encode::internal
