// Rows of a data file that are deleted without the file being written anew. Source: Delta
// protocol, "Deletion Vectors" and "Deletion Vector Format"; the bitmaps inside are
// RoaringFormatSpec's 32-bit ones.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "delta/actions.h"
#include "store/store.h"

namespace arrowport::delta {

/// A set of physical row positions, kept as it was stored and checked once: its memory is
/// that of its bytes. Immutable, thread-safe.
class DeletedRows {
 public:
  /// `blob` begins with the magic number. Errors: kStorageCorrupt.
  static arrow::Result<std::shared_ptr<const DeletedRows>> Parse(
      std::shared_ptr<arrow::Buffer> blob);

  int64_t cardinality() const { return cardinality_; }
  /// The highest position, or -1.
  int64_t last() const { return last_; }
  bool Contains(int64_t row) const;
  /// Calls `visit(begin, end)` for the runs of deleted rows within [begin, end), ascending;
  /// a run may be given in pieces.
  void VisitRuns(int64_t begin, int64_t end,
                 const std::function<void(int64_t, int64_t)>& visit) const;
  /// Whether a row of [begin, end) is deleted; cheap enough to ask for every window.
  bool AnyIn(int64_t begin, int64_t end) const;

 private:
  enum class Form : uint8_t { kArray, kBitset, kRuns };
  /// 65,536 positions from `base` on; `data` points into the blob.
  struct Container {
    int64_t base = 0;
    Form form = Form::kArray;
    uint32_t items = 0;  ///< array: values, runs: runs
    const uint8_t* data = nullptr;
  };
  class Parser;

  std::vector<Container>::const_iterator FirstFrom(int64_t row) const;
  template <typename Visit>
  static void VisitContainer(const Container& container, int64_t begin, int64_t end,
                             Visit&& visit);

  std::shared_ptr<arrow::Buffer> blob_;
  std::vector<Container> containers_;
  int64_t cardinality_ = 0, last_ = -1;
};

/// Reads and checks what `descriptor` refers to. Errors: kStorageCorrupt (missing file,
/// wrong framing, "deletion vector checksum", a cardinality other than the descriptor's),
/// kTooLarge, kNotBuilt (a file outside the table's folder).
arrow::Result<std::shared_ptr<const DeletedRows>> ReadDeletionVector(
    const store::Store& store, const DeletionVectorDescriptor& descriptor);

/// The file of a descriptor of storage type "u" or "p", relative to the table's root; ""
/// for an inline one. Errors: kStorageCorrupt, kNotBuilt.
arrow::Result<std::string> DeletionVectorPath(const store::Store& store,
                                              const DeletionVectorDescriptor& descriptor);

/// A location of the log as a path below the store's root: an absolute one must lie in it.
/// Errors: kStorageCorrupt, kNotBuilt.
arrow::Result<std::string> PathBelowRoot(const store::Store& store,
                                         std::string_view path_in_log);

}  // namespace arrowport::delta
