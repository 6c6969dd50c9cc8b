#include "zerobus/token_cache.h"

#include <algorithm>
#include <utility>

#include "zerobus/failure.h"
#include "zerobus/rpc/status.h"

namespace arrowport::zerobus {

using std::chrono::milliseconds;

namespace {

// Keys of tables long gone must not pile up.
constexpr size_t kEntriesMax = 10'000;

}  // namespace

void TokenCache::Get(const Request& request, Callback callback) {
  const Clock::Steady now = clock_->SteadyNow();
  std::optional<TokenLease> lease;
  std::optional<milliseconds> mint_timeout;
  {
    MutexLock lock(mutex_);
    if (entries_.size() > kEntriesMax) {
      std::erase_if(entries_, [&](const auto& entry) {
        return !entry.second.minting && !Usable(entry.second, now);
      });
    }
    Entry& entry = entries_[request.key];
    const bool usable = request.cached && Usable(entry, now);
    const auto left = std::chrono::duration_cast<milliseconds>(entry.ends - now);
    const bool due = usable &&
                     left < std::min(request.refresh_buffer, entry.lifetime / 2) &&
                     now >= entry.no_refresh_before;
    const bool outlives = usable && left > request.timeout;
    if (usable && (!due || outlives)) {
      lease = TokenLease{entry.value, entry.generation};
    } else {
      entry.waiters.push_back({request, std::move(callback)});
    }
    if ((!usable || due) && !entry.minting) {
      entry.minting = true;
      mint_timeout = outlives ? request.timeout / 2 : request.timeout;
    }
  }
  if (mint_timeout) StartMint(request, *mint_timeout);
  if (lease) callback(*std::move(lease));
}

void TokenCache::StartMint(const Request& request, milliseconds timeout) {
  const bool running = run_([weak = weak_from_this(), request, timeout] {
    if (auto self = weak.lock()) self->RunMint(request, timeout);
  });
  if (!running) {
    OnMinted(request, clock_->SteadyNow(),
             MakeFailure(ErrorKind::kConnection, "no thread to fetch a token"));
  }
}

void TokenCache::RunMint(const Request& request, milliseconds timeout) {
  const Clock::Steady started = clock_->SteadyNow();
  OnMinted(request, started, request.mint(timeout));
}

void TokenCache::OnMinted(const Request& request, Clock::Steady started,
                          arrow::Result<MintedToken> minted) {
  arrow::Status error = minted.status();
  if (minted.ok() && !rpc::IsLegalMetadata("authorization", minted->value)) {
    error = MakeFailure(ErrorKind::kAuthentication,
                        "the token endpoint gave a token that is no header value");
  }
  std::vector<std::pair<Callback, arrow::Result<TokenLease>>> answers;
  std::optional<Request> again;
  const Clock::Steady now = clock_->SteadyNow();
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[request.key];
    entry.minting = false;
    std::vector<Waiter> waiters = std::exchange(entry.waiters, {});
    const milliseconds lifetime =
        error.ok() ? minted->lifetime.value_or(milliseconds(0)) : milliseconds(0);
    if (error.ok()) ++minted_;
    if (lifetime.count() > 0 && started + lifetime <= now) {
      error = MakeFailure(ErrorKind::kConnection, "the token had ended when it arrived");
    }
    if (error.ok() && lifetime.count() > 0 && request.cached) {
      entry.value = minted->value;
      entry.generation = next_generation_++;
      entry.lifetime = lifetime;
      entry.ends = started + lifetime;
      entry.no_refresh_before = {};
    } else if (error.ok()) {
      // Good for one: the first who waits has it, the others need their own.
      if (!waiters.empty()) {
        answers.emplace_back(std::move(waiters.front().callback),
                             TokenLease{minted->value, next_generation_++});
        waiters.erase(waiters.begin());
      }
      if (!waiters.empty()) {
        again = waiters.front().request;
        entry.minting = true;
        entry.waiters = std::exchange(waiters, {});
      }
    } else if (Usable(entry, now)) {
      const auto left = std::chrono::duration_cast<milliseconds>(entry.ends - now);
      entry.no_refresh_before = now + std::clamp(left / 2, request.refresh_buffer / 300,
                                                 request.refresh_buffer / 60);
    }
    for (Waiter& waiter : waiters) {
      if (Usable(entry, now) && waiter.request.cached) {
        answers.emplace_back(std::move(waiter.callback),
                             TokenLease{entry.value, entry.generation});
      } else {
        answers.emplace_back(std::move(waiter.callback), error);
      }
    }
  }
  if (again) StartMint(*again, again->timeout);
  for (auto& [callback, answer] : answers) callback(std::move(answer));
}

void TokenCache::Invalidate(const std::string& key, uint64_t generation) {
  MutexLock lock(mutex_);
  auto it = entries_.find(key);
  if (it == entries_.end() || it->second.generation != generation) return;
  it->second.value.clear();
}

int64_t TokenCache::minted() const {
  MutexLock lock(mutex_);
  return minted_;
}

}  // namespace arrowport::zerobus
