#include "delta/checkpoint_read_columns.h"

#include <arrow/compute/cast.h>

#include <utility>

#include "base/error.h"
#include "delta/action_json.h"
#include "delta/checkpoint_read_stats.h"

namespace arrowport::delta {
namespace {

arrow::Status Malformed(std::string_view what, std::string_view name) {
  return Error(ErrorCode::kStorageCorrupt, "malformed checkpoint: ", what, ": ", name);
}

arrow::Result<std::shared_ptr<arrow::Array>> CastTo(
    const std::shared_ptr<arrow::Array>& array,
    const std::shared_ptr<arrow::DataType>& type, std::string_view name) {
  if (array->type()->Equals(*type)) return array;
  auto cast = arrow::compute::Cast(*array, type);
  if (!cast.ok()) return Malformed("a column of the wrong type", name);
  return cast;
}

std::shared_ptr<arrow::Array> FindChild(const arrow::StructArray& parent,
                                        std::string_view name) {
  const int index = parent.struct_type()->GetFieldIndex(std::string(name));
  return index < 0 ? nullptr : parent.field(index);
}

}  // namespace

arrow::Result<std::shared_ptr<arrow::Array>> TakeChild(
    const arrow::StructArray& parent, std::string_view name,
    const std::shared_ptr<arrow::DataType>& type) {
  const auto child = FindChild(parent, name);
  if (child == nullptr) return nullptr;
  return CastTo(child, type, name);
}

arrow::Result<std::shared_ptr<arrow::StructArray>> TakeStruct(
    const arrow::StructArray& parent, std::string_view name) {
  const auto child = FindChild(parent, name);
  if (child == nullptr || child->type_id() == arrow::Type::NA) return nullptr;
  if (child->type_id() != arrow::Type::STRUCT) {
    return Malformed("a column of the wrong type", name);
  }
  return std::static_pointer_cast<arrow::StructArray>(child);
}

arrow::Status TextMapValues::Take(const arrow::StructArray& parent, std::string_view name) {
  const auto child = FindChild(parent, name);
  if (child == nullptr || child->type_id() == arrow::Type::NA) return {};
  if (child->type_id() != arrow::Type::MAP) {
    return Malformed("a column of the wrong type", name);
  }
  map_ = std::static_pointer_cast<arrow::MapArray>(child);
  ARROW_ASSIGN_OR_RAISE(auto keys, CastTo(map_->keys(), arrow::utf8(), name));
  ARROW_ASSIGN_OR_RAISE(auto items, CastTo(map_->items(), arrow::utf8(), name));
  keys_ = std::static_pointer_cast<arrow::StringArray>(keys);
  items_ = std::static_pointer_cast<arrow::StringArray>(items);
  return {};
}

StringMap TextMapValues::Map(int64_t row) const {
  StringMap map;
  if (!Has(row)) return map;
  for (int64_t i = map_->value_offset(row); i < map_->value_offset(row + 1); ++i) {
    if (items_->IsValid(i)) map.emplace(keys_->GetView(i), items_->GetView(i));
  }
  return map;
}

PartitionValues TextMapValues::Partition(int64_t row) const {
  PartitionValues values;
  if (!Has(row)) return values;
  for (int64_t i = map_->value_offset(row); i < map_->value_offset(row + 1); ++i) {
    auto& slot = values[std::string(keys_->GetView(i))];
    if (items_->IsValid(i) && !items_->GetView(i).empty()) {
      slot = std::string(items_->GetView(i));
    }
  }
  return values;
}

arrow::Status TextListValues::Take(const arrow::StructArray& parent,
                                   std::string_view name) {
  const auto child = FindChild(parent, name);
  if (child == nullptr || child->type_id() == arrow::Type::NA) return {};
  if (child->type_id() != arrow::Type::LIST) {
    return Malformed("a column of the wrong type", name);
  }
  list_ = std::static_pointer_cast<arrow::ListArray>(child);
  ARROW_ASSIGN_OR_RAISE(auto items, CastTo(list_->values(), arrow::utf8(), name));
  items_ = std::static_pointer_cast<arrow::StringArray>(items);
  return {};
}

std::vector<std::string> TextListValues::Get(int64_t row) const {
  std::vector<std::string> list;
  for (int64_t i = list_->value_offset(row); i < list_->value_offset(row + 1); ++i) {
    if (items_->IsValid(i)) list.emplace_back(items_->GetView(i));
  }
  return list;
}

arrow::Status DeletionVectorValues::Take(const arrow::StructArray& parent) {
  ARROW_ASSIGN_OR_RAISE(vectors_, TakeStruct(parent, "deletionVector"));
  if (vectors_ == nullptr) return {};
  if (vectors_->null_count() == vectors_->length()) {
    vectors_ = nullptr;
    return {};
  }
  ARROW_RETURN_NOT_OK(storage_type_.Take(*vectors_, "storageType"));
  ARROW_RETURN_NOT_OK(path_or_inline_.Take(*vectors_, "pathOrInlineDv"));
  ARROW_RETURN_NOT_OK(offset_.Take(*vectors_, "offset"));
  ARROW_RETURN_NOT_OK(size_bytes_.Take(*vectors_, "sizeInBytes"));
  ARROW_RETURN_NOT_OK(cardinality_.Take(*vectors_, "cardinality"));
  return max_row_index_.Take(*vectors_, "maxRowIndex");
}

std::optional<DeletionVectorDescriptor> DeletionVectorValues::Get(int64_t row) const {
  if (!Has(row)) return std::nullopt;
  DeletionVectorDescriptor vector;
  vector.storage_type = storage_type_.Or<std::string>(row, "");
  vector.path_or_inline = path_or_inline_.Or<std::string>(row, "");
  vector.offset = offset_.Optional<int32_t>(row);
  vector.size_bytes = size_bytes_.Or<int32_t>(row, -1);
  vector.cardinality = cardinality_.Or<int64_t>(row, -1);
  vector.max_row_index = max_row_index_.Optional<int64_t>(row);
  return vector;
}

arrow::Status AddColumns::Take(std::shared_ptr<arrow::StructArray> adds) {
  adds_ = std::move(adds);
  ARROW_RETURN_NOT_OK(path_.Take(*adds_, "path"));
  ARROW_RETURN_NOT_OK(partition_values_.Take(*adds_, "partitionValues"));
  ARROW_RETURN_NOT_OK(size_.Take(*adds_, "size"));
  ARROW_RETURN_NOT_OK(modification_time_.Take(*adds_, "modificationTime"));
  ARROW_RETURN_NOT_OK(data_change_.Take(*adds_, "dataChange"));
  ARROW_RETURN_NOT_OK(stats_.Take(*adds_, "stats"));
  ARROW_RETURN_NOT_OK(tags_.Take(*adds_, "tags"));
  ARROW_RETURN_NOT_OK(vector_.Take(*adds_));
  ARROW_RETURN_NOT_OK(base_row_id_.Take(*adds_, "baseRowId"));
  ARROW_RETURN_NOT_OK(
      default_row_commit_version_.Take(*adds_, "defaultRowCommitVersion"));
  ARROW_RETURN_NOT_OK(clustering_provider_.Take(*adds_, "clusteringProvider"));
  ARROW_ASSIGN_OR_RAISE(stats_parsed_, TakeStruct(*adds_, "stats_parsed"));
  for (int64_t row = 0; row < adds_->length(); ++row) {
    if (adds_->IsNull(row)) continue;
    if (!path_.Has(row)) return Malformed("a row is null", "add.path");
    if (size(row) < 0) return Malformed("a row is negative", "add.size");
    if (!vector_.Has(row)) continue;
    if (const auto what = DeletionVectorFault(*vector_.Get(row)); !what.empty()) {
      return Malformed(what, "add.deletionVector");
    }
  }
  return {};
}

AddFile AddColumns::Get(int64_t row) const {
  AddFile add;
  add.path = std::string(path(row));
  add.partition_values = partition_values_.Partition(row);
  add.size = size(row);
  add.modification_time_ms = modification_time_.Or<int64_t>(row, 0);
  add.data_change = data_change_.Or<bool>(row, false);
  if (stats_.Has(row)) {
    add.stats = std::string(stats_.Get(row));
  } else if (stats_parsed_ != nullptr && stats_parsed_->IsValid(row)) {
    add.stats = StatsToJson(*stats_parsed_, row);
  }
  add.tags = tags_.Map(row);
  add.deletion_vector = deletion_vector(row);
  add.base_row_id = base_row_id_.Optional<int64_t>(row);
  add.default_row_commit_version = default_row_commit_version_.Optional<int64_t>(row);
  add.clustering_provider = clustering_provider_.Optional<std::string>(row);
  return add;
}

arrow::Status RemoveColumns::Take(std::shared_ptr<arrow::StructArray> removes) {
  removes_ = std::move(removes);
  ARROW_RETURN_NOT_OK(path_.Take(*removes_, "path"));
  ARROW_RETURN_NOT_OK(partition_values_.Take(*removes_, "partitionValues"));
  ARROW_RETURN_NOT_OK(deletion_timestamp_.Take(*removes_, "deletionTimestamp"));
  ARROW_RETURN_NOT_OK(data_change_.Take(*removes_, "dataChange"));
  ARROW_RETURN_NOT_OK(extended_file_metadata_.Take(*removes_, "extendedFileMetadata"));
  ARROW_RETURN_NOT_OK(size_.Take(*removes_, "size"));
  ARROW_RETURN_NOT_OK(tags_.Take(*removes_, "tags"));
  ARROW_RETURN_NOT_OK(vector_.Take(*removes_));
  ARROW_RETURN_NOT_OK(base_row_id_.Take(*removes_, "baseRowId"));
  return default_row_commit_version_.Take(*removes_, "defaultRowCommitVersion");
}

arrow::Result<RemoveFile> RemoveColumns::Get(int64_t row) const {
  if (!path_.Has(row)) return Malformed("a row is null", "remove.path");
  RemoveFile remove;
  remove.path = std::string(path_.Get(row));
  remove.deletion_timestamp_ms = deletion_timestamp_.Optional<int64_t>(row);
  remove.data_change = data_change_.Or<bool>(row, false);
  remove.extended_file_metadata = extended_file_metadata_.Or<bool>(row, false);
  remove.partition_values = partition_values_.Partition(row);
  remove.size = size_.Optional<int64_t>(row);
  remove.tags = tags_.Map(row);
  remove.deletion_vector = vector_.Get(row);
  remove.base_row_id = base_row_id_.Optional<int64_t>(row);
  remove.default_row_commit_version = default_row_commit_version_.Optional<int64_t>(row);
  if (remove.deletion_vector) {
    if (const auto what = DeletionVectorFault(*remove.deletion_vector); !what.empty()) {
      return Malformed(what, "remove.deletionVector");
    }
  }
  return remove;
}

}  // namespace arrowport::delta
