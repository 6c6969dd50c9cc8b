#include "delta/conflict.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace arrowport::delta {
namespace {

template <typename... Args>
arrow::Status Conflict(Args&&... args) {
  return Error(ErrorCode::kCommitConflict, std::forward<Args>(args)...);
}

/// Files of `staged` read as `now`: the same leaf types, structs perhaps wider.
bool TypeFits(const DataType& staged, const DataType& now) {
  if (staged.kind != now.kind) return false;
  switch (staged.kind) {
    case TypeKind::kStruct:
      for (const StructField& field : now.fields) {
        auto mine = std::find_if(
            staged.fields.begin(), staged.fields.end(),
            [&](const StructField& other) { return other.name == field.name; });
        if (mine == staged.fields.end() ? !field.nullable
                                        : (mine->nullable && !field.nullable) ||
                                              !TypeFits(*mine->type, *field.type)) {
          return false;
        }
      }
      return std::all_of(
          staged.fields.begin(), staged.fields.end(), [&](const StructField& mine) {
            return std::any_of(
                now.fields.begin(), now.fields.end(),
                [&](const StructField& other) { return other.name == mine.name; });
          });
    case TypeKind::kArray:
      return (now.contains_null || !staged.contains_null) &&
             TypeFits(*staged.element, *now.element);
    case TypeKind::kMap:
      return (now.contains_null || !staged.contains_null) &&
             TypeFits(*staged.key, *now.key) && TypeFits(*staged.element, *now.element);
    case TypeKind::kDecimal:
      return staged.precision == now.precision && staged.scale == now.scale;
    default:
      return true;
  }
}

bool WasBlindAppend(const std::vector<Action>& winner) {
  return std::any_of(winner.begin(), winner.end(), [](const Action& action) {
    const auto* info = std::get_if<CommitInfo>(&action);
    return info != nullptr && info->is_blind_append.value_or(false);
  });
}

bool Reads(const ReadSet& reads, const PartitionValues& values) {
  switch (reads.kind) {
    case ReadSet::Kind::kRemovedFiles:
      return false;
    case ReadSet::Kind::kPartitions:
      return Matches(reads.partitions, values);
    case ReadSet::Kind::kTable:
    case ReadSet::Kind::kVersion:
      return true;
  }
  return true;
}

}  // namespace

arrow::Result<FileIdentity> IdentityOf(
    const std::string& path_in_log,
    const std::optional<DeletionVectorDescriptor>& deletion_vector) {
  ARROW_ASSIGN_OR_RAISE(DataPath decoded, DecodePath(path_in_log));
  return FileIdentity{std::move(decoded.path),
                      deletion_vector ? deletion_vector->UniqueId() : ""};
}

bool Matches(const PartitionFilter& filter, const PartitionValues& values) {
  return std::all_of(filter.columns.begin(), filter.columns.end(), [&](const auto& wanted) {
    const auto found = values.find(wanted.first);
    const std::optional<std::string> value =
        found == values.end() ? std::nullopt : found->second;
    return std::find(wanted.second.begin(), wanted.second.end(), value) !=
           wanted.second.end();
  });
}

arrow::Status CheckFilesFit(const TableState& staged, const TableState& now) {
  if (staged.metadata.partition_columns != now.metadata.partition_columns) {
    return Conflict("another writer made the table with other partition columns");
  }
  if (staged.column_names != now.column_names) {
    return Conflict("another writer changed the column mapping");
  }
  for (const StructField& field : staged.schema->fields) {
    auto current = std::find_if(
        now.schema->fields.begin(), now.schema->fields.end(),
        [&](const StructField& other) { return other.name == field.name; });
    if (current == now.schema->fields.end()) {
      return Conflict("another writer removed a column: ", field.name);
    }
    if (!TypeFits(*field.type, *current->type) || (field.nullable && !current->nullable)) {
      return Conflict("another writer changed the type of a column: ", field.name);
    }
  }
  for (const StructField& field : now.schema->fields) {
    const bool known = std::any_of(
        staged.schema->fields.begin(), staged.schema->fields.end(),
        [&](const StructField& mine) { return mine.name == field.name; });
    if (!known && !field.nullable) {
      return Conflict("another writer added a column that is not nullable: ", field.name);
    }
  }
  return {};
}

arrow::Status CheckChange(const FileChange& change, int64_t winner_version,
                          const std::vector<Action>& winner) {
  if (change.reads.kind == ReadSet::Kind::kVersion) {
    return Conflict("the table was changed by version ", winner_version);
  }
  const bool blind_append = WasBlindAppend(winner);
  std::set<FileIdentity> mine;
  for (const RemoveFile& remove : change.removes) {
    ARROW_ASSIGN_OR_RAISE(auto identity, IdentityOf(remove.path, remove.deletion_vector));
    mine.insert(std::move(identity));
  }
  for (const Action& action : winner) {
    if (std::holds_alternative<Protocol>(action)) {
      return Conflict("the protocol was changed by version ", winner_version);
    }
    if (std::holds_alternative<Metadata>(action)) {
      return Conflict("the metadata was changed by version ", winner_version);
    }
    if (const auto* add = std::get_if<AddFile>(&action)) {
      if (!blind_append && add->data_change &&
          Reads(change.reads, add->partition_values)) {
        return Conflict("rows were added to what was read by version ", winner_version);
      }
    }
    if (const auto* remove = std::get_if<RemoveFile>(&action)) {
      ARROW_ASSIGN_OR_RAISE(auto identity,
                            IdentityOf(remove->path, remove->deletion_vector));
      // A remove without partition values may be of any partition.
      const bool read = remove->extended_file_metadata
                            ? Reads(change.reads, remove->partition_values)
                            : change.reads.kind != ReadSet::Kind::kRemovedFiles;
      if (read || mine.contains(identity)) {
        return Conflict("a file in use was removed by version ", winner_version, ": ",
                        remove->path);
      }
    }
    if (const auto* domain = std::get_if<DomainMetadata>(&action)) {
      for (const DomainMetadata& ours : change.domains) {
        if (ours.domain == domain->domain) {
          return Conflict("the metadata domain ", domain->domain,
                          " was changed by version ", winner_version);
        }
      }
    }
  }
  return {};
}

}  // namespace arrowport::delta
