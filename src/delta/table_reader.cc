#include "delta/table_reader.h"

#include <utility>

#include "base/error.h"
#include "delta/deletion_vector.h"
#include "delta/table_reader_file.h"

namespace arrowport::delta {
namespace {

class TableRows final : public arrow::RecordBatchReader {
 public:
  TableRows(std::shared_ptr<const store::Store> store,
            std::shared_ptr<const Snapshot> snapshot, std::shared_ptr<const ReadPlan> plan,
            std::vector<const AddFile*> files, FileReadOptions options)
      : store_(std::move(store)),
        snapshot_(std::move(snapshot)),
        plan_(std::move(plan)),
        files_(std::move(files)),
        options_(options) {}

  std::shared_ptr<arrow::Schema> schema() const override { return plan_->schema(); }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    for (;;) {
      if (rows_ != nullptr) {
        ARROW_ASSIGN_OR_RAISE(*out, rows_->Next());
        if (*out != nullptr) return {};
        rows_ = nullptr;
      }
      if (next_ == files_.size()) {
        *out = nullptr;
        return {};
      }
      ARROW_RETURN_NOT_OK(OpenFile(*files_[next_++]));
    }
  }

 private:
  arrow::Status OpenFile(const AddFile& file) {
    ARROW_ASSIGN_OR_RAISE(const std::string path, PathBelowRoot(*store_, file.path));
    RowSelection selection;
    if (file.deletion_vector) {
      ARROW_ASSIGN_OR_RAISE(selection.without,
                            ReadDeletionVector(*store_, *file.deletion_vector));
    }
    ARROW_ASSIGN_OR_RAISE(rows_,
                          FileRows::Open(*store_, path, plan_, file.partition_values,
                                         std::move(selection), options_));
    return {};
  }

  const std::shared_ptr<const store::Store> store_;
  const std::shared_ptr<const Snapshot> snapshot_;  // owns what files_ points to
  const std::shared_ptr<const ReadPlan> plan_;
  const std::vector<const AddFile*> files_;
  const FileReadOptions options_;
  size_t next_ = 0;
  std::unique_ptr<FileRows> rows_;
};

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadTable(
    std::shared_ptr<const store::Store> store, std::shared_ptr<const Snapshot> snapshot,
    TableReadOptions options, const std::function<bool(const AddFile&)>& choose) {
  std::vector<const AddFile*> files;
  snapshot->VisitFiles([&](int64_t, const AddFile& file) {
    if (choose == nullptr || choose(file)) files.push_back(&file);
  });
  return ReadFiles(std::move(store), std::move(snapshot), std::move(files), options);
}

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadFiles(
    std::shared_ptr<const store::Store> store, std::shared_ptr<const Snapshot> snapshot,
    std::vector<const AddFile*> files, const TableReadOptions& options) {
  ARROW_ASSIGN_OR_RAISE(
      auto plan,
      ReadPlan::Make(snapshot->state(), options.columns ? &*options.columns : nullptr));
  return std::make_shared<TableRows>(std::move(store), std::move(snapshot), std::move(plan),
                                     std::move(files),
                                     FileReadOptions{options.batch_rows, options.pool});
}

}  // namespace arrowport::delta
