#include "lake/deletion_filter.h"

#include <algorithm>
#include <duckdb/common/types/selection_vector.hpp>
#include <memory>

#include "delta/deletion_vector.h"

namespace arrowport::lake {
namespace {

using Rows = std::shared_ptr<const delta::DeletedRows>;

/// Leaves deleted rows out.
class WithoutDeleted : public duckdb::DeleteFilter {
 public:
  explicit WithoutDeleted(Rows deleted) : deleted_(std::move(deleted)) {}

  duckdb::idx_t Filter(duckdb::row_t start_row, duckdb::idx_t count,
                       duckdb::SelectionVector& selected) override {
    const int64_t start = start_row;
    const int64_t end = start + static_cast<int64_t>(count);
    // A selection that was not set selects every row, at no cost.
    if (!deleted_->AnyIn(start, end)) return count;
    selected.Initialize(count);
    duckdb::idx_t out = 0;
    int64_t row = start;
    deleted_->VisitRuns(start, end, [&](int64_t begin, int64_t run_end) {
      for (; row < begin; ++row) selected.set_index(out++, row - start);
      row = std::max(row, run_end);
    });
    for (; row < end; ++row) selected.set_index(out++, row - start);
    return out;
  }

 private:
  const Rows deleted_;
};

/// Reads deleted rows alone, but for those that were deleted earlier.
class OnlyDeleted : public duckdb::DeleteFilter {
 public:
  OnlyDeleted(Rows deleted, Rows earlier)
      : deleted_(std::move(deleted)), earlier_(std::move(earlier)) {}

  duckdb::idx_t Filter(duckdb::row_t start_row, duckdb::idx_t count,
                       duckdb::SelectionVector& selected) override {
    selected.Initialize(std::max<duckdb::idx_t>(count, 1));
    duckdb::idx_t out = 0;
    deleted_->VisitRuns(start_row, start_row + static_cast<int64_t>(count),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t row = begin; row < end; ++row) {
                            if (earlier_ && earlier_->Contains(row)) continue;
                            selected.set_index(out++, row - start_row);
                          }
                        });
    return out;
  }

 private:
  const Rows deleted_, earlier_;
};

arrow::Result<Rows> Read(const ScanSource& source,
                         const std::optional<delta::DeletionVectorDescriptor>& vector) {
  if (!vector) return nullptr;
  return delta::ReadDeletionVector(*source.store, *vector);
}

}  // namespace

arrow::Result<duckdb::unique_ptr<duckdb::DeleteFilter>> MakeDeletionFilter(
    const ScanSource& source, const ScanFile& file) {
  const ScanFile::Parts& parts = file.parts();
  if (!parts.deletion_vector) return nullptr;
  ARROW_ASSIGN_OR_RAISE(Rows deleted, Read(source, parts.deletion_vector));
  duckdb::unique_ptr<duckdb::DeleteFilter> filter;
  if (parts.deleted_rows == DeletedRows::kLeftOut) {
    filter = duckdb::make_uniq<WithoutDeleted>(std::move(deleted));
  } else {
    ARROW_ASSIGN_OR_RAISE(Rows earlier, Read(source, parts.earlier_deletion_vector));
    filter = duckdb::make_uniq<OnlyDeleted>(std::move(deleted), std::move(earlier));
  }
  return filter;
}

}  // namespace arrowport::lake
