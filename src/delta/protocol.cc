// The protocol gate: CheckReadable and CheckWritable of snapshot.h.
#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "delta/snapshot.h"
#include "delta/table_properties.h"

namespace arrowport::delta {
namespace {

constexpr int kReaderVersionMax = 3;
constexpr int kWriterVersionMax = 7;

constexpr std::string_view kReaderFeatures[] = {
    "columnMapping",        "deletionVectors", "timestampNtz", "typeWidening",
    "typeWidening-preview", "v2Checkpoint",    "vacuumProtocolCheck"};

/// Writer features that are honoured, or that ask nothing while they are not in use; use
/// is looked for in the metadata, where legacy tables have it too.
constexpr std::string_view kWriterFeatures[] = {
    "allowColumnDefaults",  "appendOnly",       "changeDataFeed",   "checkConstraints",
    "clustering",           "columnMapping",    "deletionVectors",  "domainMetadata",
    "generatedColumns",     "icebergCompatV1",  "icebergCompatV2",  "identityColumns",
    "inCommitTimestamp",    "invariants",       "timestampNtz",     "typeWidening",
    "typeWidening-preview", "v2Checkpoint",     "vacuumProtocolCheck"};

/// Names other than the one users know a feature by.
std::string FeatureText(std::string_view feature) {
  if (feature == "catalogOwned" || feature == "catalogOwned-preview") {
    return std::string(feature) + " (catalogManaged)";
  }
  return std::string(feature);
}

arrow::Status RequireList(const std::optional<std::vector<std::string>>& features,
                          bool required, std::string_view name) {
  if (!required || features) return {};
  return Error(ErrorCode::kStorageCorrupt, "missing ", name,
               ": the protocol version demands the list");
}

template <size_t kCount>
arrow::Status RequireKnown(const std::optional<std::vector<std::string>>& features,
                           const std::string_view (&known)[kCount], std::string_view verb) {
  if (!features) return {};
  for (const std::string& feature : *features) {
    if (std::find(std::begin(known), std::end(known), feature) == std::end(known)) {
      return Error(ErrorCode::kNotBuilt, "this build cannot ", verb,
                   " a Delta table with the feature ", FeatureText(feature));
    }
  }
  return {};
}

/// Calls `visit` for every field, nested ones included.
void VisitFields(const DataType& type, const std::function<void(const StructField&)>& visit) {
  for (const StructField& field : type.fields) {
    visit(field);
    VisitFields(*field.type, visit);
  }
  if (type.element != nullptr) VisitFields(*type.element, visit);
  if (type.key != nullptr) VisitFields(*type.key, visit);
}

bool IsTrue(const StringMap& configuration, std::string_view name) {
  const auto found = configuration.find(name);
  return found != configuration.end() && found->second == "true";
}

/// A feature that would bind a writer and is not enforced here; "" when none is in use.
std::string FeatureInUse(const TableState& state) {
  std::string used;
  const auto in_fields = [&](std::string_view key, std::string_view feature) {
    VisitFields(*state.schema, [&](const StructField& field) {
      if (field.metadata.contains(std::string(key))) used = feature;
    });
  };
  in_fields("delta.invariants", "invariants");
  in_fields("delta.generationExpression", "generatedColumns");
  in_fields("delta.identity.start", "identityColumns");
  in_fields("CURRENT_DEFAULT", "allowColumnDefaults");
  in_fields("__COLLATIONS", "collations");
  VisitFields(*state.schema, [&](const StructField& field) {
    if (field.type->kind == TypeKind::kVoid) used = "columns of type void";
  });
  const StringMap& configuration = state.metadata.configuration;
  for (const auto& [key, value] : configuration) {
    if (key.starts_with("delta.constraints.")) used = "checkConstraints";
  }
  if (state.column_names == NameStyle::kPhysical) used = "columnMapping";
  if (IsTrue(configuration, "delta.enableRowTracking")) used = "rowTracking";
  for (const char* version : {"V1", "V2", "V3"}) {
    if (IsTrue(configuration, std::string("delta.enableIcebergCompat") + version)) {
      used = std::string("icebergCompat") + version;
    }
  }
  return used;
}

}  // namespace

arrow::Status CheckReadable(const Protocol& protocol) {
  if (protocol.min_reader_version < 1 || protocol.min_reader_version > kReaderVersionMax) {
    return Error(ErrorCode::kNotBuilt, "this build cannot read a Delta table of reader version ",
                 protocol.min_reader_version, "; it reads up to ", kReaderVersionMax);
  }
  const bool lists = protocol.min_reader_version == kReaderVersionMax;
  ARROW_RETURN_NOT_OK(RequireList(protocol.reader_features, lists, "readerFeatures"));
  return lists ? RequireKnown(protocol.reader_features, kReaderFeatures, "read")
               : arrow::Status::OK();
}

arrow::Status CheckWritable(const TableState& state) {
  const Protocol& protocol = state.protocol;
  ARROW_RETURN_NOT_OK(CheckReadable(protocol));
  if (protocol.min_writer_version < 1 || protocol.min_writer_version > kWriterVersionMax) {
    return Error(ErrorCode::kNotBuilt,
                 "this build cannot write a Delta table of writer version ",
                 protocol.min_writer_version, "; it writes up to ", kWriterVersionMax);
  }
  if (protocol.min_writer_version == kWriterVersionMax) {
    ARROW_RETURN_NOT_OK(RequireList(protocol.writer_features, true, "writerFeatures"));
    ARROW_RETURN_NOT_OK(RequireKnown(protocol.writer_features, kWriterFeatures, "write"));
  }
  if (const std::string used = FeatureInUse(state); !used.empty()) {
    return Error(ErrorCode::kNotBuilt,
                 "this build cannot write a Delta table that uses ", used);
  }
  return {};
}

}  // namespace arrowport::delta
