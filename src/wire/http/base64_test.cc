#include "wire/http/base64.h"

#include <arrow/util/base64.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

arrow::Result<std::string> DecodeInPieces(std::string_view text, size_t piece) {
  Base64Decoder decoder;
  std::string all;
  for (size_t at = 0; at < text.size(); at += piece) {
    std::string_view part = text.substr(at, piece);
    std::vector<uint8_t> out(Base64Decoder::RoomFor(part.size()));
    size_t written = 0;
    ARROW_RETURN_NOT_OK(decoder.Decode(part, out.data(), &written));
    all.append(reinterpret_cast<const char*>(out.data()), written);
  }
  ARROW_RETURN_NOT_OK(decoder.End());
  return all;
}

TEST(Base64, DecodesWhatArrowEncodesAtEveryLengthAndCut) {
  std::mt19937 random(7);
  for (size_t length = 0; length < 300; ++length) {
    std::string bytes(length, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string text = arrow::util::base64_encode(bytes);
    for (size_t piece : {1u, 3u, 4u, 7u, 33u, 1000u}) {
      auto decoded = DecodeInPieces(text, piece);
      ASSERT_TRUE(decoded.ok()) << length << " " << piece << " " << decoded.status();
      ASSERT_EQ(*decoded, bytes) << length << " " << piece;
    }
  }
}

TEST(Base64, RefusesEveryForeignCharacterAtEveryPlaceOfAVector) {
  const std::string good(64, 'Q');
  const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int c = 0; c < 256; ++c) {
    const bool valid = alphabet.find(static_cast<char>(c)) != std::string::npos;
    for (size_t at : {0u, 5u, 17u, 31u, 40u, 63u}) {
      std::string text = good;
      text[at] = static_cast<char>(c);
      if (c == '=' && at == 63) continue;
      EXPECT_EQ(DecodeInPieces(text, 1000).ok(), valid) << c << " at " << at;
    }
  }
}

TEST(Base64, RefusesBadPaddingAndCuts) {
  for (const char* bad :
       {"Q", "QQ", "QQQ", "QQ=", "QQ==Q", "QQ==QQ==", "=QQQ", "Q===", "QQ=Q", "QQQ=="}) {
    auto result = DecodeInPieces(bad, 2);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(CodeOf(result.status()), ErrorCode::kBadData);
  }
}

TEST(Base64, DecodesFastEnough) {
  const std::string text(64 << 20, 'Q');
  std::vector<uint8_t> out(Base64Decoder::RoomFor(256 << 10));
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    Base64Decoder decoder;
    const auto start = std::chrono::steady_clock::now();
    for (size_t at = 0; at < text.size(); at += 256 << 10) {
      size_t written = 0;
      ASSERT_TRUE(
          decoder
              .Decode(std::string_view(text).substr(at, 256 << 10), out.data(), &written)
              .ok());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  RecordProperty("GBps", std::to_string(static_cast<double>(text.size()) / best / 1e9));
  std::printf("base64: %.2f GB/s of text\n",
              static_cast<double>(text.size()) / best / 1e9);
  EXPECT_LT(best, 2.0);
}

}  // namespace
}  // namespace arrowport::wire::http
