// What the schema of a write makes of a table's.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "delta/evolve_protocol.h"
#include "delta/partition_split.h"
#include "delta/table.h"
#include "schema/exact_cast.h"

namespace arrowport::delta {
namespace {

using TypePtr = std::shared_ptr<const DataType>;

std::string NewTableId() {
  const std::string id = NewRandomId();
  return id.substr(0, 8) + "-" + id.substr(8, 4) + "-" + id.substr(12, 4) + "-" +
         id.substr(16, 4) + "-" + id.substr(20);
}

int IntegerRank(TypeKind kind) {
  switch (kind) {
    case TypeKind::kByte:
      return 1;
    case TypeKind::kShort:
      return 2;
    case TypeKind::kInteger:
      return 3;
    case TypeKind::kLong:
      return 4;
    default:
      return 0;
  }
}

/// The type changes of the typeWidening feature.
bool IsWidening(const DataType& from, const DataType& to) {
  const int rank = IntegerRank(from.kind);
  if (rank > 0 && IntegerRank(to.kind) > rank) return true;
  if (to.kind == TypeKind::kDouble) {
    return from.kind == TypeKind::kFloat || (rank > 0 && from.kind != TypeKind::kLong);
  }
  if (to.kind == TypeKind::kTimestampNtz) return from.kind == TypeKind::kDate;
  if (to.kind != TypeKind::kDecimal) return false;
  const int whole = to.precision - to.scale;
  if (from.kind == TypeKind::kDecimal) {
    return to.scale >= from.scale && whole >= from.precision - from.scale &&
           !to.Equals(from);
  }
  return rank > 0 && whole >= (from.kind == TypeKind::kLong ? 20 : 10);
}

struct TypeChange {
  std::string from, to, path;  ///< path: "element", "key", ... below the field
};

/// Adds what happened to a field's type to its metadata, where readers look for it.
void RecordTypeChanges(const std::vector<TypeChange>& changes, StructField* field) {
  if (changes.empty()) return;
  std::string entries;
  for (const TypeChange& change : changes) {
    if (!entries.empty()) entries += ",";
    entries += R"({"fromType":")" + change.from + R"(","toType":")" + change.to + '"';
    if (!change.path.empty()) entries += R"(,"fieldPath":")" + change.path + '"';
    entries += "}";
  }
  std::string& text = field->metadata["delta.typeChanges"];
  const size_t end = text.find_last_of(']');
  if (end == std::string::npos || text.find('{') == std::string::npos) {
    text = "[" + entries + "]";
  } else {
    text = text.substr(0, end) + "," + entries + "]";
  }
}

/// Merges the types of a write into a table's, column by column.
class SchemaMerge {
 public:
  SchemaMerge(SchemaMode mode, TypeWidening widening,
              const std::vector<std::string>& partition_columns)
      : mode_(mode), widening_(widening), partition_columns_(partition_columns) {}

  bool changed() const { return changed_; }
  bool widened() const { return widened_; }

