// Tokens, minted once for all who need them and renewed before they end.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace arrowport::zerobus {

struct MintedToken {
  std::string value;
  /// From the start of the request; none or zero: good for one use.
  std::optional<std::chrono::milliseconds> lifetime;
};

/// A token in use. The generation names it without telling it.
struct TokenLease {
  std::string value;
  uint64_t generation = 0;
};

/// Thread-safe. Callbacks come once each, on a thread of `run` or inside Get.
class TokenCache : public std::enable_shared_from_this<TokenCache> {
 public:
  using Run = std::function<bool(std::function<void()>)>;
  using Mint =
      std::function<arrow::Result<MintedToken>(std::chrono::milliseconds timeout)>;
  using Callback = std::function<void(arrow::Result<TokenLease>)>;

  /// `run` takes tasks that block; false: it cannot. `clock` outlives the cache.
  TokenCache(Run run, const Clock* clock) : run_(std::move(run)), clock_(clock) {}

  struct Request {
    /// What the token is bound to; holds a digest of a secret, never the secret.
    std::string key;
    Mint mint;
    std::chrono::milliseconds timeout{15'000};  ///< of the attempt that needs the token
    std::chrono::milliseconds refresh_buffer{300'000};
    bool cached = true;
  };

  /// A cached token, else one minted for all who ask for the same key meanwhile.
  /// - Less than min(refresh_buffer, lifetime / 2) left: it is renewed. One that outlives
  ///   the attempt is handed out at once meanwhile, and the renewal has half the timeout.
  /// - A renewal that fails leaves the old token in use, and the next try waits
  ///   clamp(remaining / 2, refresh_buffer / 300, refresh_buffer / 60).
  /// Errors: as `mint`; Connection when the new token has already ended.
  void Get(const Request& request, Callback callback);
  /// Forgets the key's token if it is still that one.
  void Invalidate(const std::string& key, uint64_t generation);

  int64_t minted() const;

 private:
  struct Waiter {
    Request request;
    Callback callback;
  };
  struct Entry {
    std::string value;  ///< empty: none
    uint64_t generation = 0;
    Clock::Steady ends{};
    std::chrono::milliseconds lifetime{0};
    Clock::Steady no_refresh_before{};
    bool minting = false;
    std::vector<Waiter> waiters;
  };

  bool Usable(const Entry& entry, Clock::Steady now) const {
    return !entry.value.empty() && now < entry.ends;
  }
  void StartMint(const Request& request, std::chrono::milliseconds timeout);
  void RunMint(const Request& request, std::chrono::milliseconds timeout);
  void OnMinted(const Request& request, Clock::Steady started,
                arrow::Result<MintedToken> minted);

  const Run run_;
  const Clock* const clock_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);
  uint64_t next_generation_ GUARDED_BY(mutex_) = 1;
  int64_t minted_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::zerobus
