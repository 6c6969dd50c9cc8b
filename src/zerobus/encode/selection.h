// The unit of work of the encoders: a block of cells of one array, each with the message
// instance ("slot") it belongs to. Nulls, dictionaries and lists only change the selection;
// the loops over values never meet them.
#pragma once

#include <arrow/status.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace arrowport::zerobus::encode::internal {

/// Cells in ascending slot order. Dense: cell k is element first + k and slot k. Else cell k
/// is element index[k] and slot slot[k], and several cells may share a slot. Elements are
/// counted from the array's offset. A view.
struct Selection {
  int64_t count = 0;
  int64_t first = 0;
  const int64_t* index = nullptr;
  const int32_t* slot = nullptr;

  bool dense() const { return index == nullptr; }
  int64_t IndexAt(int64_t k) const { return index ? index[k] : first + k; }
  int32_t SlotAt(int64_t k) const { return slot ? slot[k] : static_cast<int32_t>(k); }
};

/// Calls visit(element, slot) for each cell.
template <typename Visit>
inline void ForEachCell(const Selection& cells, Visit&& visit) {
  const int64_t count = cells.count;
  if (cells.dense()) {
    const int64_t first = cells.first;
    for (int64_t k = 0; k < count; ++k) visit(first + k, k);
  } else {
    const int64_t* index = cells.index;
    const int32_t* slot = cells.slot;
    for (int64_t k = 0; k < count; ++k) visit(index[k], int64_t{slot[k]});
  }
}

/// Owns the two lists of a selection that is not dense.
class SelectionList {
 public:
  void Clear() {
    index_.clear();
    slot_.clear();
  }
  void Reserve(int64_t count) {
    index_.reserve(static_cast<size_t>(count));
    slot_.reserve(static_cast<size_t>(count));
  }
  void Add(int64_t index, int64_t slot) {
    index_.push_back(index);
    slot_.push_back(static_cast<int32_t>(slot));
  }
  /// Room for `count` cells, to be filled through index() and slot(), then Shrink().
  void Resize(int64_t count) {
    index_.resize(static_cast<size_t>(count));
    slot_.resize(static_cast<size_t>(count));
  }
  int64_t* index() { return index_.data(); }
  int32_t* slot() { return slot_.data(); }
  int64_t size() const { return static_cast<int64_t>(index_.size()); }
  /// Valid until the next change.
  Selection View() const {
    static constexpr int64_t kNoIndex = 0;
    static constexpr int32_t kNoSlot = 0;
    return {.count = size(),
            .first = 0,
            .index = index_.empty() ? &kNoIndex : index_.data(),
            .slot = slot_.empty() ? &kNoSlot : slot_.data()};
  }

 private:
  std::vector<int64_t> index_;
  std::vector<int32_t> slot_;
};

/// The failures of one block of rows; the first one of a row stands.
class BlockFailures {
 public:
  void Reset(int64_t row_count) {
    failed_.assign(static_cast<size_t>(row_count), 0);
    failures_.clear();
    too_many_elements_ = false;
  }
  bool Has(int64_t row) const { return failed_[static_cast<size_t>(row)] != 0; }
  void Add(int64_t row, arrow::Status status) {
    if (Has(row)) return;
    failed_[static_cast<size_t>(row)] = 1;
    failures_.emplace_back(row, std::move(status));
  }
  bool any() const { return !failures_.empty(); }
  std::vector<std::pair<int64_t, arrow::Status>>& failures() { return failures_; }

  /// A block whose lists are long is too large to keep in memory at once: try fewer rows.
  void AskForFewerRows() { too_many_elements_ = true; }
  bool wants_fewer_rows() const { return too_many_elements_; }

 private:
  std::vector<uint8_t> failed_;
  std::vector<std::pair<int64_t, arrow::Status>> failures_;
  bool too_many_elements_ = false;
};

/// Message instances of one nesting level in the present block.
struct Frame {
  int64_t count = 0;
  int64_t* size = nullptr;           ///< encoded bytes so far
  uint8_t** cursor = nullptr;        ///< where the next field goes (while writing)
  const int32_t* row = nullptr;      ///< row in the block of each instance; null: identity
  BlockFailures* failures = nullptr;
  int64_t row_count = 0;             ///< rows in the block
  int64_t elements_max = 0;          ///< elements a row may have in one list

  int64_t RowOf(int64_t slot) const { return row ? row[slot] : slot; }
};

}  // namespace arrowport::zerobus::encode::internal
