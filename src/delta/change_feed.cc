#include "delta/change_feed.h"

#include <arrow/array/util.h>
#include <arrow/scalar.h>

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "delta/deletion_vector.h"
#include "delta/log_file_set.h"
#include "delta/table_reader_file.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kMicrosPerMilli = 1000;

/// The rows of one file that changed in the same way.
struct ChangedRows {
  std::string path_in_log;
  PartitionValues partition_values;
  std::optional<DeletionVectorDescriptor> without, only;
  std::string change_type;  ///< "" when the file has the column itself
};

/// What one file went through in a commit: gone, come, or both when only its deletion
/// vector changed.
struct FileChange {
  const AddFile* add = nullptr;
  const RemoveFile* remove = nullptr;
};

/// Takes the actions of one commit apart.
class CommitChanges {
 public:
  CommitChanges(const LogReader& log, int64_t version) : log_(log), version_(version) {}

  arrow::Result<std::deque<ChangedRows>> Of(const std::vector<Action>& actions) {
    std::map<std::string, FileChange> files;
    for (const Action& action : actions) {
      if (const auto* cdc = std::get_if<AddCdcFile>(&action)) {
        changes_.push_back({cdc->path, cdc->partition_values, {}, {}, ""});
      } else if (const auto* add = std::get_if<AddFile>(&action)) {
        if (!add->data_change) continue;
        ARROW_ASSIGN_OR_RAISE(const DataPath path, DecodePath(add->path));
        files[path.path].add = add;
      } else if (const auto* remove = std::get_if<RemoveFile>(&action)) {
        if (!remove->data_change) continue;
        ARROW_ASSIGN_OR_RAISE(const DataPath path, DecodePath(remove->path));
        files[path.path].remove = remove;
      }
    }
    // Change files, when there are any, say everything.
    if (!changes_.empty()) return std::move(changes_);
    for (const auto& [path, change] : files) ARROW_RETURN_NOT_OK(Derive(change));
    return std::move(changes_);
  }

 private:
  arrow::Status Derive(const FileChange& change) {
    if (change.remove == nullptr) {
      const AddFile& add = *change.add;
      changes_.push_back(
          {add.path, add.partition_values, add.deletion_vector, {}, "insert"});
      return {};
    }
    const RemoveFile& remove = *change.remove;
    PartitionValues values = remove.partition_values;
    if (change.add != nullptr) {
      values = change.add->partition_values;
    } else if (!remove.extended_file_metadata) {
      ARROW_ASSIGN_OR_RAISE(values, FindPartitionValues(remove));
    }
    if (change.add == nullptr) {
      changes_.push_back({remove.path, std::move(values), remove.deletion_vector, {},
                          "delete"});
      return {};
    }
    const auto& before = remove.deletion_vector;
    const auto& after = change.add->deletion_vector;
    if (after) changes_.push_back({remove.path, values, before, after, "delete"});
    if (before) changes_.push_back({remove.path, values, after, before, "insert"});
    return {};
  }

  /// Of a removal that does not carry them: the file was live one version earlier.
  arrow::Result<PartitionValues> FindPartitionValues(const RemoveFile& remove) {
    if (before_ == nullptr && version_ > 0) {
      ARROW_ASSIGN_OR_RAISE(before_, log_.Load(version_ - 1));
    }
    if (before_ == nullptr || before_->state().metadata.partition_columns.empty()) {
      return PartitionValues{};
    }
    ARROW_ASSIGN_OR_RAISE(const std::string wanted,
                          FileKey(remove.path, remove.deletion_vector));
    std::optional<PartitionValues> values;
    before_->VisitFiles([&](int64_t, const AddFile& file) {
      if (values) return;
      const auto key = FileKey(file.path, file.deletion_vector);
      if (key.ok() && *key == wanted) values = file.partition_values;
    });
    if (!values) {
      return Error(ErrorCode::kStorageCorrupt, "version ", version_,
                   " removes a file that was not in the table: ", remove.path);
    }
    return *std::move(values);
  }

  const LogReader& log_;
  const int64_t version_;
  std::shared_ptr<const Snapshot> before_;
  std::deque<ChangedRows> changes_;
};

class ChangeRows final : public arrow::RecordBatchReader {
 public:
  ChangeRows(std::shared_ptr<const store::Store> store,
             std::shared_ptr<const Snapshot> before, int64_t first, int64_t last,
             FileReadOptions options)
      : store_(std::move(store)),
        log_(store_),
        state_(std::move(before)),
        version_(first - 1),
        last_(last),
        options_(options) {}

