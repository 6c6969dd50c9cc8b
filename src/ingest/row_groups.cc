#include "ingest/row_groups.h"

#include <algorithm>
#include <utility>

namespace arrowport::ingest {

int64_t RowCount(const Batches& batches) {
  int64_t rows = 0;
  for (const auto& batch : batches) rows += batch->num_rows();
  return rows;
}

Batches TakeRows(Batches* batches, int64_t rows) {
  Batches taken;
  size_t used = 0;
  while (rows > 0 && used < batches->size()) {
    auto& batch = (*batches)[used];
    const int64_t part = std::min(rows, batch->num_rows());
    rows -= part;
    if (part == batch->num_rows()) {
      taken.push_back(std::move(batch));
      ++used;
    } else {
      taken.push_back(batch->Slice(0, part));
      batch = batch->Slice(part);
    }
  }
  batches->erase(batches->begin(), batches->begin() + static_cast<int64_t>(used));
  return taken;
}

Batches ToRowGroups(Batches batches, int64_t group_rows) {
  Batches groups;
  while (!batches.empty()) {
    Batches parts = TakeRows(&batches, group_rows);
    if (parts.size() > 1) {
      auto joined = arrow::ConcatenateRecordBatches(parts);
      if (joined.ok()) parts = {*std::move(joined)};
    }
    std::ranges::move(parts, std::back_inserter(groups));
  }
  return groups;
}

Batches JoinSmall(Batches batches, int64_t rows_max) {
  if (batches.size() < 2) return batches;
  const int64_t rows = RowCount(batches);
  if (rows / static_cast<int64_t>(batches.size()) >= rows_max) return batches;
  auto joined = arrow::ConcatenateRecordBatches(batches);
  if (!joined.ok()) return batches;
  return {*std::move(joined)};
}

}  // namespace arrowport::ingest
