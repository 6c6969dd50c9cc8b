#include "delta/checkpoint_write_rows.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/builder.h>

#include "delta/data_file_writer.h"

namespace arrowport::delta {
namespace {

using arrow::field;

enum Column { kTxn, kAdd, kRemove, kMetadata, kProtocol, kDomain, kCheckpoint };

std::shared_ptr<arrow::DataType> TextMapType() {
  return arrow::map(arrow::utf8(), arrow::utf8());
}
std::shared_ptr<arrow::DataType> TextListType() {
  return arrow::list(field("element", arrow::utf8()));
}

std::shared_ptr<arrow::DataType> DeletionVectorType() {
  return arrow::struct_({field("storageType", arrow::utf8()),
                         field("pathOrInlineDv", arrow::utf8()),
                         field("offset", arrow::int32()),
                         field("sizeInBytes", arrow::int32()),
                         field("cardinality", arrow::int64()),
                         field("maxRowIndex", arrow::int64())});
}

std::shared_ptr<arrow::DataType> AddType() {
  return arrow::struct_({field("path", arrow::utf8()),
                         field("partitionValues", TextMapType()),
                         field("size", arrow::int64()),
                         field("modificationTime", arrow::int64()),
                         field("dataChange", arrow::boolean()),
                         field("stats", arrow::utf8()),
                         field("tags", TextMapType()),
                         field("deletionVector", DeletionVectorType()),
                         field("baseRowId", arrow::int64()),
                         field("defaultRowCommitVersion", arrow::int64()),
                         field("clusteringProvider", arrow::utf8())});
}

std::shared_ptr<arrow::DataType> RemoveType() {
  return arrow::struct_({field("path", arrow::utf8()),
                         field("deletionTimestamp", arrow::int64()),
                         field("dataChange", arrow::boolean()),
                         field("extendedFileMetadata", arrow::boolean()),
                         field("partitionValues", TextMapType()),
                         field("size", arrow::int64()),
                         field("tags", TextMapType()),
                         field("deletionVector", DeletionVectorType()),
                         field("baseRowId", arrow::int64()),
                         field("defaultRowCommitVersion", arrow::int64())});
}

std::shared_ptr<arrow::DataType> MetadataType() {
  return arrow::struct_(
      {field("id", arrow::utf8()), field("name", arrow::utf8()),
       field("description", arrow::utf8()),
       field("format", arrow::struct_({field("provider", arrow::utf8()),
                                       field("options", TextMapType())})),
       field("schemaString", arrow::utf8()), field("partitionColumns", TextListType()),
       field("configuration", TextMapType()), field("createdTime", arrow::int64())});
}

std::shared_ptr<arrow::Schema> CheckpointSchema(CheckpointContent content) {
  arrow::FieldVector fields = {
      field("txn", arrow::struct_({field("appId", arrow::utf8()),
                                   field("version", arrow::int64()),
                                   field("lastUpdated", arrow::int64())})),
      field("add", AddType()),
      field("remove", RemoveType()),
      field("metaData", MetadataType()),
      field("protocol", arrow::struct_({field("minReaderVersion", arrow::int32()),
                                        field("minWriterVersion", arrow::int32()),
                                        field("readerFeatures", TextListType()),
                                        field("writerFeatures", TextListType())})),
      field("domainMetadata", arrow::struct_({field("domain", arrow::utf8()),
                                              field("configuration", arrow::utf8()),
                                              field("removed", arrow::boolean())}))};
  if (content == CheckpointContent::kV2) {
    fields.push_back(field("checkpointMetadata",
                           arrow::struct_({field("version", arrow::int64()),
                                           field("tags", TextMapType())})));
  }
  return arrow::schema(std::move(fields));
}

/// Fills the children of one struct in the order of its type.
class Members {
 public:
  Members(arrow::StructBuilder* builder, arrow::Status* status)
      : builder_(builder), status_(status) {
    Keep(builder_->Append());
  }

  Members& Text(const std::string& value) {
    Keep(Next<arrow::StringBuilder>()->Append(value));
    return *this;
  }
  Members& Text(const std::optional<std::string>& value) {
    return value ? Text(*value) : Null();
  }
  Members& Long(std::optional<int64_t> value) {
    if (!value) return Null();
    Keep(Next<arrow::Int64Builder>()->Append(*value));
    return *this;
  }
  Members& Int(std::optional<int32_t> value) {
    if (!value) return Null();
    Keep(Next<arrow::Int32Builder>()->Append(*value));
    return *this;
  }
  Members& Boolean(bool value) {
    Keep(Next<arrow::BooleanBuilder>()->Append(value));
    return *this;
  }
  template <typename Map>
  Members& TextMap(const Map& map) {
    auto* builder = Next<arrow::MapBuilder>();
    Keep(builder->Append());
    auto* keys = static_cast<arrow::StringBuilder*>(builder->key_builder());
    auto* items = static_cast<arrow::StringBuilder*>(builder->item_builder());
    for (const auto& [key, value] : map) {
      Keep(keys->Append(key));
      Keep(AppendValue(items, value));
    }
    return *this;
  }
  Members& TextList(const std::optional<std::vector<std::string>>& texts) {
    if (!texts) return Null();
    auto* builder = Next<arrow::ListBuilder>();
    Keep(builder->Append());
    auto* values = static_cast<arrow::StringBuilder*>(builder->value_builder());
    for (const std::string& text : *texts) Keep(values->Append(text));
    return *this;
  }
  Members Struct() { return Members(Next<arrow::StructBuilder>(), status_); }
  Members& Null() {
    Keep(builder_->field_builder(next_++)->AppendNull());
    return *this;
  }
  Members& DeletionVector(const std::optional<DeletionVectorDescriptor>& vector) {
    if (!vector) return Null();
    Struct()
        .Text(vector->storage_type)
        .Text(vector->path_or_inline)
        .Int(vector->offset)
        .Int(vector->size_bytes)
        .Long(vector->cardinality)
        .Long(vector->max_row_index);
    return *this;
  }