  /// `columns` of `newest`, and those of the feed.
  arrow::Status Prepare(const Snapshot& newest, const std::vector<std::string>* columns) {
    StructField change_type;
    change_type.name = "_change_type";
    change_type.type = std::make_shared<const DataType>();
    change_type.nullable = false;
    ARROW_ASSIGN_OR_RAISE(data_plan_, ReadPlan::Make(newest.state(), columns));
    ARROW_ASSIGN_OR_RAISE(change_plan_,
                          ReadPlan::Make(newest.state(), columns, {change_type}));
    schema_ = change_plan_->schema();
    for (const auto& field :
         {arrow::field("_commit_version", arrow::int64(), false),
          arrow::field("_commit_timestamp", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                       false)}) {
      ARROW_ASSIGN_OR_RAISE(schema_, schema_->AddField(schema_->num_fields(), field));
    }
    return {};
  }

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    for (;;) {
      if (rows_ != nullptr) {
        ARROW_ASSIGN_OR_RAISE(auto batch, rows_->Next());
        if (batch != nullptr) return Complete(*batch).Value(out);
        rows_ = nullptr;
      }
      if (!waiting_.empty()) {
        const ChangedRows change = std::move(waiting_.front());
        waiting_.pop_front();
        ARROW_RETURN_NOT_OK(OpenFile(change));
        continue;
      }
      if (version_ == last_) {
        *out = nullptr;
        return {};
      }
      ARROW_RETURN_NOT_OK(OpenVersion(version_ + 1));
    }
  }

 private:
  arrow::Status OpenVersion(int64_t version) {
    ARROW_ASSIGN_OR_RAISE(const auto actions, log_.ReadCommit(version));
    ARROW_ASSIGN_OR_RAISE(const auto info, store_->Stat(CommitPath(version)));
    ARROW_ASSIGN_OR_RAISE(state_, state_ == nullptr
                                      ? LogReader::First(actions, info.modified_ms)
                                      : LogReader::Apply(state_, actions, info.modified_ms));
    if (!state_->state().properties.change_data_feed) {
      return Error(ErrorCode::kInvalidArgument,
                   "the change data feed is not enabled at version ", version,
                   "; ask for later versions, or set delta.enableChangeDataFeed");
    }
    version_ = version;
    timestamp_ms_ = state_->timestamp_ms();
    ARROW_ASSIGN_OR_RAISE(waiting_, CommitChanges(log_, version).Of(actions));
    return {};
  }

  arrow::Status OpenFile(const ChangedRows& change) {
    ARROW_ASSIGN_OR_RAISE(const std::string path,
                          PathBelowRoot(*store_, change.path_in_log));
    RowSelection selection;
    if (change.without) {
      ARROW_ASSIGN_OR_RAISE(selection.without, ReadDeletionVector(*store_, *change.without));
    }
    if (change.only) {
      ARROW_ASSIGN_OR_RAISE(selection.only, ReadDeletionVector(*store_, *change.only));
    }
    change_type_ = change.change_type;
    ARROW_ASSIGN_OR_RAISE(
        rows_, FileRows::Open(*store_, path, change_type_.empty() ? change_plan_ : data_plan_,
                              change.partition_values, std::move(selection), options_));
    return {};
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Complete(
      const arrow::RecordBatch& batch) const {
    arrow::ArrayVector columns = batch.columns();
    const auto add = [&](const arrow::Scalar& value) -> arrow::Status {
      ARROW_ASSIGN_OR_RAISE(auto column, arrow::MakeArrayFromScalar(value, batch.num_rows(),
                                                                    options_.pool));
      columns.push_back(std::move(column));
      return {};
    };
    if (!change_type_.empty()) ARROW_RETURN_NOT_OK(add(arrow::StringScalar(change_type_)));
    ARROW_RETURN_NOT_OK(add(arrow::Int64Scalar(version_)));
    ARROW_RETURN_NOT_OK(add(arrow::TimestampScalar(timestamp_ms_ * kMicrosPerMilli,
                                                   schema_->fields().back()->type())));
    return arrow::RecordBatch::Make(schema_, batch.num_rows(), std::move(columns));
  }

  const std::shared_ptr<const store::Store> store_;
  const LogReader log_;
  std::shared_ptr<const Snapshot> state_;  ///< of version_; nullptr before the first
  int64_t version_;
  const int64_t last_;
  const FileReadOptions options_;
  std::shared_ptr<const ReadPlan> data_plan_, change_plan_;
  std::shared_ptr<arrow::Schema> schema_;
  int64_t timestamp_ms_ = 0;
  std::deque<ChangedRows> waiting_;
  std::string change_type_;
  std::unique_ptr<FileRows> rows_;
};

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadChanges(
    std::shared_ptr<const store::Store> store, int64_t first, std::optional<int64_t> last,
    TableReadOptions options) {
  const LogReader log(store);
  ARROW_ASSIGN_OR_RAISE(const auto newest, last ? log.Load(*last) : log.Load());
  if (first < 0 || first > newest->version()) {
    return Error(first > newest->version() && !last ? ErrorCode::kNotFound
                                                    : ErrorCode::kInvalidArgument,
                 "changes are asked for from version ", first, " to ", newest->version());
  }
  std::shared_ptr<const Snapshot> before;
  if (first > 0) {
    ARROW_ASSIGN_OR_RAISE(before, log.Load(first - 1));
  }
  auto rows = std::make_shared<ChangeRows>(
      std::move(store), std::move(before), first, newest->version(),
      FileReadOptions{options.batch_rows, options.pool});
  ARROW_RETURN_NOT_OK(
      rows->Prepare(*newest, options.columns ? &*options.columns : nullptr));
  return rows;
}

}  // namespace arrowport::delta