  arrow::Result<TypePtr> Columns(const TableSchema& table, const arrow::Schema& incoming) {
    DataType merged = table;
    std::vector<bool> seen(table.fields.size());
    for (const auto& field : incoming.fields()) {
      const StructField* known = FindField(table, field->name());
      if (known == nullptr) {
        ARROW_RETURN_NOT_OK(AddColumn(*field, &merged));
        continue;
      }
      const auto at = static_cast<size_t>(known - table.fields.data());
      if (seen[at]) {
        return Error(ErrorCode::kSchemaMismatch, "a column comes twice: ", field->name());
      }
      seen[at] = true;
      ARROW_RETURN_NOT_OK(Column(*known, *field, &merged.fields[at]));
    }
    for (size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i] && !table.fields[i].nullable) {
        return Error(ErrorCode::kSchemaMismatch,
                     "a column that is not nullable is missing: ", table.fields[i].name);
      }
    }
    return std::make_shared<const DataType>(std::move(merged));
  }

 private:
  arrow::Status AddColumn(const arrow::Field& field, DataType* table) {
    if (mode_ != SchemaMode::kMerge) {
      return Error(ErrorCode::kSchemaMismatch,
                   "the table has no such column: ", field.name());
    }
    // The whole-schema check knows the rules for names.
    ARROW_ASSIGN_OR_RAISE(
        auto checked, FromArrowSchema(*arrow::schema({field.WithNullable(true)})));
    changed_ = true;
    table->fields.push_back(checked->fields.front());
    return {};
  }

  arrow::Status Column(const StructField& known, const arrow::Field& field,
                       StructField* out) {
    const auto table_type = ToArrowType(*known.type, NameStyle::kLogical);
    const bool fits = schema::CanCast(*field.type(), *table_type);
    const bool partition =
        std::find(partition_columns_.begin(), partition_columns_.end(), known.name) !=
        partition_columns_.end();
    const bool may_widen = widening_ == TypeWidening::kEnable &&
                           mode_ == SchemaMode::kMerge && !partition;
    if (fits && !may_widen) return {};
    if (field.type()->id() == arrow::Type::NA) return {};
    if (mode_ != SchemaMode::kMerge) return Mismatch(known, field);
    ARROW_ASSIGN_OR_RAISE(StructField incoming, FromArrowField(field));
    std::vector<TypeChange> changes;
    ARROW_ASSIGN_OR_RAISE(
        TypePtr merged,
        Type(known.type, *incoming.type, may_widen, known.name, "", &changes));
    if (!merged) return Mismatch(known, field);
    out->type = std::move(merged);
    RecordTypeChanges(changes, out);
    return {};
  }

  static arrow::Status Mismatch(const StructField& known, const arrow::Field& field) {
    return Error(ErrorCode::kSchemaMismatch, "column ", known.name, " is ",
                 known.type->ToString(), " in the table, not ",
                 field.type()->ToString());
  }

  /// The table's type after the merge; nullptr when `incoming` does not fit. `path` is
  /// where below its field the type stands ("element", "value.element").
  arrow::Result<TypePtr> Type(const TypePtr& table, const DataType& incoming,
                              bool may_widen, const std::string& name,
                              const std::string& path, std::vector<TypeChange>* changes) {
    if (table->kind == TypeKind::kStruct && incoming.kind == TypeKind::kStruct) {
      return Struct(*table, incoming, may_widen, name);
    }
    if (table->kind == TypeKind::kArray && incoming.kind == TypeKind::kArray) {
      DataType merged = *table;
      ARROW_ASSIGN_OR_RAISE(merged.element, Type(table->element, *incoming.element,
                                                 may_widen, name,
                                                 Below(path, "element"), changes));
      if (!merged.element) return nullptr;
      return std::make_shared<const DataType>(std::move(merged));
    }
    if (table->kind == TypeKind::kMap && incoming.kind == TypeKind::kMap) {
      DataType merged = *table;
      ARROW_ASSIGN_OR_RAISE(merged.key, Type(table->key, *incoming.key, may_widen, name,
                                             Below(path, "key"), changes));
      ARROW_ASSIGN_OR_RAISE(merged.element, Type(table->element, *incoming.element,
                                                 may_widen, name, Below(path, "value"),
                                                 changes));
      if (!merged.key || !merged.element) return nullptr;
      return std::make_shared<const DataType>(std::move(merged));
    }
    if (table->Equals(incoming)) return table;
    if (may_widen && IsWidening(*table, incoming)) {
      changes->push_back({table->ToString(), incoming.ToString(), path});
      changed_ = widened_ = true;
      return std::make_shared<const DataType>(incoming);
    }
    const bool fits = schema::CanCast(*ToArrowType(incoming, NameStyle::kLogical),
                                      *ToArrowType(*table, NameStyle::kLogical));
    return fits ? table : nullptr;
  }

  arrow::Result<TypePtr> Struct(const DataType& table, const DataType& incoming,
                                bool may_widen, const std::string& name) {
    DataType merged = table;
    std::vector<bool> seen(table.fields.size());
    for (const StructField& field : incoming.fields) {
      const StructField* known = FindField(table, field.name);
      if (known == nullptr) {
        changed_ = true;
        merged.fields.push_back(field);
        merged.fields.back().nullable = true;
        continue;
      }
      const auto at = static_cast<size_t>(known - table.fields.data());
      if (seen[at]) {
        return Error(ErrorCode::kSchemaMismatch, "a field comes twice: ", name, ".",
                     field.name);
      }
      seen[at] = true;
      std::vector<TypeChange> changes;
      ARROW_ASSIGN_OR_RAISE(TypePtr type,
                            Type(known->type, *field.type, may_widen,
                                 name + "." + known->name, "", &changes));
      if (!type) return nullptr;
      merged.fields[at].type = std::move(type);
      RecordTypeChanges(changes, &merged.fields[at]);
    }
    return std::make_shared<const DataType>(std::move(merged));
  }

  static std::string Below(const std::string& path, const char* part) {
    return path.empty() ? part : path + "." + part;
  }

  const SchemaMode mode_;
  const TypeWidening widening_;
  const std::vector<std::string>& partition_columns_;
  bool changed_ = false;
  bool widened_ = false;
};

