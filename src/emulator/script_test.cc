#include "emulator/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "emulator/scenario.h"

namespace arrowport::emulator {
namespace {

using ::testing::HasSubstr;

std::string Refused(const std::string& json) {
  const auto script = ParseScript(json);
  if (script.ok()) return "accepted";
  EXPECT_EQ(CodeOf(script.status()), ErrorCode::kBadConfig);
  return script.status().message();
}

TEST(ScriptTest, ErrorsNameTheField) {
  EXPECT_THAT(Refused("["), HasSubstr("not JSON"));
  EXPECT_THAT(Refused("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(Refused(R"({"ack": {}})"), HasSubstr("unknown field ack"));
  EXPECT_THAT(Refused(R"({"acks": {"every": -1}})"), HasSubstr("acks.every"));
  EXPECT_THAT(Refused(R"({"rotation": {}})"), HasSubstr("rotation.after_ms"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "nowhere", "action": {"type": "ok"}}]})"),
              HasSubstr("faults[0].point"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "after_open", "action": {"type": "no"}}]})"),
              HasSubstr("faults[0].action.type"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "after_open"}]})"),
              HasSubstr("faults[0].action"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "after_open", "at": 1,
                           "action": {"type": "ok"}}]})"),
              HasSubstr("faults[0].at"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "mid_frame", "action": {"type": "ok"}}]})"),
              HasSubstr("middle of a frame"));
  EXPECT_THAT(Refused(R"({"faults": [{"point": "after_open",
                           "action": {"type": "status", "code": "NOPE"}}]})"),
              HasSubstr("action.code"));
  EXPECT_THAT(Refused(R"({"tables": {"c.s.t": {"faults": []}}})"),
              HasSubstr("tables[c.s.t].faults"));
}

Script Parsed(const std::string& json) {
  auto script = ParseScript(json);
  EXPECT_TRUE(script.ok()) << script.status();
  return script.ok() ? *script : Script{};
}

TEST(ScenarioTest, RulesOfATableStandBeforeThoseOfAll) {
  Scenario scenario(1);
  scenario.SetScript(Parsed(R"({"acks": {"every": 2},
      "rotation": {"after_ms": 5, "connection": [2, 3]},
      "tables": {"c.s.own": {"acks": {"every": 7}}}})"));
  EXPECT_EQ(scenario.OnConnection("c.s.t", Mode::kRecord).acks().every, 2);
  EXPECT_EQ(scenario.OnConnection("c.s.own", Mode::kRecord).acks().every, 7);
  EXPECT_EQ(scenario.OnConnection("c.s.new", Mode::kRecord).rotation(), nullptr);
  EXPECT_NE(scenario.OnConnection("c.s.own", Mode::kRecord).rotation(), nullptr)
      << "the second connection";
}

TEST(ScenarioTest, FaultsFollowTableModeConnectionAndTimes) {
  Scenario scenario(1);
  scenario.SetScript(Parsed(R"({"faults": [
      {"table": "c.s.t", "mode": "flight", "connection": [2, 3], "times": 1,
       "point": "before_log", "at": [4, 5], "action": {"type": "ok"}}]})"));
  const auto strikes = [&](const std::string& table, Mode mode, int64_t at) {
    return scenario.OnConnection(table, mode).Strike(Point::kBeforeLog, at) != nullptr;
  };
  EXPECT_FALSE(strikes("c.s.t", Mode::kFlight, 4)) << "first connection";
  EXPECT_FALSE(strikes("c.s.t", Mode::kRecord, 4)) << "second, other mode";
  EXPECT_FALSE(strikes("c.s.u", Mode::kFlight, 4)) << "other table";
  auto third = scenario.OnConnection("c.s.t", Mode::kFlight);
  EXPECT_FALSE(third.Strike(Point::kBeforeLog, 3));
  EXPECT_FALSE(third.Strike(Point::kAfterLog, 4));
  EXPECT_TRUE(third.Strike(Point::kBeforeLog, 5));
  EXPECT_FALSE(third.Strike(Point::kBeforeLog, 4)) << "once only";
}

TEST(ScenarioTest, TheSameSeedMakesTheSameChoices) {
  const char* script = R"({"faults": [{"point": "after_open", "probability": 0.5,
                           "action": {"type": "ok"}}]})";
  const auto choices = [&](uint64_t seed) {
    Scenario scenario(seed);
    scenario.SetScript(Parsed(script));
    std::string chosen;
    for (int i = 0; i < 64; ++i) {
      auto plan = scenario.OnConnection("c.s.t", Mode::kRecord);
      chosen += plan.Strike(Point::kAfterOpen) ? '1' : '0';
    }
    return chosen;
  };
  EXPECT_EQ(choices(7), choices(7));
  EXPECT_NE(choices(7), choices(8));
  EXPECT_THAT(choices(7), HasSubstr("1"));
  EXPECT_THAT(choices(7), HasSubstr("0"));
}

}  // namespace
}  // namespace arrowport::emulator
