#include "ingest/committer.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "ingest/service_fixture.h"

namespace arrowport::ingest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = CommitCredits::Time;

TEST(CommitCredits, ABurstThenTheSpacing) {
  CommitCredits credits;
  const milliseconds spacing(500);
  Time now = Time() + seconds(100);
  for (int i = 0; i < CommitCredits::kSavedMax; ++i) {
    EXPECT_EQ(credits.NextAt(now, spacing), now) << i;
    credits.Take(now, spacing);
  }
  for (int i = 1; i < 5; ++i) {
    const Time next = credits.NextAt(now, spacing);
    EXPECT_EQ(next, now + spacing) << i;
    now = next;
    credits.Take(now, spacing);
  }
  // Without spacing nothing is asked for and nothing is taken.
  EXPECT_EQ(credits.NextAt(now, milliseconds(0)), now);
  credits.Take(now, milliseconds(0));
  // Two are saved up in a second, all of them in ten.
  now += seconds(1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(credits.NextAt(now, spacing), now);
    credits.Take(now, spacing);
  }
  EXPECT_GT(credits.NextAt(now, spacing), now);
  EXPECT_FALSE(credits.full(now));
  now += seconds(10);
  EXPECT_TRUE(credits.full(now));
  int saved = 0;
  for (; credits.NextAt(now, spacing) == now; ++saved) credits.Take(now, spacing);
  EXPECT_EQ(saved, CommitCredits::kSavedMax);
}

/// A sink that only says what was committed with what.
class Recorder : public FakeSink {
 public:
  std::vector<sink::WriteOutcome> CommitGroup(
      std::span<const sink::WriteUnit> units) override {
    std::unique_lock lock(mutex_);
    const std::string& table = units.front().table->name.table;
    groups_[table].push_back(units.size());
    ++running_;
    most_running_ = std::max(most_running_, running_);
    changed_.notify_all();
    changed_.wait_for(lock, kDeadline, [&] { return !held_; });
    --running_;
    return std::vector<sink::WriteOutcome>(units.size());
  }
  void HoldCommits(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  bool WaitForRunning(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return running_ >= count; });
  }
  std::vector<size_t> Groups(const std::string& table) {
    std::lock_guard lock(mutex_);
    return groups_[table];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<size_t>> groups_;
  bool held_ = false;
  int running_ = 0, most_running_ = 0;
};

class CommitterTest : public testing::Test {
 protected:
  void Start(CommitterOptions options) {
    committer_ = std::make_unique<Committer>(recorder_, options, nullptr);
    committer_->Start();
  }
  arrow::Status Submit(const std::string& table, int64_t rows = 1,
                       milliseconds spacing = milliseconds(0)) {
    auto description = std::make_shared<sink::Table>();
    description->name.table = table;
    CommitJob job;
    job.lane = table;
    job.spacing = spacing;
    job.rows = rows;
    job.bytes = rows;
    job.unit.table = description;
    job.done = [this](const sink::WriteUnit&, sink::WriteOutcome) { Count(); };
    return committer_->Submit(std::move(job));
  }
  void Count() {
    std::lock_guard lock(mutex_);
    ++done_;
    changed_.notify_all();
  }
  bool WaitForDone(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return done_ >= count; });
  }

  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
  std::unique_ptr<Committer> committer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int done_ = 0;
};

TEST_F(CommitterTest, LanesCommitBesideEachOtherAndGroupWhatWaits) {
  Start({.threads = 2});
  recorder_->HoldCommits(true);
  ASSERT_TRUE(Submit("a").ok());
  ASSERT_TRUE(Submit("b").ok());
  ASSERT_TRUE(recorder_->WaitForRunning(2));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Submit("a").ok());
  recorder_->HoldCommits(false);
  ASSERT_TRUE(WaitForDone(7));
  EXPECT_EQ(recorder_->Groups("a"), (std::vector<size_t>{1, 5}));
  EXPECT_EQ(recorder_->Groups("b"), (std::vector<size_t>{1}));
}

TEST_F(CommitterTest, WithoutCreditALaneWaitsUnlessItsGroupIsFull) {
  Start({.threads = 1, .group_rows_max = 10});
  const auto hour = std::chrono::duration_cast<milliseconds>(std::chrono::hours(1));
  for (int i = 0; i < CommitCredits::kSavedMax; ++i) {
    ASSERT_TRUE(Submit("a", 1, hour).ok());
    ASSERT_TRUE(WaitForDone(i + 1));
  }
  ASSERT_TRUE(Submit("a", 4, hour).ok());
  ASSERT_TRUE(Submit("a", 4, hour).ok());
  ASSERT_TRUE(Submit("b").ok());  // another table does not wait
  ASSERT_TRUE(WaitForDone(CommitCredits::kSavedMax + 1));
  EXPECT_EQ(recorder_->Groups("a").size(), size_t{CommitCredits::kSavedMax});
  ASSERT_TRUE(Submit("a", 4, hour).ok());  // what does not fit the full group goes on too
  ASSERT_TRUE(WaitForDone(CommitCredits::kSavedMax + 4));
  EXPECT_EQ(recorder_->Groups("a").back(), 1u);
  EXPECT_EQ(recorder_->Groups("a").size(), size_t{CommitCredits::kSavedMax} + 2);
}

TEST_F(CommitterTest, StopCommitsWhatWaitsForCredit) {
  Start({.threads = 1});
  const auto hour = std::chrono::duration_cast<milliseconds>(std::chrono::hours(1));
  for (int i = 0; i < CommitCredits::kSavedMax; ++i) {
    ASSERT_TRUE(Submit("a", 1, hour).ok());
    ASSERT_TRUE(WaitForDone(i + 1));
  }
  ASSERT_TRUE(Submit("a", 1, hour).ok());
  committer_->Stop();
  EXPECT_EQ(done_, CommitCredits::kSavedMax + 1);
  EXPECT_EQ(CodeOf(Submit("a")), ErrorCode::kDraining);
}

}  // namespace
}  // namespace arrowport::ingest
