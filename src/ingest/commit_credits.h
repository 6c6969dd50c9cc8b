// How often a table may get a new version: one per spacing in the long run, with credits
// saved up for bursts.
#pragma once

#include <algorithm>
#include <chrono>

namespace arrowport::ingest {

/// Caller-locked. The generic cell rate algorithm (ITU-T I.371): one time stands for the
/// whole balance.
class CommitCredits {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Spacing = std::chrono::milliseconds;
  static constexpr int kSavedMax = 20;

  /// When the next commit may begin, `now` or later.
  Time NextAt(Time now, Spacing spacing) const {
    if (spacing.count() == 0) return now;
    return std::max(now, balanced_at_ - (kSavedMax - 1) * spacing);
  }
  /// A commit begins.
  void Take(Time now, Spacing spacing) {
    if (spacing.count() == 0) return;
    balanced_at_ = std::max(now, balanced_at_) + spacing;
  }
  /// No credit is missing.
  bool full(Time now) const { return balanced_at_ <= now; }

 private:
  Time balanced_at_{};  ///< when all credits will be there again
};

}  // namespace arrowport::ingest
