#include "wire/net/out_queue.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace arrowport::wire::net {
namespace {

// Slices up to this size are cheaper to copy than to send as an entry of their own.
constexpr size_t kCopyUpToBytes = 512;

}  // namespace

struct OutQueue::Block {
  size_t used = 0;
  std::array<uint8_t, 4080> bytes;
};

void OutQueue::Copy(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    if (!block_ || block_->used == block_->bytes.size()) {
      block_ = std::make_shared_for_overwrite<Block>();
      block_->used = 0;
    }
    uint8_t* to = block_->bytes.data() + block_->used;
    size_t size = std::min(bytes.size(), block_->bytes.size() - block_->used);
    std::memcpy(to, bytes.data(), size);
    block_->used += size;
    bytes_ += size;
    bytes = bytes.subspan(size);
    if (!segments_.empty() && segments_.back().owner == block_ &&
        segments_.back().data + segments_.back().size == to) {
      segments_.back().size += size;
    } else {
      segments_.push_back({to, size, block_});
    }
  }
}

void OutQueue::Append(const std::shared_ptr<arrow::Buffer>& owner, const uint8_t* data,
                      size_t size) {
  if (size <= kCopyUpToBytes) {
    Copy({data, size});
    return;
  }
  segments_.push_back({data, size, owner});
  bytes_ += size;
}

size_t OutQueue::Fill(std::span<iovec> slots) const {
  size_t count = std::min(slots.size(), segments_.size());
  for (size_t i = 0; i < count; ++i) {
    slots[i] = {const_cast<uint8_t*>(segments_[i].data), segments_[i].size};
  }
  return count;
}

void OutQueue::Drop(size_t bytes) {
  bytes_ -= bytes;
  while (bytes > 0) {
    Segment& first = segments_.front();
    if (bytes < first.size) {
      first.data += bytes;
      first.size -= bytes;
      return;
    }
    bytes -= first.size;
    segments_.pop_front();
  }
  if (segments_.empty()) block_.reset();
}

}  // namespace arrowport::wire::net
