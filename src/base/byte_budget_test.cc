#include "base/byte_budget.h"

#include <gtest/gtest.h>

namespace arrowport {
namespace {

TEST(ByteBudget, ReservesUpToTheLimit) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.TryReserve(60));
  EXPECT_FALSE(budget.TryReserve(41));
  EXPECT_TRUE(budget.TryReserve(40));
  EXPECT_EQ(budget.used_bytes(), 100);
}

TEST(ByteBudget, OneOversizedReservationIsAdmittedAlone) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.TryReserve(1000));
  EXPECT_FALSE(budget.TryReserve(1));
  budget.Release(1000);
  EXPECT_TRUE(budget.TryReserve(1));
}

TEST(ByteBudget, WaitersRunWhenBelowAndOnlyOnce) {
  ByteBudget budget(10);
  budget.Charge(20);
  int calls = 0;
  EXPECT_NE(budget.WhenBelow([&] { ++calls; }), 0u);
  uint64_t forgotten = budget.WhenBelow([&] { calls += 100; });
  EXPECT_TRUE(budget.Forget(forgotten));
  budget.Release(5);
  EXPECT_EQ(calls, 0);
  budget.Release(5);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(budget.WhenBelow([&] { ++calls; }), 0u);
  EXPECT_EQ(calls, 2);
}

TEST(ByteBudget, HoldGivesBackOnce) {
  auto budget = std::make_shared<ByteBudget>(10);
  budget->Charge(7);
  {
    BudgetHold hold(budget, 7);
    BudgetHold moved(std::move(hold));
    EXPECT_EQ(budget->used_bytes(), 7);
  }
  EXPECT_EQ(budget->used_bytes(), 0);
}

}  // namespace
}  // namespace arrowport
