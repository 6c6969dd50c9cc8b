#include "delta/actions.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "delta/action_add_line.h"
#include "delta/action_json.h"

namespace arrowport::delta {
namespace {

using Json = nlohmann::json;

constexpr size_t kMessageTextMax = 200;

std::string Shortened(std::string_view text) {
  return std::string(text.substr(0, kMessageTextMax));
}

/// Reads the members of one action; the first fault is kept and the rest is skipped over.
/// A member that is null counts as absent.
class Members {
 public:
  Members(const Json& object, std::string_view action) : object_(object), action_(action) {
    if (!object.is_object()) Fail("it", "no object");
  }

  const Json* Find(const char* name) const {
    if (!fault_.ok()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  template <typename T>
  void Required(const char* name, T* out) {
    const Json* found = Find(name);
    if (found == nullptr) {
      Fail(name, "missing");
    } else {
      Take(name, *found, out);
    }
  }
  template <typename T>
  void Optional(const char* name, T* out) {
    if (const Json* found = Find(name)) Take(name, *found, out);
  }
  template <typename T>
  void Optional(const char* name, std::optional<T>* out) {
    if (const Json* found = Find(name)) Take(name, *found, &out->emplace());
  }

  void Fail(std::string_view member, std::string_view what) {
    if (!fault_.ok()) return;
    fault_ = Error(ErrorCode::kStorageCorrupt, "malformed action: ", action_, ": ", member,
                   " is ", what);
  }
  const arrow::Status& fault() const { return fault_; }

 private:
  void Take(const char* name, const Json& json, std::string* out) {
    if (!json.is_string()) return Fail(name, "no text");
    *out = json.get_ref<const std::string&>();
  }
  void Take(const char* name, const Json& json, bool* out) {
    if (!json.is_boolean()) return Fail(name, "neither true nor false");
    *out = json.get<bool>();
  }
  void Take(const char* name, const Json& json, int64_t* out) {
    if (!json.is_number_integer() ||
        (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX)) {
      return Fail(name, "no whole number of 64 bits");
    }
    *out = json.get<int64_t>();
  }
  void Take(const char* name, const Json& json, int32_t* out) {
    int64_t wide = 0;
    Take(name, json, &wide);
    if (wide < INT32_MIN || wide > INT32_MAX) return Fail(name, "no number of 32 bits");
    *out = static_cast<int32_t>(wide);
  }
  void Take(const char* name, const Json& json, std::vector<std::string>* out) {
    if (!json.is_array()) return Fail(name, "no list");
    for (const Json& item : json) {
      if (!item.is_string()) return Fail(name, "no list of texts");
      out->push_back(item.get_ref<const std::string&>());
    }
  }
  void Take(const char* name, const Json& json, StringMap* out) {
    if (!json.is_object()) return Fail(name, "no object");
    for (const auto& [key, value] : json.items()) {
      if (value.is_null()) continue;
      if (!value.is_string()) return Fail(name, "no object of texts");
      (*out)[key] = value.get_ref<const std::string&>();
    }
  }
  void Take(const char* name, const Json& json, PartitionValues* out) {
    if (!json.is_object()) return Fail(name, "no object");
    for (const auto& [key, value] : json.items()) {
      std::optional<std::string>& slot = (*out)[key];
      if (value.is_null()) continue;
      if (!value.is_string()) return Fail(name, "no object of texts");
      if (!value.get_ref<const std::string&>().empty()) slot = value.get<std::string>();
    }
  }
  void Take(const char* name, const Json& json, DeletionVectorDescriptor* out) {
    Members members(json, "deletionVector");
    members.Required("storageType", &out->storage_type);
    members.Required("pathOrInlineDv", &out->path_or_inline);
    members.Optional("offset", &out->offset);
    members.Required("sizeInBytes", &out->size_bytes);
    members.Required("cardinality", &out->cardinality);
    members.Optional("maxRowIndex", &out->max_row_index);
    if (fault_.ok() && !members.fault().ok()) fault_ = members.fault();
    if (const auto what = DeletionVectorFault(*out); !what.empty()) Fail(name, what);
  }

  const Json& object_;
  std::string_view action_;
  arrow::Status fault_;
};

AddFile ReadAdd(Members& members) {
  AddFile add;
  members.Required("path", &add.path);
  members.Optional("partitionValues", &add.partition_values);
  members.Required("size", &add.size);
  members.Optional("modificationTime", &add.modification_time_ms);
  members.Optional("dataChange", &add.data_change);
  members.Optional("stats", &add.stats);
  members.Optional("tags", &add.tags);
  members.Optional("deletionVector", &add.deletion_vector);
  members.Optional("baseRowId", &add.base_row_id);
  members.Optional("defaultRowCommitVersion", &add.default_row_commit_version);
  members.Optional("clusteringProvider", &add.clustering_provider);
  if (add.size < 0) members.Fail("size", "negative");
  return add;
}

RemoveFile ReadRemove(Members& members) {
  RemoveFile remove;
  members.Required("path", &remove.path);
  members.Optional("deletionTimestamp", &remove.deletion_timestamp_ms);
  members.Optional("dataChange", &remove.data_change);
  members.Optional("extendedFileMetadata", &remove.extended_file_metadata);
  members.Optional("partitionValues", &remove.partition_values);
  members.Optional("size", &remove.size);
  members.Optional("tags", &remove.tags);
  members.Optional("deletionVector", &remove.deletion_vector);
  members.Optional("baseRowId", &remove.base_row_id);
  members.Optional("defaultRowCommitVersion", &remove.default_row_commit_version);
  return remove;
}

AddCdcFile ReadCdc(Members& members) {
  AddCdcFile cdc;
  members.Required("path", &cdc.path);
  members.Optional("partitionValues", &cdc.partition_values);
  members.Required("size", &cdc.size);
  return cdc;
}

Metadata ReadMetadata(Members& members) {
  Metadata metadata;
  members.Optional("id", &metadata.id);
  members.Optional("name", &metadata.name);
  members.Optional("description", &metadata.description);
  members.Optional("schemaString", &metadata.schema_string);
  members.Optional("partitionColumns", &metadata.partition_columns);
  members.Optional("configuration", &metadata.configuration);
  members.Optional("createdTime", &metadata.created_time_ms);
  if (const Json* format = members.Find("format")) {
    Members inner(*format, "metaData format");
    inner.Optional("provider", &metadata.format_provider);
    inner.Optional("options", &metadata.format_options);
    if (!inner.fault().ok()) members.Fail("format", "malformed");
  }
  return metadata;
}

Protocol ReadProtocol(Members& members) {
  Protocol protocol;
  members.Required("minReaderVersion", &protocol.min_reader_version);
  members.Required("minWriterVersion", &protocol.min_writer_version);
  members.Optional("readerFeatures", &protocol.reader_features);
  members.Optional("writerFeatures", &protocol.writer_features);
  return protocol;
}

SetTransaction ReadTransaction(Members& members) {
  SetTransaction transaction;
  members.Required("appId", &transaction.app_id);
  members.Required("version", &transaction.version);
  members.Optional("lastUpdated", &transaction.last_updated_ms);
  return transaction;
}

DomainMetadata ReadDomain(Members& members) {
  DomainMetadata domain;
  members.Required("domain", &domain.domain);
  members.Optional("configuration", &domain.configuration);
  members.Required("removed", &domain.removed);
  return domain;
}

/// Free text of the writer's: a member of another type than expected is left out.
CommitInfo ReadCommitInfo(const Json& json, std::string_view line) {
  CommitInfo info;
  if (!json.is_object()) return info;
  const auto integer = [&](const char* name, std::optional<int64_t>* out) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_number_integer()) *out = found->get<int64_t>();
  };
  const auto text = [&](const char* name, std::optional<std::string>* out) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_string()) *out = found->get<std::string>();
  };
  integer("timestamp", &info.timestamp_ms);
  integer("inCommitTimestamp", &info.in_commit_timestamp_ms);
  text("operation", &info.operation);
  text("txnId", &info.txn_id);
  const auto blind = json.find("isBlindAppend");
  if (blind != json.end() && blind->is_boolean()) info.is_blind_append = blind->get<bool>();
  // Parsed again to keep the order of the members.
  const auto ordered =
      nlohmann::ordered_json::parse(line.begin(), line.end(), nullptr, false);
  info.json = ordered["commitInfo"].dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return info;
}

