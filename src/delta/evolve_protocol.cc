#include "delta/evolve_protocol.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

#include "base/error.h"
#include "delta/table_properties.h"

namespace arrowport::delta {
namespace {

constexpr int32_t kFeatureReaderVersion = 3;
constexpr int32_t kFeatureWriterVersion = 7;

enum class ValueKind { kBoolean, kNumber, kInterval, kText, kCheckpointPolicy };

struct Property {
  std::string_view name;
  ValueKind kind;
};

constexpr Property kProperties[] = {
    {"delta.appendOnly", ValueKind::kBoolean},
    {"delta.checkpointInterval", ValueKind::kNumber},
    {"delta.checkpointPolicy", ValueKind::kCheckpointPolicy},
    {"delta.dataSkippingNumIndexedCols", ValueKind::kText},
    {"delta.dataSkippingStatsColumns", ValueKind::kText},
    {"delta.deletedFileRetentionDuration", ValueKind::kInterval},
    {"delta.enableChangeDataFeed", ValueKind::kBoolean},
    {"delta.enableDeletionVectors", ValueKind::kBoolean},
    {"delta.enableExpiredLogCleanup", ValueKind::kBoolean},
    {"delta.enableInCommitTimestamps", ValueKind::kBoolean},
    {"delta.enableTypeWidening", ValueKind::kBoolean},
    {"delta.logRetentionDuration", ValueKind::kInterval},
    {"delta.setTransactionRetentionDuration", ValueKind::kInterval},
    {"delta.targetFileSize", ValueKind::kText},
};

struct Feature {
  std::string_view name;
  bool for_readers;
};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value < 1) {
    return std::nullopt;
  }
  return value;
}

bool IsGoodValue(ValueKind kind, std::string_view value) {
  switch (kind) {
    case ValueKind::kBoolean: {
      const std::string lower = Lower(value);
      return lower == "true" || lower == "false";
    }
    case ValueKind::kNumber:
      return ParseNumber(value).has_value();
    case ValueKind::kInterval:
      return ParseIntervalMs(value).has_value();
    case ValueKind::kCheckpointPolicy:
      return value == "classic" || value == "v2";
    case ValueKind::kText:
      return true;
  }
  return false;
}

bool HoldsTimestampNtz(const DataType& type) {
  if (type.kind == TypeKind::kTimestampNtz) return true;
  for (const StructField& field : type.fields) {
    if (HoldsTimestampNtz(*field.type)) return true;
  }
  return (type.element && HoldsTimestampNtz(*type.element)) ||
         (type.key && HoldsTimestampNtz(*type.key));
}

std::vector<Feature> FeaturesInUse(const TableSchema& schema,
                                   const StringMap& configuration) {
  std::vector<Feature> features;
  const auto on = [&](std::string_view name) {
    return IsPropertyTrue(configuration, name);
  };
  if (HoldsTimestampNtz(schema)) features.push_back({"timestampNtz", true});
  if (on("delta.enableChangeDataFeed")) features.push_back({"changeDataFeed", false});
  if (on("delta.enableDeletionVectors")) features.push_back({"deletionVectors", true});
  if (on("delta.enableInCommitTimestamps")) {
    features.push_back({"inCommitTimestamp", false});
  }
  if (on("delta.enableTypeWidening")) features.push_back({"typeWidening", true});
  auto policy = configuration.find("delta.checkpointPolicy");
  if (policy != configuration.end() && policy->second == "v2") {
    features.push_back({"v2Checkpoint", true});
  }
  return features;
}

bool Holds(const std::optional<std::vector<std::string>>& list, std::string_view name) {
  return list && std::find(list->begin(), list->end(), name) != list->end();
}

bool IsSupported(const Protocol& protocol, const Feature& feature) {
  if (feature.name == "changeDataFeed" && protocol.min_writer_version >= 4 &&
      protocol.min_writer_version < kFeatureWriterVersion) {
    return true;
  }
  return Holds(protocol.writer_features, feature.name) &&
         (!feature.for_readers || Holds(protocol.reader_features, feature.name));
}

void Insert(std::string_view name, std::vector<std::string>* list) {
  if (std::find(list->begin(), list->end(), name) == list->end()) {
    list->emplace_back(name);
  }
}

}  // namespace

bool IsPropertyTrue(const StringMap& configuration, std::string_view name) {
  const auto found = configuration.find(name);
  return found != configuration.end() && Lower(found->second) == "true";
}

int64_t NumberProperty(const StringMap& configuration, std::string_view name,
                       int64_t otherwise) {
  const auto found = configuration.find(name);
  if (found == configuration.end()) return otherwise;
  return ParseNumber(found->second).value_or(otherwise);
}

arrow::Status CheckProperties(const StringMap& configuration) {
  for (const auto& [name, value] : configuration) {
    if (!name.starts_with("delta.")) continue;
    const auto* known =
        std::find_if(std::begin(kProperties), std::end(kProperties),
                     [&](const Property& property) { return property.name == name; });
    if (known == std::end(kProperties)) {
      return Error(ErrorCode::kBadConfig, "unknown table property: ", name);
    }
    if (!IsGoodValue(known->kind, value)) {
      return Error(ErrorCode::kBadConfig, "bad value of table property ", name, ": ",
                   value);
    }
  }
  return {};
}

Protocol ProtocolFor(const Protocol& current, const TableSchema& schema,
                     const StringMap& configuration) {
  const std::vector<Feature> in_use = FeaturesInUse(schema, configuration);
  const bool complete =
      std::all_of(in_use.begin(), in_use.end(),
                  [&](const Feature& feature) { return IsSupported(current, feature); });
  if (complete) return current;

  Protocol next = current;
  std::vector<std::string> writer = current.writer_features.value_or(
      std::vector<std::string>{"appendOnly", "invariants"});
  std::vector<std::string> reader =
      current.reader_features.value_or(std::vector<std::string>{});
  const bool reader_features =
      current.min_reader_version >= kFeatureReaderVersion ||
      std::any_of(in_use.begin(), in_use.end(),
                  [](const Feature& feature) { return feature.for_readers; });
  if (!current.writer_features && current.min_writer_version >= 5) {
    Insert("columnMapping", &writer);
  }
  if (!current.reader_features && current.min_reader_version == 2) {
    Insert("columnMapping", &reader);
    Insert("columnMapping", &writer);
  }
  for (const Feature& feature : in_use) {
    Insert(feature.name, &writer);
    if (feature.for_readers) Insert(feature.name, &reader);
  }
  next.min_writer_version = kFeatureWriterVersion;
  next.writer_features = std::move(writer);
  if (reader_features) {
    next.min_reader_version = kFeatureReaderVersion;
    next.reader_features = std::move(reader);
  }
  return next;
}

}  // namespace arrowport::delta
