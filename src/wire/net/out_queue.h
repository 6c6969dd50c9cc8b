// Bytes on their way to a socket, as slices that are sent in place.
#pragma once

#include <arrow/buffer.h>
#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>

namespace arrowport::wire::net {

/// Not thread-safe.
class OutQueue {
 public:
  /// Copies; for frame headers and other small things.
  void Copy(std::span<const uint8_t> bytes);
  void Copy(std::string_view text) {
    Copy({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  /// `data` lies within `owner`, which is kept until the bytes are dropped.
  void Append(const std::shared_ptr<arrow::Buffer>& owner, const uint8_t* data,
              size_t size);

  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  /// Describes the first bytes; returns how many entries of `slots` were filled.
  size_t Fill(std::span<iovec> slots) const;
  /// Removes the first `bytes`.
  void Drop(size_t bytes);

 private:
  struct Block;
  struct Segment {
    const uint8_t* data;
    size_t size;
    std::shared_ptr<const void> owner;
  };

  std::deque<Segment> segments_;
  std::shared_ptr<Block> block_;  ///< where Copy writes next; may be null
  size_t bytes_ = 0;
};

}  // namespace arrowport::wire::net