CheckpointMetadata ReadCheckpointMetadata(Members& members) {
  CheckpointMetadata metadata;
  members.Required("version", &metadata.version);
  members.Optional("tags", &metadata.tags);
  return metadata;
}

Sidecar ReadSidecar(Members& members) {
  Sidecar sidecar;
  members.Required("path", &sidecar.path);
  members.Optional("sizeInBytes", &sidecar.size_in_bytes);
  members.Optional("modificationTime", &sidecar.modification_time_ms);
  return sidecar;
}

template <typename T, T (*kRead)(Members&)>
Action Read(Members& members) {
  return kRead(members);
}

struct KnownAction {
  const char* name;
  Action (*read)(Members&);
};

constexpr KnownAction kKnownActions[] = {
    {"add", Read<AddFile, ReadAdd>},
    {"remove", Read<RemoveFile, ReadRemove>},
    {"cdc", Read<AddCdcFile, ReadCdc>},
    {"metaData", Read<Metadata, ReadMetadata>},
    {"protocol", Read<Protocol, ReadProtocol>},
    {"txn", Read<SetTransaction, ReadTransaction>},
    {"domainMetadata", Read<DomainMetadata, ReadDomain>},
    {"checkpointMetadata", Read<CheckpointMetadata, ReadCheckpointMetadata>},
    {"sidecar", Read<Sidecar, ReadSidecar>},
};

}  // namespace

