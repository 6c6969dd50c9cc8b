#include "cli/progress.h"

#include <algorithm>
#include <cstdio>

#include "cli/table.h"

namespace arrowport::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string Rate(double rows_per_second) {
  char text[32];
  if (rows_per_second >= 1e6) {
    std::snprintf(text, sizeof text, "%.1f Mrows/s", rows_per_second / 1e6);
  } else if (rows_per_second >= 1e3) {
    std::snprintf(text, sizeof text, "%.1f krows/s", rows_per_second / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f rows/s", rows_per_second);
  }
  return text;
}

}  // namespace

Progress::Progress(const Context& context, std::string label, int64_t rows_total)
    : is_shown_(context.error_is_terminal && !context.json),
      width_(context.width),
      label_(std::move(label)),
      rows_total_(rows_total),
      start_(Clock::now()),
      drawn_(start_) {}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::Add(int64_t rows) {
  rows_ += rows;
  if (!is_shown_ || Clock::now() - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = Clock::now();
  Draw();
}

void Progress::Draw() {
  std::string line = label_;
  if (rows_total_ > 0) {
    constexpr int kBar = 24;
    const double part = std::min(1.0, static_cast<double>(rows_) / rows_total_);
    const int full = static_cast<int>(part * kBar);
    line += " [";
    for (int i = 0; i < kBar; ++i) line += i < full ? "█" : "░";
    line += "] " + std::to_string(static_cast<int>(part * 100)) + " %";
  }
  line += "  " + Grouped(rows_) + " rows  " + Rate(rows_ / std::max(seconds(), 1e-9));
  std::fprintf(stderr, "\r\033[K%s", Fit(line, width_ - 1).c_str());
  std::fflush(stderr);
  has_line_ = true;
}

void Progress::Clear() {
  if (!has_line_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  has_line_ = false;
}

std::string Progress::Summary() const {
  const double taken = std::max(seconds(), 1e-9);
  char text[32];
  std::snprintf(text, sizeof text, " rows in %.2f s (", taken);
  return Grouped(rows_) + text + Rate(rows_ / taken) + ")";
}

}  // namespace arrowport::cli
