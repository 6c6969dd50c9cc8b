// The writing half of actions.h.
#include <string>
#include <utility>
#include <variant>

#include "delta/actions.h"
#include "delta/json_text.h"

namespace arrowport::delta {
namespace {

void AppendMap(const StringMap& map, std::string* out) {
  JsonObject object(out);
  for (const auto& [name, value] : map) object.String(name, value);
  object.Close();
}

void AppendPartitionValues(const PartitionValues& values, std::string* out) {
  JsonObject object(out);
  for (const auto& [name, value] : values) {
    if (value) {
      object.String(name, *value);
    } else {
      object.Raw(name, "null");
    }
  }
  object.Close();
}

void AppendList(const std::vector<std::string>& list, std::string* out) {
  out->push_back('[');
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendJsonString(list[i], out);
  }
  out->push_back(']');
}

/// Writes the members of one action's object.
class Writer {
 public:
  explicit Writer(std::string* out) : object_(out), out_(out) {}
  void Close() { object_.Close(); }

  void Number(std::string_view name, const std::optional<int64_t>& value) {
    if (value) object_.Number(name, *value);
  }
  void Text(std::string_view name, const std::optional<std::string>& value) {
    if (value) object_.String(name, *value);
  }
  void Tags(const StringMap& tags) {
    if (tags.empty()) return;
    object_.Name("tags");
    AppendMap(tags, out_);
  }
  void Partition(const PartitionValues& values) {
    object_.Name("partitionValues");
    AppendPartitionValues(values, out_);
  }
  void Vector(const std::optional<DeletionVectorDescriptor>& vector) {
    if (!vector) return;
    object_.Name("deletionVector");
    JsonObject inner(out_);
    inner.String("storageType", vector->storage_type);
    inner.String("pathOrInlineDv", vector->path_or_inline);
    if (vector->offset) inner.Number("offset", *vector->offset);
    inner.Number("sizeInBytes", vector->size_bytes);
    inner.Number("cardinality", vector->cardinality);
    if (vector->max_row_index) inner.Number("maxRowIndex", *vector->max_row_index);
    inner.Close();
  }
  void RowIds(const std::optional<int64_t>& base, const std::optional<int64_t>& version) {
    Number("baseRowId", base);
    Number("defaultRowCommitVersion", version);
  }
  void Features(std::string_view name,
                const std::optional<std::vector<std::string>>& features) {
    if (!features) return;
    object_.Name(name);
    AppendList(*features, out_);
  }

  void operator()(const AddFile& add) {
    object_.String("path", add.path);
    Partition(add.partition_values);
    object_.Number("size", add.size);
    object_.Number("modificationTime", add.modification_time_ms);
    object_.Boolean("dataChange", add.data_change);
    if (!add.stats.empty()) object_.String("stats", add.stats);
    Tags(add.tags);
    Vector(add.deletion_vector);
    RowIds(add.base_row_id, add.default_row_commit_version);
    Text("clusteringProvider", add.clustering_provider);
  }
  void operator()(const RemoveFile& remove) {
    object_.String("path", remove.path);
    Number("deletionTimestamp", remove.deletion_timestamp_ms);
    object_.Boolean("dataChange", remove.data_change);
    object_.Boolean("extendedFileMetadata", remove.extended_file_metadata);
    if (remove.extended_file_metadata) {
      Partition(remove.partition_values);
      Number("size", remove.size);
      Tags(remove.tags);
    }
    Vector(remove.deletion_vector);
    RowIds(remove.base_row_id, remove.default_row_commit_version);
  }
  void operator()(const AddCdcFile& cdc) {
    object_.String("path", cdc.path);
    Partition(cdc.partition_values);
    object_.Number("size", cdc.size);
    object_.Boolean("dataChange", false);
  }
  void operator()(const Metadata& metadata) {
    object_.String("id", metadata.id);
    Text("name", metadata.name);
    Text("description", metadata.description);
    object_.Name("format");
    JsonObject format(out_);
    format.String("provider", metadata.format_provider);
    format.Name("options");
    AppendMap(metadata.format_options, out_);
    format.Close();
    object_.String("schemaString", metadata.schema_string);
    object_.Name("partitionColumns");
    AppendList(metadata.partition_columns, out_);
    object_.Name("configuration");
    AppendMap(metadata.configuration, out_);
    Number("createdTime", metadata.created_time_ms);
  }
  void operator()(const Protocol& protocol) {
    object_.Number("minReaderVersion", protocol.min_reader_version);
    object_.Number("minWriterVersion", protocol.min_writer_version);
    Features("readerFeatures", protocol.reader_features);
    Features("writerFeatures", protocol.writer_features);
  }
  void operator()(const SetTransaction& transaction) {
    object_.String("appId", transaction.app_id);
    object_.Number("version", transaction.version);
    Number("lastUpdated", transaction.last_updated_ms);
  }
  void operator()(const DomainMetadata& domain) {
    object_.String("domain", domain.domain);
    object_.String("configuration", domain.configuration);
    object_.Boolean("removed", domain.removed);
  }
  void operator()(const CommitInfo& info) {
    Number("timestamp", info.timestamp_ms);
    Number("inCommitTimestamp", info.in_commit_timestamp_ms);
    Text("operation", info.operation);
    if (info.is_blind_append) object_.Boolean("isBlindAppend", *info.is_blind_append);
    Text("txnId", info.txn_id);
  }
  void operator()(const CheckpointMetadata& metadata) {
    object_.Number("version", metadata.version);
    Tags(metadata.tags);
  }
  void operator()(const Sidecar& sidecar) {
    object_.String("path", sidecar.path);
    object_.Number("sizeInBytes", sidecar.size_in_bytes);
    object_.Number("modificationTime", sidecar.modification_time_ms);
  }

 private:
  JsonObject object_;
  std::string* out_;
};

/// In the order of the variant.
constexpr std::string_view kNames[] = {
    "add", "remove", "cdc", "metaData", "protocol", "txn", "domainMetadata", "commitInfo",
    "checkpointMetadata", "sidecar"};
static_assert(std::size(kNames) == std::variant_size_v<Action>);

}  // namespace

std::string ActionToJson(const Action& action) {
  std::string out;
  JsonObject line(&out);
  const auto* info = std::get_if<CommitInfo>(&action);
  if (info != nullptr && !info->json.empty()) {
    line.Raw("commitInfo", info->json);
  } else {
    line.Name(kNames[action.index()]);
    Writer writer(&out);
    std::visit(writer, action);
    writer.Close();
  }
  line.Close();
  return out;
}

}  // namespace arrowport::delta
