// A line on standard error that says how far a transfer is. Nothing without a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/context.h"

namespace arrowport::cli {

/// Caller-locked.
class Progress {
 public:
  /// `rows_total` 0: not known.
  Progress(const Context& context, std::string label, int64_t rows_total = 0);
  ~Progress() { Clear(); }

  void Add(int64_t rows);
  /// Removes the line, before other output.
  void Clear();

  int64_t rows() const { return rows_; }
  double seconds() const;
  /// "1,000,000 rows in 0.42 s (2.4 Mrows/s)"
  std::string Summary() const;

 private:
  void Draw();

  const bool is_shown_;
  const int width_;
  const std::string label_;
  const int64_t rows_total_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
  int64_t rows_ = 0;
  bool has_line_ = false;
};

}  // namespace arrowport::cli