std::string DeletionVectorDescriptor::UniqueId() const {
  std::string id = storage_type + path_or_inline;
  if (offset) id += "@" + std::to_string(*offset);
  return id;
}

std::string_view DeletionVectorFault(const DeletionVectorDescriptor& descriptor) {
  const std::string& type = descriptor.storage_type;
  if (type != "u" && type != "i" && type != "p") return "of an unknown storage type";
  if (descriptor.size_bytes < 0) return "of a negative size";
  if (descriptor.cardinality < 0) return "of a negative cardinality";
  if (descriptor.offset.value_or(0) < 0) return "at a negative offset";
  return {};
}

arrow::Result<std::optional<Action>> ParseAction(std::string_view line) {
  AddFile add;
  if (ParsePlainAdd(line, &add)) return Action(std::move(add));
  const Json parsed = Json::parse(line.begin(), line.end(), nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object()) {
    return Error(ErrorCode::kStorageCorrupt, "malformed action: no JSON object: ",
                 Shortened(line));
  }
  for (const auto& [name, json] : parsed.items()) {
    if (json.is_null()) continue;
    if (name == "commitInfo") return Action(ReadCommitInfo(json, line));
    for (const KnownAction& known : kKnownActions) {
      if (name != known.name) continue;
      Members members(json, known.name);
      Action action = known.read(members);
      if (!members.fault().ok()) return members.fault();
      return action;
    }
  }
  return std::nullopt;
}

arrow::Result<std::vector<Action>> ParseCommit(std::string_view content,
                                               std::string_view name) {
  std::vector<Action> actions;
  int64_t number = 0;
  while (!content.empty()) {
    ++number;
    const size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    auto action = ParseAction(line);
    if (!action.ok()) {
      return Error(CodeOf(action.status()), "malformed commit: ", name, " line ", number,
                   ": ", action.status().message());
    }
    if (*action) actions.push_back(std::move(**action));
  }
  return actions;
}

}  // namespace arrowport::delta
