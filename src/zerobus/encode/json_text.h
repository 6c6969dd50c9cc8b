// The text of JSON rows under construction.
#pragma once

#include <arrow/buffer.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace arrowport::zerobus::encode::internal {

/// Text that grows at its end. What is reserved is written without further checks.
/// Caller-locked. Throws std::bad_alloc.
class JsonText {
 public:
  /// `row_bytes_max`: above it a row has failed, and so has each value by itself.
  explicit JsonText(size_t row_bytes_max);

  /// What is counted against the limit begins here. Returns where it began before, for
  /// CountFrom.
  size_t BeginCount() { return std::exchange(count_from_, size()); }
  void CountFrom(size_t position) { count_from_ = position; }
  bool is_too_large() const { return size() - count_from_ > row_bytes_max_; }
  size_t row_bytes_max() const { return row_bytes_max_; }

  size_t size() const { return static_cast<size_t>(at_ - begin_); }
  std::string_view From(size_t position) const {
    return {begin_ + position, size() - position};
  }
  char* MutableAt(size_t position) { return begin_ + position; }

  /// Where the next `bytes` bytes may be written; then SetEnd.
  char* Reserve(size_t bytes) {
    if (static_cast<size_t>(end_ - at_) < bytes) [[unlikely]] Grow(bytes);
    return at_;
  }
  void SetEnd(char* end) { at_ = end; }
  void Truncate(size_t size) { at_ = begin_ + size; }

  void Append(char c) {
    char* at = Reserve(1);
    *at = c;
    at_ = at + 1;
  }
  void Append(std::string_view text) {
    char* at = Reserve(text.size());
    std::memcpy(at, text.data(), text.size());
    at_ = at + text.size();
  }
  /// As a JSON string. False, with a part of it appended, when it is not UTF-8.
  bool AppendQuoted(std::string_view text);

  /// Leaves the text empty.
  std::shared_ptr<arrow::Buffer> Finish();

 private:
  void Grow(size_t bytes);

  std::shared_ptr<arrow::ResizableBuffer> buffer_;
  char* begin_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
  size_t row_bytes_max_;
  size_t count_from_ = 0;
};

}  // namespace arrowport::zerobus::encode::internal
