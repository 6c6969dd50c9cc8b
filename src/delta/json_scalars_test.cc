#include "delta/json_scalars.h"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace arrowport::delta {
namespace {

/// What is taken for JSON must be JSON, and say the same to the reference parser.
TEST(JsonScalarsTest, NoMoreIsAcceptedThanAReferenceParserAccepts) {
  const std::string whole =
      R"({"numRecords":7,"minValues":{"a":-3.5e+2,"s":{"a":[1,{"b":null}]},"t":"x\u0041"},)"
      R"( "maxValues":{"a":40,"s":{}},"nullCount":{"a":0},"x":[true,false,[]]})";
  std::mt19937 random(1);
  const std::string bytes = "{}[],:\"\\ue0-+.1tn\x01\xc3 ";
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = whole;
    for (unsigned changes = random() % 3; changes > 0; --changes) {
      const size_t at = random() % text.size();
      const char byte = bytes[random() % bytes.size()];
      if (random() % 2 == 0) text[at] = byte;
      else if (random() % 2 == 0) text.erase(at, 1);
      else text.insert(at, 1, byte);
    }
    std::array<JsonPick, 3> picks{JsonPick{"minValues", "a", {}},
                                  JsonPick{"minValues", "t", {}},
                                  JsonPick{"numRecords", "", {}}};
    if (!PickScalars(text, picks)) continue;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    ASSERT_TRUE(json.is_object()) << text;
    ++accepted;
    for (const JsonPick& pick : picks) {
      const nlohmann::json* at = &json;
      for (const auto name : {pick.section, pick.name}) {
        if (name.empty()) continue;
        const auto next = at->is_object() ? at->find(std::string(name)) : at->end();
        at = at->is_object() && next != at->end() ? &*next : nullptr;
        if (at == nullptr) break;
      }
      const bool scalar = at != nullptr && (at->is_number() || at->is_string());
      ASSERT_EQ(pick.found.has_value(), scalar) << text;
      if (!scalar) continue;
      if (at->is_string()) {
        EXPECT_EQ(pick.found->text, at->get<std::string>()) << text;
      } else {
        EXPECT_EQ(std::stod(pick.found->text), at->get<double>()) << text;
      }
    }
  }
  EXPECT_GT(accepted, 5000);
  EXPECT_LT(accepted, 15000);
}

TEST(JsonScalarsTest, TheLastOfMembersWithOneNameCounts) {
  std::array<JsonPick, 2> picks{JsonPick{"min", "a", {}}, JsonPick{"n", "", {}}};
  ASSERT_TRUE(PickScalars(R"({"min":{"a":1,"a":2},"n":1,"n":null})", picks));
  EXPECT_EQ(picks[0].found->text, "2");
  EXPECT_FALSE(picks[1].found);
  ASSERT_TRUE(PickScalars(R"({"min":{"a":1},"min":{"b":2}})", picks));
  EXPECT_FALSE(picks[0].found);
}

TEST(JsonScalarsTest, NestingIsBounded) {
  const std::string deep = "{\"a\":" + std::string(200, '[') + std::string(200, ']') + "}";
  EXPECT_FALSE(PickScalars(deep, {}));
}

}  // namespace
}  // namespace arrowport::delta
