#include "delta/log_transactions.h"

#include <utility>

namespace arrowport::delta {
namespace {

/// The overlay may have this many entries, and more when the base is large: copying it
/// with every commit stays cheap beside merging it into the base now and then.
bool IsLarge(size_t overlay, size_t base) {
  return overlay > 64 && overlay * overlay > base;
}

}  // namespace

TransactionMap::TransactionMap()
    : base_(std::make_shared<const Map>()),
      overlay_(base_),
      merged_(std::make_shared<Merged>()) {}

const SetTransaction* TransactionMap::Find(std::string_view app_id) const {
  for (const Map* map : {overlay_.get(), base_.get()}) {
    if (const auto found = map->find(app_id); found != map->end()) return &found->second;
  }
  return nullptr;
}

const TransactionMap::Map& TransactionMap::All() const {
  if (overlay_->empty()) return *base_;
  std::call_once(merged_->made, [this] {
    merged_->map = *overlay_;
    merged_->map.insert(base_->begin(), base_->end());
  });
  return merged_->map;
}

TransactionMap TransactionMap::With(Map changes) const {
  if (changes.empty()) return *this;
  TransactionMap result;
  changes.insert(overlay_->begin(), overlay_->end());
  if (IsLarge(changes.size(), base_->size())) {
    changes.insert(base_->begin(), base_->end());
    result.base_ = std::make_shared<const Map>(std::move(changes));
    result.overlay_ = std::make_shared<const Map>();
  } else {
    result.base_ = base_;
    result.overlay_ = std::make_shared<const Map>(std::move(changes));
  }
  return result;
}

}  // namespace arrowport::delta
