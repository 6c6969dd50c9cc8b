#include "ingest/idempotency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/error.h"

namespace arrowport::ingest {
namespace {

using Kind = Claim::Kind;

ClaimRequest Key(std::string key, std::string table = "t") {
  ClaimRequest request;
  request.table = std::move(table);
  request.key = std::move(key);
  return request;
}
ClaimRequest Sequence(int64_t first, int64_t last = -1) {
  ClaimRequest request;
  request.table = "t";
  request.producer = "p";
  request.first_sequence = first;
  request.last_sequence = last < 0 ? first : last;
  return request;
}
sink::LedgerEntry Applied(const ClaimRequest& request, int64_t at_us = 1) {
  sink::LedgerEntry entry;
  entry.table = request.table;
  entry.key = request.key;
  entry.producer = request.producer;
  entry.sequence = request.last_sequence;
  entry.committed_at_us = at_us;
  return entry;
}
const IdempotencyIndex::OnClaim kNever = [](arrow::Result<Claim>) {
  ADD_FAILURE() << "not expected to wait";
};

TEST(IdempotencyIndex, KeysBelongToTables) {
  IdempotencyIndex index({});
  EXPECT_EQ((**index.Ask(Key("k"), kNever)).kind, Kind::kOwned);
  index.Resolve(Key("k"), Applied(Key("k")));
  EXPECT_EQ((**index.Ask(Key("k"), kNever)).kind, Kind::kReplay);
  EXPECT_EQ((**index.Ask(Key("k", "T"), kNever)).kind, Kind::kReplay);
  EXPECT_EQ((**index.Ask(Key("k", "u"), kNever)).kind, Kind::kOwned);
  EXPECT_EQ((**index.Ask(Key("K"), kNever)).kind, Kind::kOwned);
}

TEST(IdempotencyIndex, WaitersGoOneByOneUntilOneSucceeds) {
  IdempotencyIndex index({.waiters_max = 3});
  ASSERT_EQ((**index.Ask(Key("k"), kNever)).kind, Kind::kOwned);
  std::vector<std::pair<int, Kind>> told;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(index.Ask(Key("k"), [&, i](arrow::Result<Claim> claim) {
      told.emplace_back(i, claim->kind);
    }));
  }
  EXPECT_EQ(CodeOf(index.Ask(Key("k"), kNever)->status()), ErrorCode::kOverloaded);
  index.Resolve(Key("k"), std::nullopt);
  ASSERT_EQ(told, (std::vector<std::pair<int, Kind>>{{0, Kind::kOwned}}));
  index.Resolve(Key("k"), Applied(Key("k")));
  EXPECT_EQ(told, (std::vector<std::pair<int, Kind>>{
                      {0, Kind::kOwned}, {1, Kind::kReplay}, {2, Kind::kReplay}}));
}

TEST(IdempotencyIndex, SequencesHaveNoGaps) {
  IdempotencyIndex index({});
  EXPECT_EQ(CodeOf(index.Ask(Sequence(2), kNever)->status()), ErrorCode::kSequenceGap);
  ASSERT_EQ((**index.Ask(Sequence(1), kNever)).kind, Kind::kOwned);
  index.Resolve(Sequence(1), Applied(Sequence(1)));
  // It began at 1, so 0 was never applied and is no repeat.
  EXPECT_EQ(CodeOf(index.Ask(Sequence(0), kNever)->status()), ErrorCode::kSequenceGap);
  EXPECT_EQ((**index.Ask(Sequence(1), kNever)).kind, Kind::kReplay);
  EXPECT_EQ(CodeOf(index.Ask(Sequence(3), kNever)->status()), ErrorCode::kSequenceGap);
  ASSERT_EQ((**index.Ask(Sequence(2, 5), kNever)).kind, Kind::kOwned);
  index.Resolve(Sequence(2, 5), Applied(Sequence(2, 5)));
  EXPECT_EQ(index.LastSequence("t", "p"), 5);
  EXPECT_EQ((**index.Ask(Sequence(4), kNever)).last_sequence, 5);
}

TEST(IdempotencyIndex, SequencesWaitInOrder) {
  IdempotencyIndex index({});
  ASSERT_EQ((**index.Ask(Sequence(0), kNever)).kind, Kind::kOwned);
  std::vector<std::string> told;
  auto tell = [&](int64_t sequence) {
    return [&told, sequence](arrow::Result<Claim> claim) {
      told.push_back(std::to_string(sequence) + (!claim.ok() ? " gap"
                                                 : claim->kind == Kind::kOwned
                                                     ? " owned"
                                                     : " replay"));
    };
  };
  EXPECT_EQ(CodeOf(index.Ask(Sequence(2), kNever)->status()), ErrorCode::kSequenceGap);
  EXPECT_FALSE(index.Ask(Sequence(1), tell(1)));
  EXPECT_FALSE(index.Ask(Sequence(2), tell(2)));
  EXPECT_FALSE(index.Ask(Sequence(0), tell(0)));
  index.Resolve(Sequence(0), Applied(Sequence(0)));
  EXPECT_EQ(told, (std::vector<std::string>{"0 replay", "1 owned"}));
  // 1 is refused: nothing behind it can be next.
  index.Resolve(Sequence(1), std::nullopt);
  EXPECT_EQ(told, (std::vector<std::string>{"0 replay", "1 owned", "2 gap"}));
  EXPECT_EQ(index.LastSequence("t", "p"), 0);
}

TEST(IdempotencyIndex, LoadsAndPrunes) {
  IdempotencyIndex index({.window_us = 100});
  auto second = Applied(Key("new"), 150);
  index.Load({Applied(Key("old"), 40), second, Applied(Sequence(7), 10)});
  EXPECT_TRUE(index.FindKey("t", "old"));
  index.Prune(145);
  EXPECT_FALSE(index.FindKey("t", "old"));
  EXPECT_TRUE(index.FindKey("t", "new"));
  EXPECT_EQ(index.LastSequence("t", "p"), 7);
  EXPECT_EQ(index.key_count(), 1u);
}

TEST(IdempotencyIndex, NothingIsKeptOfWhatFailed) {
  IdempotencyIndex index({});
  ASSERT_EQ((**index.Ask(Key("k"), kNever)).kind, Kind::kOwned);
  index.Resolve(Key("k"), std::nullopt);
  EXPECT_EQ(index.key_count(), 0u);
  ASSERT_EQ((**index.Ask(Sequence(0), kNever)).kind, Kind::kOwned);
  index.Resolve(Sequence(0), std::nullopt);
  EXPECT_EQ(index.LastSequence("t", "p"), std::nullopt);
}

TEST(IdempotencyIndex, RandomThreadsApplyEachKeyOnce) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  IdempotencyIndex index({});
  std::array<std::atomic<int>, 16> applied{};
  std::atomic<int> pending{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < 2000; ++i) {
        const int k = static_cast<int>(random() % 16);
        const bool fails = random() % 2 == 0;
        auto settle = [&index, &applied, &pending, k, fails](arrow::Result<Claim> claim) {
          --pending;
          if (!claim.ok() || claim->kind != Kind::kOwned) return;
          const auto request = Key(std::to_string(k));
          if (fails) return index.Resolve(request, std::nullopt);
          ++applied[k];
          index.Resolve(request, Applied(request));
        };
        ++pending;
        auto decided = index.Ask(Key(std::to_string(k)), settle);
        if (decided) settle(*std::move(decided));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(pending, 0);
  for (auto& count : applied) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace arrowport::ingest