arrow::Result<TypePtr> ReplaceSchema(const TableState& state,
                                     const arrow::Schema& schema) {
  ARROW_ASSIGN_OR_RAISE(TypePtr made, FromArrowSchema(schema));
  DataType replaced = *made;
  for (StructField& field : replaced.fields) {
    // A column that stays keeps what was said about it.
    const StructField* known = FindField(*state.schema, field.name);
    if (known != nullptr && known->name == field.name &&
        known->type->Equals(*field.type)) {
      field.metadata.insert(known->metadata.begin(), known->metadata.end());
    }
  }
  return std::make_shared<const DataType>(std::move(replaced));
}

arrow::Status CheckPartitionColumns(const TableState& state) {
  const auto& columns = state.metadata.partition_columns;
  ARROW_RETURN_NOT_OK(
      PartitionSplitter::Make(*state.schema, state.column_names, columns));
  if (std::set<std::string>(columns.begin(), columns.end()).size() != columns.size()) {
    return Error(ErrorCode::kInvalidArgument, "a partition column is named twice");
  }
  if (!columns.empty() && columns.size() >= state.schema->fields.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "a table needs a column beside its partition columns");
  }
  return {};
}

}  // namespace

arrow::Result<TableState> PlanTable(const arrow::Schema& schema,
                                    const TableDefinition& definition) {
  TableState state;
  ARROW_RETURN_NOT_OK(CheckProperties(definition.configuration));
  ARROW_ASSIGN_OR_RAISE(state.schema, FromArrowSchema(schema));
  if (state.schema->fields.empty()) {
    return Error(ErrorCode::kInvalidArgument, "a table needs at least one column");
  }
  state.metadata.id = NewTableId();
  state.metadata.name = definition.name;
  state.metadata.description = definition.description;
  state.metadata.schema_string = SchemaToJson(*state.schema);
  for (const std::string& name : definition.partition_by) {
    const StructField* field = FindField(*state.schema, name);
    if (field == nullptr) {
      return Error(ErrorCode::kColumnNotFound,
                   "a partition column is not in the schema: ", name);
    }
    state.metadata.partition_columns.push_back(field->name);
  }
  state.metadata.configuration = definition.configuration;
  state.properties = TableProperties::From(definition.configuration);
  state.protocol = ProtocolFor(Protocol{}, *state.schema, definition.configuration);
  ARROW_RETURN_NOT_OK(CheckPartitionColumns(state));
  return state;
}

arrow::Result<TableState> EvolveTable(const TableState& state, const arrow::Schema& schema,
                                      SchemaMode mode, TypeWidening widening) {
  TableState next = state;
  if (mode == SchemaMode::kOverwrite) {
    ARROW_ASSIGN_OR_RAISE(next.schema, ReplaceSchema(state, schema));
    ARROW_RETURN_NOT_OK(CheckPartitionColumns(next));
  } else {
    SchemaMerge merge(mode, widening, state.metadata.partition_columns);
    ARROW_ASSIGN_OR_RAISE(next.schema, merge.Columns(*state.schema, schema));
    if (!merge.changed()) return state;
    // Names new to the table must be new whatever their case, and allowed.
    ARROW_RETURN_NOT_OK(
        FromArrowSchema(*ToArrowSchema(*next.schema, NameStyle::kLogical)));
    if (merge.widened()) {
      next.metadata.configuration["delta.enableTypeWidening"] = "true";
    }
  }
  next.metadata.schema_string = SchemaToJson(*next.schema);
  next.properties = TableProperties::From(next.metadata.configuration);
  next.protocol = ProtocolFor(state.protocol, *next.schema, next.metadata.configuration);
  return next;
}

}  // namespace arrowport::delta