 private:
  template <typename Builder>
  Builder* Next() {
    return static_cast<Builder*>(builder_->field_builder(next_++));
  }
  static arrow::Status AppendValue(arrow::StringBuilder* builder,
                                   const std::string& value) {
    return builder->Append(value);
  }
  static arrow::Status AppendValue(arrow::StringBuilder* builder,
                                   const std::optional<std::string>& value) {
    return value ? builder->Append(*value) : builder->AppendNull();
  }
  void Keep(const arrow::Status& status) {
    if (status_->ok()) *status_ = status;
  }

  arrow::StructBuilder* const builder_;
  arrow::Status* const status_;
  int next_ = 0;
};

}  // namespace

/// Puts one action into its column and NULL into the others.
class CheckpointRows::Row {
 public:
  explicit Row(CheckpointRows* rows) : rows_(*rows) {}

  void operator()(const SetTransaction& txn) {
    Begin(kTxn).Text(txn.app_id).Long(txn.version).Long(txn.last_updated_ms);
  }
  void operator()(const AddFile& add) {
    rows_.bytes_ += static_cast<int64_t>(add.path.size() + add.stats.size());
    Members members = Begin(kAdd);
    members.Text(add.path).TextMap(add.partition_values).Long(add.size);
    members.Long(add.modification_time_ms).Boolean(false);
    add.stats.empty() ? members.Null() : members.Text(add.stats);
    add.tags.empty() ? members.Null() : members.TextMap(add.tags);
    members.DeletionVector(add.deletion_vector)
        .Long(add.base_row_id)
        .Long(add.default_row_commit_version)
        .Text(add.clustering_provider);
  }
  void operator()(const RemoveFile& remove) {
    rows_.bytes_ += static_cast<int64_t>(remove.path.size());
    Members members = Begin(kRemove);
    members.Text(remove.path).Long(remove.deletion_timestamp_ms).Boolean(false);
    members.Boolean(remove.extended_file_metadata);
    remove.extended_file_metadata ? members.TextMap(remove.partition_values)
                                  : members.Null();
    members.Long(remove.size);
    remove.tags.empty() ? members.Null() : members.TextMap(remove.tags);
    members.DeletionVector(remove.deletion_vector)
        .Long(remove.base_row_id)
        .Long(remove.default_row_commit_version);
  }
  void operator()(const Metadata& metadata) {
    rows_.bytes_ += static_cast<int64_t>(metadata.schema_string.size());
    Members members = Begin(kMetadata);
    members.Text(metadata.id).Text(metadata.name).Text(metadata.description);
    members.Struct().Text(metadata.format_provider).TextMap(metadata.format_options);
    members.Text(metadata.schema_string)
        .TextList(metadata.partition_columns)
        .TextMap(metadata.configuration)
        .Long(metadata.created_time_ms);
  }
  void operator()(const Protocol& protocol) {
    Begin(kProtocol)
        .Int(protocol.min_reader_version)
        .Int(protocol.min_writer_version)
        .TextList(protocol.reader_features)
        .TextList(protocol.writer_features);
  }
  void operator()(const DomainMetadata& domain) {
    rows_.bytes_ += static_cast<int64_t>(domain.configuration.size());
    Begin(kDomain).Text(domain.domain).Text(domain.configuration).Boolean(domain.removed);
  }
  void operator()(const CheckpointMetadata& metadata) {
    if (rows_.columns_.size() <= kCheckpoint) return;
    Members members = Begin(kCheckpoint);
    members.Long(metadata.version);
    metadata.tags.empty() ? members.Null() : members.TextMap(metadata.tags);
  }
  void operator()(const AddCdcFile&) {}
  void operator()(const CommitInfo&) {}
  void operator()(const Sidecar&) {}

 private:
  Members Begin(Column column) {
    ++rows_.rows_;
    for (size_t i = 0; i < rows_.columns_.size(); ++i) {
      if (i == static_cast<size_t>(column)) continue;
      const arrow::Status appended = rows_.columns_[i]->AppendNull();
      if (rows_.status_.ok()) rows_.status_ = appended;
    }
    return Members(static_cast<arrow::StructBuilder*>(
                       rows_.columns_[static_cast<size_t>(column)].get()),
                   &rows_.status_);
  }

  CheckpointRows& rows_;
};

CheckpointRows::CheckpointRows(CheckpointContent content)
    : schema_(CheckpointSchema(content)) {
  for (const auto& column : schema_->fields()) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    const arrow::Status made =
        arrow::MakeBuilder(EncoderMemoryPool(), column->type(), &builder);
    if (status_.ok()) status_ = made;
    columns_.push_back(std::move(builder));
  }
}

void CheckpointRows::Put(const Action& action) {
  if (status_.ok()) std::visit(Row(this), action);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CheckpointRows::Take() {
  ARROW_RETURN_NOT_OK(status_);
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (auto& column : columns_) {
    ARROW_ASSIGN_OR_RAISE(auto array, column->Finish());
    arrays.push_back(std::move(array));
  }
  const int64_t rows = std::exchange(rows_, 0);
  bytes_ = 0;
  return arrow::RecordBatch::Make(schema_, rows, std::move(arrays));
}

}  // namespace arrowport::delta
