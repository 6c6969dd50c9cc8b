#include "lake/file_list.h"

#include <duckdb/common/types/hash.hpp>
#include <duckdb/storage/statistics/node_statistics.hpp>
#include <numeric>

namespace arrowport::lake {
namespace {

// For files whose rows the log does not tell.
constexpr int64_t kGuessedRowBytes = 64;

FileIndexes All(const ScanSource& source) {
  FileIndexes all(source.files.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

FileList::FileList(std::shared_ptr<const ScanSource> source)
    : source_(std::move(source)), kept_(All(*source_)) {}

FileList::FileList(std::shared_ptr<const ScanSource> source, FileIndexes kept)
    : source_(std::move(source)), kept_(std::move(kept)) {}

std::optional<int64_t> FileList::rows() const {
  int64_t total = 0;
  for (uint32_t index : kept_) {
    const std::optional<int64_t> rows = source_->files[index]->rows();
    if (!rows || __builtin_add_overflow(total, *rows, &total)) return std::nullopt;
  }
  return total;
}

std::string FileList::Fingerprint() const {
  duckdb::hash_t hash = kept_.size();
  for (uint32_t index : kept_) {
    hash = duckdb::CombineHash(hash, duckdb::Hash<uint64_t>(index));
  }
  return std::to_string(kept_.size()) + "/" + std::to_string(hash);
}

duckdb::unique_ptr<duckdb::MultiFileList> FileList::ComplexFilterPushdown(
    duckdb::ClientContext& context, const duckdb::MultiFileOptions&,
    duckdb::MultiFilePushdownInfo& info,
    duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& filters) const {
  if (filters.empty()) return nullptr;
  duckdb::string text;
  for (const auto& filter : filters) {
    if (!text.empty()) text += " AND ";
    text += filter->ToString();
  }
  FileIndexes kept = PruneByPredicates(context, *source_, kept_, info, filters);
  info.extra_info.file_filters = text;
  info.extra_info.total_files = source_->files.size();
  info.extra_info.filtered_files = kept.size();
  if (kept.size() == kept_.size()) return nullptr;
  return duckdb::make_uniq<FileList>(source_, std::move(kept));
}

duckdb::unique_ptr<duckdb::MultiFileList> FileList::DynamicFilterPushdown(
    duckdb::ClientContext&, const duckdb::MultiFileOptions&,
    const duckdb::vector<duckdb::string>&, const duckdb::vector<duckdb::LogicalType>&,
    const duckdb::vector<duckdb::column_t>& column_ids,
    duckdb::TableFilterSet& filters) const {
  FileIndexes kept = PruneByTableFilters(*source_, kept_, column_ids, filters);
  if (kept.size() == kept_.size()) return nullptr;
  return duckdb::make_uniq<FileList>(source_, std::move(kept));
}

duckdb::vector<duckdb::OpenFileInfo> FileList::GetAllFiles() const {
  duckdb::vector<duckdb::OpenFileInfo> files;
  for (size_t i = 0; i < kept_.size(); ++i) files.push_back(GetFile(i));
  return files;
}

duckdb::FileExpandResult FileList::GetExpandResult() const {
  // Never SINGLE_FILE: the number of threads would come from a reader we do not have.
  return kept_.empty() ? duckdb::FileExpandResult::NO_FILES
                       : duckdb::FileExpandResult::MULTIPLE_FILES;
}

duckdb::unique_ptr<duckdb::NodeStatistics> FileList::GetCardinality(
    duckdb::ClientContext&) const {
  if (std::optional<int64_t> exact = rows()) {
    return duckdb::make_uniq<duckdb::NodeStatistics>(*exact, *exact);
  }
  uint64_t guess = 0;
  for (uint32_t index : kept_) {
    const ScanFile& file = *source_->files[index];
    guess += file.rows() ? *file.rows()
                         : std::max<int64_t>(1, file.parts().size_bytes / kGuessedRowBytes);
  }
  return duckdb::make_uniq<duckdb::NodeStatistics>(guess);
}

duckdb::unique_ptr<duckdb::MultiFileList> FileList::Copy() const {
  return duckdb::make_uniq<FileList>(source_, kept_);
}

duckdb::OpenFileInfo FileList::GetFile(duckdb::idx_t position) const {
  if (position >= kept_.size()) return {};
  return duckdb::OpenFileInfo(file(position).parts().path);
}

}  // namespace arrowport::lake
