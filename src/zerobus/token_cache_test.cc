#include "zerobus/token_cache.h"

#include <gtest/gtest.h>

#include <deque>

#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FakeClock final : public Clock {
 public:
  Steady SteadyNow() const override { return now; }
  Wall WallNow() const override { return {}; }
  Steady now{seconds(1000)};
};

// Mints run when the test says so.
class TokenCacheTest : public ::testing::Test {
 protected:
  TokenCache::Request Request(const std::string& key = "k") {
    TokenCache::Request request;
    request.key = key;
    request.mint = [this](milliseconds timeout) -> arrow::Result<MintedToken> {
      timeouts_.push_back(timeout);
      clock_.now += minting_takes_;
      if (!mint_error_.ok()) return mint_error_;
      ++mints_;
      MintedToken token;
      token.value = "token" + std::to_string(mints_);
      token.lifetime = lifetime_;
      return token;
    };
    return request;
  }
  void Get(const std::string& key = "k") { Get(Request(key)); }
  void Get(const TokenCache::Request& request) {
    cache_->Get(request, [this](arrow::Result<TokenLease> lease) {
      answers_.push_back(std::move(lease));
    });
  }
  void RunAll() {
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  std::string Now(const std::string& key = "k") {
    answers_.clear();
    Get(key);
    RunAll();
    EXPECT_EQ(answers_.size(), 1U);
    return answers_.front().ok() ? answers_.front()->value : "error";
  }

  FakeClock clock_;
  std::deque<std::function<void()>> tasks_;
  std::shared_ptr<TokenCache> cache_ = std::make_shared<TokenCache>(
      [this](std::function<void()> task) {
        tasks_.push_back(std::move(task));
        return true;
      },
      &clock_);
  int mints_ = 0;
  milliseconds minting_takes_{0};
  std::optional<milliseconds> lifetime_ = seconds(3600);
  arrow::Status mint_error_;
  std::vector<milliseconds> timeouts_;
  std::vector<arrow::Result<TokenLease>> answers_;
};

TEST_F(TokenCacheTest, OneMintForAllWhoAsk) {
  for (int i = 0; i < 50; ++i) Get();
  EXPECT_EQ(tasks_.size(), 1U);
  RunAll();
  EXPECT_EQ(answers_.size(), 50U);
  EXPECT_EQ(mints_, 1);
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(Now("other"), "token2");
  EXPECT_EQ(Now(), "token1");
}

TEST_F(TokenCacheTest, RenewsInTheBackgroundNearTheEnd) {
  EXPECT_EQ(Now(), "token1");
  clock_.now += seconds(3299);
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(mints_, 1);
  clock_.now += seconds(2);  // 299 s left, less than the buffer, more than the attempt
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(mints_, 2);
  EXPECT_EQ(timeouts_.back(), milliseconds(7'500));
  EXPECT_EQ(Now(), "token2");
}

TEST_F(TokenCacheTest, BufferIsAtMostHalfTheLifetime) {
  lifetime_ = seconds(60);
  EXPECT_EQ(Now(), "token1");
  clock_.now += seconds(29);
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(mints_, 1);
  clock_.now += seconds(2);
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(mints_, 2);
}

TEST_F(TokenCacheTest, ExpiredTokenIsNeverUsed) {
  lifetime_ = seconds(60);
  EXPECT_EQ(Now(), "token1");
  clock_.now += seconds(60);
  mint_error_ = MakeFailure(ErrorKind::kConnection, "down");
  EXPECT_EQ(Now(), "error");
  EXPECT_EQ(timeouts_.back(), milliseconds(15'000));
}

TEST_F(TokenCacheTest, FailedRenewalIsNotNoticedAndWaitsBeforeTheNext) {
  EXPECT_EQ(Now(), "token1");
  clock_.now += seconds(3590);  // less left than an attempt takes
  mint_error_ = MakeFailure(ErrorKind::kConnection, "HTTP 500");
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(timeouts_.size(), 2U);
  EXPECT_EQ(Now(), "token1");  // at once: the next try has to wait
  EXPECT_EQ(timeouts_.size(), 2U);
  clock_.now += seconds(5);
  EXPECT_EQ(Now(), "token1");
  EXPECT_EQ(timeouts_.size(), 3U);
  mint_error_ = {};
  clock_.now += seconds(5);
  EXPECT_EQ(Now(), "token2");
}

TEST_F(TokenCacheTest, LifetimeCountsFromTheRequestsStart) {
  lifetime_ = seconds(10);
  minting_takes_ = seconds(10);
  EXPECT_EQ(Now(), "error");  // expired on arrival
  EXPECT_TRUE(FactsOf(answers_.front().status()).retryable);
  minting_takes_ = seconds(4);
  EXPECT_EQ(Now(), "token2");
  clock_.now += seconds(6);
  minting_takes_ = seconds(0);
  EXPECT_EQ(Now(), "token3");
}

TEST_F(TokenCacheTest, TokenWithoutLifetimeServesOnce) {
  for (auto lifetime : {std::optional<milliseconds>(), std::optional<milliseconds>(0)}) {
    lifetime_ = lifetime;
    answers_.clear();
    const int before = mints_;
    for (int i = 0; i < 3; ++i) Get();
    RunAll();
    ASSERT_EQ(answers_.size(), 3U);
    EXPECT_EQ(mints_, before + 3);
    EXPECT_NE(answers_[0]->value, answers_[1]->value);
    EXPECT_NE(answers_[1]->value, answers_[2]->value);
  }
}

TEST_F(TokenCacheTest, OnlyTheRefusedGenerationIsForgotten) {
  Now();
  const uint64_t first = answers_.front()->generation;
  cache_->Invalidate("k", first);
  EXPECT_EQ(Now(), "token2");
  cache_->Invalidate("k", first);  // a late word about the old one
  EXPECT_EQ(Now(), "token2");
  cache_->Invalidate("unknown", first);
}

TEST_F(TokenCacheTest, UncachedMintsEachTime) {
  TokenCache::Request request = Request();
  request.cached = false;
  for (int i = 0; i < 3; ++i) {
    Get(request);
    RunAll();
  }
  EXPECT_EQ(mints_, 3);
}

TEST_F(TokenCacheTest, TokenThatIsNoHeaderValueIsRefused) {
  TokenCache::Request request = Request();
  request.mint = [](milliseconds) -> arrow::Result<MintedToken> {
    return MintedToken{"evil\r\nx: y", seconds(10)};
  };
  Get(request);
  RunAll();
  EXPECT_EQ(KindOf(answers_.front().status()), ErrorKind::kAuthentication);
  EXPECT_EQ(answers_.front().status().message().find("evil"), std::string::npos);
}

}  // namespace
}  // namespace arrowport::zerobus
