#include "delta/log_replay.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

/// Column mapping counts only where the protocol speaks of it.
bool SupportsColumnMapping(const Protocol& protocol) {
  if (protocol.min_reader_version == 2) return true;
  const auto& features = protocol.reader_features;
  return features && std::find(features->begin(), features->end(), "columnMapping") !=
                         features->end();
}

/// SnapshotChange is given only snapshots this library made.
const TableSnapshot& AsTableSnapshot(const Snapshot& snapshot) {
  const auto* table = dynamic_cast<const TableSnapshot*>(&snapshot);
  ARROWPORT_CHECK(table != nullptr);
  return *table;
}

}  // namespace

arrow::Result<std::shared_ptr<const TableState>> TableState::Make(Protocol protocol,
                                                                  Metadata metadata) {
  ARROW_RETURN_NOT_OK(CheckReadable(protocol));
  if (metadata.format_provider != "parquet") {
    return Error(ErrorCode::kNotBuilt, "this build cannot read Delta tables of the format ",
                 metadata.format_provider);
  }
  auto state = std::make_shared<TableState>();
  if (metadata.schema_string.empty()) {
    // A table that was made before its columns were known.
    auto no_columns = std::make_shared<TableSchema>();
    no_columns->kind = TypeKind::kStruct;
    state->schema = std::move(no_columns);
  } else {
    ARROW_ASSIGN_OR_RAISE(state->schema, ParseSchema(metadata.schema_string));
  }
  state->properties = TableProperties::From(metadata.configuration);
  const auto mode = metadata.configuration.find("delta.columnMapping.mode");
  if (mode != metadata.configuration.end() && mode->second != "none") {
    if (mode->second != "name" && mode->second != "id") {
      return Error(ErrorCode::kNotBuilt, "this build cannot read the column mapping mode ",
                   mode->second);
    }
    if (SupportsColumnMapping(protocol)) {
      state->column_names = NameStyle::kPhysical;
      state->match_by_field_id = mode->second == "id";
    }
  }
  for (const std::string& column : metadata.partition_columns) {
    const StructField* field = FindField(*state->schema, column);
    if (field == nullptr || field->type->kind == TypeKind::kStruct ||
        field->type->kind == TypeKind::kArray || field->type->kind == TypeKind::kMap) {
      return Error(ErrorCode::kStorageCorrupt,
                   "the table's metadata names a partition column that is not in its "
                   "schema or is nested: ",
                   column);
    }
  }
  state->protocol = std::move(protocol);
  state->metadata = std::move(metadata);
  return state;
}

bool TableState::IsPartitionColumn(std::string_view column) const {
  for (const std::string& partition : metadata.partition_columns) {
    const StructField* field = FindField(*schema, partition);
    if (field != nullptr && field->name == column) return true;
  }
  return false;
}

const std::string& TableState::StoredName(const StructField& field) const {
  return column_names == NameStyle::kPhysical ? field.physical_name() : field.name;
}

void TableSnapshot::VisitFiles(
    const std::function<void(int64_t, const AddFile&)>& visit) const {
  int64_t index = 0;
  files_.ForEach([&](const AddFile& file) { visit(index++, file); });
}

bool TableSnapshot::Contains(std::string_view path, std::string_view dv_id) const {
  return files_.Contains(FileKeyOfDecoded(path, dv_id));
}

int64_t TableSnapshot::NowMs() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             clock_->WallNow().time_since_epoch())
      .count();
}

bool TableSnapshot::IsExpired(const RemoveFile& remove, int64_t now_ms) const {
  return remove.deletion_timestamp_ms.value_or(0) <
         now_ms - state_->properties.deleted_file_retention_ms;
}

void TableSnapshot::VisitTombstones(
    const std::function<void(const RemoveFile&)>& visit) const {
  const int64_t now_ms = NowMs();
  tombstones_.ForEach([&](const RemoveFile& remove) {
    if (!IsExpired(remove, now_ms)) visit(remove);
  });
}

std::optional<int64_t> TableSnapshot::TransactionVersion(std::string_view app_id) const {
  const SetTransaction* transaction = transactions_.Find(app_id);
  if (transaction == nullptr) return std::nullopt;
  const auto& retention_ms = state_->properties.transaction_retention_ms;
  if (retention_ms && transaction->last_updated_ms &&
      *transaction->last_updated_ms < NowMs() - *retention_ms) {
    return std::nullopt;
  }
  return transaction->version;
}

SnapshotChange::SnapshotChange(const Clock& clock)
    : base_(clock), files_(base_.files_), tombstones_(base_.tombstones_) {}

SnapshotChange::SnapshotChange(const Snapshot& base)
    : base_(AsTableSnapshot(base)),
      files_(base_.files_),
      tombstones_(base_.tombstones_) {}

