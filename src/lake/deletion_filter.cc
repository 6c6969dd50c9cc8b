#include "lake/deletion_filter.h"

#include <algorithm>
#include <duckdb/common/types/selection_vector.hpp>
#include <iterator>

namespace arrowport::lake {
namespace {

class DeletionFilter : public duckdb::DeleteFilter {
 public:
  DeletionFilter(std::vector<uint64_t> rows, DeletedRows which)
      : rows_(std::move(rows)), which_(which) {}

  duckdb::idx_t Filter(duckdb::row_t start_row, duckdb::idx_t count,
                       duckdb::SelectionVector& selected) override {
    const uint64_t start = static_cast<uint64_t>(start_row);
    auto from = std::lower_bound(rows_.begin(), rows_.end(), start);
    auto to = std::lower_bound(from, rows_.end(), start + count);
    const duckdb::idx_t listed = to - from;
    // A selection that was not set selects every row, at no cost.
    const duckdb::idx_t kept =
        which_ == DeletedRows::kOnlyThem ? listed : count - listed;
    if (kept == count) return count;
    selected.Initialize(count);
    if (which_ == DeletedRows::kOnlyThem) {
      for (duckdb::idx_t i = 0; i < listed; ++i) selected.set_index(i, from[i] - start);
      return listed;
    }
    duckdb::idx_t out = 0;
    uint64_t row = start;
    for (auto deleted = from; deleted != to; ++deleted) {
      for (; row < *deleted; ++row) selected.set_index(out++, row - start);
      ++row;
    }
    for (; row < start + count; ++row) selected.set_index(out++, row - start);
    return out;
  }

 private:
  const std::vector<uint64_t> rows_;
  const DeletedRows which_;
};

}  // namespace

arrow::Result<duckdb::unique_ptr<duckdb::DeleteFilter>> MakeDeletionFilter(
    const ScanSource& source, const ScanFile& file) {
  const ScanFile::Parts& parts = file.parts();
  if (!parts.deletion_vector) return nullptr;
  ARROW_ASSIGN_OR_RAISE(std::vector<uint64_t> rows,
                        source.log->DeletedRows(*source.store, *parts.deletion_vector));
  if (parts.earlier_deletion_vector) {
    ARROW_ASSIGN_OR_RAISE(
        std::vector<uint64_t> earlier,
        source.log->DeletedRows(*source.store, *parts.earlier_deletion_vector));
    std::vector<uint64_t> newly;
    std::set_difference(rows.begin(), rows.end(), earlier.begin(), earlier.end(),
                        std::back_inserter(newly));
    rows = std::move(newly);
  }
  return duckdb::unique_ptr<duckdb::DeleteFilter>(
      duckdb::make_uniq<DeletionFilter>(std::move(rows), parts.deleted_rows));
}

}  // namespace arrowport::lake
