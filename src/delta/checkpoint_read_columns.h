// Columns of a checkpoint as typed Arrow arrays, whichever writer made the file: a column
// may be missing, and text may come large, as a view or as a dictionary.
#pragma once

#include <arrow/array.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delta/actions.h"

namespace arrowport::delta {

/// The child `name` of `parent` cast to `type`; nullptr when there is none. Errors:
/// kStorageCorrupt when the values cannot be of that type.
arrow::Result<std::shared_ptr<arrow::Array>> TakeChild(
    const arrow::StructArray& parent, std::string_view name,
    const std::shared_ptr<arrow::DataType>& type);

/// The struct child `name`, or nullptr. Errors: kStorageCorrupt when it is no struct.
arrow::Result<std::shared_ptr<arrow::StructArray>> TakeStruct(
    const arrow::StructArray& parent, std::string_view name);

/// A column of simple values; every accessor takes a missing column for nulls.
template <typename ArrayType>
class Values {
 public:
  arrow::Status Take(const arrow::StructArray& parent, std::string_view name) {
    ARROW_ASSIGN_OR_RAISE(
        array_, TakeChild(parent, name,
                          arrow::TypeTraits<typename ArrayType::TypeClass>::type_singleton()));
    typed_ = static_cast<const ArrayType*>(array_.get());
    return {};
  }
  bool Has(int64_t row) const { return typed_ != nullptr && typed_->IsValid(row); }
  auto Get(int64_t row) const { return typed_->GetView(row); }
  template <typename T>
  std::optional<T> Optional(int64_t row) const {
    return Has(row) ? std::optional<T>(T(Get(row))) : std::nullopt;
  }
  template <typename T>
  T Or(int64_t row, T fallback) const {
    return Has(row) ? T(Get(row)) : fallback;
  }

 private:
  std::shared_ptr<arrow::Array> array_;
  const ArrayType* typed_ = nullptr;
};

using TextValues = Values<arrow::StringArray>;
using LongValues = Values<arrow::Int64Array>;
using IntegerValues = Values<arrow::Int32Array>;
using BooleanValues = Values<arrow::BooleanArray>;

/// A map of texts to texts.
class TextMapValues {
 public:
  arrow::Status Take(const arrow::StructArray& parent, std::string_view name);
  bool Has(int64_t row) const { return map_ != nullptr && map_->IsValid(row); }
  StringMap Map(int64_t row) const;
  PartitionValues Partition(int64_t row) const;

 private:
  std::shared_ptr<arrow::MapArray> map_;
  std::shared_ptr<arrow::StringArray> keys_, items_;
};

/// A list of texts.
class TextListValues {
 public:
  arrow::Status Take(const arrow::StructArray& parent, std::string_view name);
  bool Has(int64_t row) const { return list_ != nullptr && list_->IsValid(row); }
  std::vector<std::string> Get(int64_t row) const;

 private:
  std::shared_ptr<arrow::ListArray> list_;
  std::shared_ptr<arrow::StringArray> items_;
};

class DeletionVectorValues {
 public:
  arrow::Status Take(const arrow::StructArray& parent);
  bool Has(int64_t row) const { return vectors_ != nullptr && vectors_->IsValid(row); }
  std::optional<DeletionVectorDescriptor> Get(int64_t row) const;

 private:
  std::shared_ptr<arrow::StructArray> vectors_;
  TextValues storage_type_, path_or_inline_;
  IntegerValues offset_, size_bytes_;
  LongValues cardinality_, max_row_index_;
};

/// The `add` column of one batch. Immutable after Take.
class AddColumns {
 public:
  /// Errors: kStorageCorrupt (also for a row without a path or with a wrong vector).
  arrow::Status Take(std::shared_ptr<arrow::StructArray> adds);
  const arrow::StructArray& adds() const { return *adds_; }
  std::string_view path(int64_t row) const { return path_.Get(row); }
  int64_t size(int64_t row) const { return size_.Or<int64_t>(row, 0); }
  std::optional<DeletionVectorDescriptor> deletion_vector(int64_t row) const {
    return vector_.Get(row);
  }
  bool has_deletion_vector(int64_t row) const { return vector_.Has(row); }
  AddFile Get(int64_t row) const;

 private:
  std::shared_ptr<arrow::StructArray> adds_, stats_parsed_;
  TextValues path_, stats_, clustering_provider_;
  TextMapValues partition_values_, tags_;
  LongValues size_, modification_time_, base_row_id_, default_row_commit_version_;
  BooleanValues data_change_;
  DeletionVectorValues vector_;
};

/// The `remove` column of one batch.
class RemoveColumns {
 public:
  arrow::Status Take(std::shared_ptr<arrow::StructArray> removes);
  bool Has(int64_t row) const { return removes_->IsValid(row); }
  /// Errors: kStorageCorrupt.
  arrow::Result<RemoveFile> Get(int64_t row) const;

 private:
  std::shared_ptr<arrow::StructArray> removes_;
  TextValues path_;
  TextMapValues partition_values_, tags_;
  LongValues deletion_timestamp_, size_, base_row_id_, default_row_commit_version_;
  BooleanValues data_change_, extended_file_metadata_;
  DeletionVectorValues vector_;
};

}  // namespace arrowport::delta