arrow::Status SnapshotChange::AddCheckpoint(CheckpointContent content) {
  if (!content.protocol) {
    return Error(ErrorCode::kStorageCorrupt, "checkpoint without protocol");
  }
  if (!content.metadata) {
    return Error(ErrorCode::kStorageCorrupt, "checkpoint without metadata");
  }
  for (auto& piece : content.adds) base_.files_.AddPiece(std::move(piece));
  files_ = FileSetChange<AddFile>(base_.files_);
  for (RemoveFile& remove : content.removes) {
    ARROW_ASSIGN_OR_RAISE(std::string key, FileKey(remove.path, remove.deletion_vector));
    tombstones_.Put(std::move(key), std::make_shared<const RemoveFile>(std::move(remove)));
  }
  protocol_ = std::move(content.protocol);
  metadata_ = std::move(content.metadata);
  for (SetTransaction& transaction : content.transactions) {
    ARROW_RETURN_NOT_OK(Add(std::move(transaction)));
  }
  for (DomainMetadata& domain : content.domains) {
    ARROW_RETURN_NOT_OK(Add(std::move(domain)));
  }
  return {};
}

arrow::Status SnapshotChange::AddCommit(std::vector<Action> actions) {
  in_commit_timestamp_ms_.reset();
  for (Action& action : actions) ARROW_RETURN_NOT_OK(Add(std::move(action)));
  return {};
}

arrow::Status SnapshotChange::Add(Action action) {
  if (auto* add = std::get_if<AddFile>(&action)) {
    ARROW_ASSIGN_OR_RAISE(std::string key, FileKey(add->path, add->deletion_vector));
    tombstones_.Remove(key);
    files_.Put(std::move(key), std::make_shared<const AddFile>(std::move(*add)));
  } else if (auto* remove = std::get_if<RemoveFile>(&action)) {
    ARROW_ASSIGN_OR_RAISE(std::string key, FileKey(remove->path, remove->deletion_vector));
    files_.Remove(key);
    tombstones_.Put(std::move(key), std::make_shared<const RemoveFile>(std::move(*remove)));
  } else if (auto* protocol = std::get_if<Protocol>(&action)) {
    protocol_ = std::move(*protocol);
  } else if (auto* metadata = std::get_if<Metadata>(&action)) {
    metadata_ = std::move(*metadata);
  } else if (auto* transaction = std::get_if<SetTransaction>(&action)) {
    std::string app_id = transaction->app_id;
    transactions_[std::move(app_id)] = std::move(*transaction);
  } else if (auto* domain = std::get_if<DomainMetadata>(&action)) {
    if (!domains_changed_ && base_.domains_ != nullptr) domains_ = *base_.domains_;
    domains_changed_ = true;
    std::string name = domain->domain;
    if (domain->removed) {
      domains_.erase(name);
    } else {
      domains_[std::move(name)] = std::move(*domain);
    }
  } else if (auto* info = std::get_if<CommitInfo>(&action)) {
    in_commit_timestamp_ms_ = info->in_commit_timestamp_ms;
  }
  return {};
}

arrow::Result<std::shared_ptr<const Snapshot>> SnapshotChange::Finish(int64_t version,
                                                                      int64_t modified_ms) {
  auto snapshot = std::shared_ptr<TableSnapshot>(new TableSnapshot(base_));
  if (base_.state_ == nullptr && !protocol_) {
    return Error(ErrorCode::kStorageCorrupt, "no protocol in the log");
  }
  if (base_.state_ == nullptr && !metadata_) {
    return Error(ErrorCode::kStorageCorrupt, "no metadata in the log");
  }
  if (protocol_ || metadata_) {
    ARROW_ASSIGN_OR_RAISE(
        snapshot->state_,
        TableState::Make(
            protocol_ ? std::move(*protocol_) : base_.state_->protocol,
            metadata_ ? std::move(*metadata_) : base_.state_->metadata));
  }
  snapshot->version_ = version;
  snapshot->timestamp_ms_ = base_.version_ < 0
                                ? modified_ms
                                : std::max(modified_ms, base_.timestamp_ms_ + 1);
  if (snapshot->state_->properties.in_commit_timestamps && in_commit_timestamp_ms_) {
    snapshot->timestamp_ms_ = *in_commit_timestamp_ms_;
  }
  snapshot->files_ = files_.Finish();
  snapshot->tombstones_ = tombstones_.Finish();
  PurgeTombstones(snapshot.get());
  snapshot->transactions_ = base_.transactions_.With(std::move(transactions_));
  if (domains_changed_ || snapshot->domains_ == nullptr) {
    snapshot->domains_ =
        std::make_shared<const TableSnapshot::Domains>(std::move(domains_));
  }
  return snapshot;
}

void SnapshotChange::PurgeTombstones(TableSnapshot* snapshot) const {
  if (snapshot->tombstones_.count() < snapshot->tombstones_before_purge_) return;
  const int64_t now_ms = snapshot->NowMs();
  std::vector<std::shared_ptr<const RemoveFile>> kept;
  snapshot->tombstones_.ForEach([&](const RemoveFile& remove) {
    if (!snapshot->IsExpired(remove, now_ms)) {
      kept.push_back(std::make_shared<const RemoveFile>(remove));
    }
  });
  snapshot->tombstones_ = {};
  snapshot->tombstones_.AddPiece(std::make_shared<ListPiece<RemoveFile>>(std::move(kept)));
  snapshot->tombstones_before_purge_ = 2 * snapshot->tombstones_.count() + 1000;
}

}  // namespace arrowport::delta
