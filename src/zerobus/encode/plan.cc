#include "zerobus/encode/plan.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"

namespace arrowport::zerobus::encode::internal {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FieldDescriptorProto;

/// Where values go: a protobuf field, a table type, or both.
struct Goal {
  const FieldDescriptor* field = nullptr;
  const TableType* type = nullptr;
  bool is_element = false;  ///< one value of the repeated `field`
};

/// A VARIANT in its binary form.
const TableType& BinaryVariant() {
  static const TableType type{
      .id = TypeId::kStruct,
      .children = {{"metadata", TableType{.id = TypeId::kBinary}, false},
                   {"value", TableType{.id = TypeId::kBinary}, false}}};
  return type;
}

std::string ShownType(const Goal& goal) {
  return goal.type ? goal.type->ToString().substr(0, 200) : goal.field->type_name();
}

arrow::Status Misfit(const FieldPlan& plan, const Goal& goal) {
  return Error(ErrorCode::kSchemaMismatch,
               "Arrow type does not fit the column; cast it first: ", plan.path, ": ",
               plan.arrow_type->ToString().substr(0, 200), " to ", ShownType(goal));
}

/// A single value goes to a singular field, an element to a repeated one.
bool OneValue(const Goal& goal) {
  return !goal.field || goal.field->is_repeated() == goal.is_element;
}

bool IsInteger(arrow::Type::type id) { return arrow::is_integer(id); }

/// Whether scalars of Arrow type `from` become values of column type `to`.
bool Converts(const arrow::DataType& from, TypeId to) {
  switch (to) {
    case TypeId::kBoolean:
      return from.id() == arrow::Type::BOOL;
    case TypeId::kTinyInt:
    case TypeId::kSmallInt:
    case TypeId::kInt:
    case TypeId::kBigInt:
      return IsInteger(from.id());
    case TypeId::kFloat:
      return from.id() == arrow::Type::HALF_FLOAT || from.id() == arrow::Type::FLOAT;
    case TypeId::kDouble:
      return arrow::is_floating(from.id());
    case TypeId::kDecimal:
      return arrow::is_decimal(from.id()) || IsInteger(from.id());
    case TypeId::kString:
    case TypeId::kVariant:
      return arrow::is_string(from.id()) || from.id() == arrow::Type::STRING_VIEW;
    case TypeId::kBinary:
      return arrow::is_binary(from.id()) || from.id() == arrow::Type::BINARY_VIEW ||
             from.id() == arrow::Type::FIXED_SIZE_BINARY;
    case TypeId::kDate:
      return arrow::is_date(from.id());
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return from.id() == arrow::Type::TIMESTAMP &&
             static_cast<const arrow::TimestampType&>(from).timezone().empty() ==
                 (to == TypeId::kTimestampNtz);
    case TypeId::kStruct:
    case TypeId::kArray:
    case TypeId::kMap:
      break;
  }
  return false;
}

/// The column type that a bare protobuf field stands for, given what Arrow sends.
arrow::Result<TableType> InferScalar(const FieldPlan& plan, const FieldDescriptor& field) {
  ARROW_ASSIGN_OR_RAISE(TableType type, TableTypeOf(*plan.value_type));
  if (IsInteger(plan.value_type->id())) {
    if (field.type() == FieldDescriptor::TYPE_INT32) type.id = TypeId::kInt;
    if (field.type() == FieldDescriptor::TYPE_INT64) type.id = TypeId::kBigInt;
  }
  if (arrow::is_floating(plan.value_type->id()) &&
      field.type() == FieldDescriptor::TYPE_DOUBLE) {
    type.id = TypeId::kDouble;
  }
  return type;
}

class Compiler {
 public:
  Compiler(RowFormat format, const EncodeOptions& options)
      : format_(format), options_(options) {}

  /// `depth` counts levels of types, the columns being 1.
  arrow::Status Compile(const std::shared_ptr<arrow::DataType>& type, const Goal& goal,
                        int depth, FieldPlan* plan) {
    plan->arrow_type = type;
    plan->value_type = &ValueTypeOf(*type);
    plan->null_elements = options_.null_elements;
    plan->field_number = goal.field ? goal.field->number() : 0;
    if (depth > kTypeDepthMax) {
      return Error(ErrorCode::kUnsupportedType, "types are nested deeper than ",
                   kTypeDepthMax, ": ", plan->path.substr(0, 200));
    }
    switch (plan->value_type->id()) {
      case arrow::Type::NA:
        plan->is_null_type = true;
        return arrow::Status::OK();
      case arrow::Type::STRUCT:
        return CompileStruct(goal, depth, plan);
      case arrow::Type::LIST:
      case arrow::Type::LARGE_LIST:
      case arrow::Type::FIXED_SIZE_LIST:
      case arrow::Type::LIST_VIEW:
      case arrow::Type::LARGE_LIST_VIEW:
        return CompileList(goal, depth, plan);
      case arrow::Type::MAP:
        return CompileMap(goal, depth, plan);
      default:
        return CompileScalar(goal, plan);
    }
  }

  /// The members of a struct, or the columns of the record.
  arrow::Status CompileMembers(const arrow::FieldVector& fields, const Descriptor* message,
                               const std::vector<TableField>* members,
                               const std::string& prefix, int depth,
                               std::vector<FieldPlan>* plans) {
    std::set<std::string_view> present;
    for (size_t i = 0; i < fields.size(); ++i) {
      const arrow::Field& field = *fields[i];
      FieldPlan plan;
      plan.name = field.name();
      plan.path = prefix.empty() ? field.name() : prefix + "." + field.name();
      plan.child_index = static_cast<int>(i);
      if (!present.insert(field.name()).second) {
        return Error(ErrorCode::kSchemaMismatch,
                     "two columns have one name: ", plan.path.substr(0, 200));
      }
      ARROW_ASSIGN_OR_RAISE(bool found,
                            CompileMember(field, message, members, depth, &plan));
      if (found) plans->push_back(std::move(plan));
    }
    ARROW_RETURN_NOT_OK(CheckRequired(present, message, members, prefix));
    std::stable_sort(plans->begin(), plans->end(), [](const auto& a, const auto& b) {
      return a.field_number < b.field_number;
    });
    return arrow::Status::OK();
  }

 private:
  /// False for a column that holds nothing and that the record does not know.
  arrow::Result<bool> CompileMember(const arrow::Field& field, const Descriptor* message,
                                    const std::vector<TableField>* members, int depth,
                                    FieldPlan* plan) {
    Goal goal;
    bool required = false;
    const TableField* member = nullptr;
    if (message) goal.field = message->FindFieldByName(field.name());
    if (members) {
      auto found = std::find_if(members->begin(), members->end(),
                                [&](const auto& m) { return m.name == field.name(); });
      if (found != members->end()) member = &*found;
    }
    if ((message && !goal.field) || (members && !member)) {
      if (ValueTypeOf(*field.type()).id() == arrow::Type::NA) return false;
      return Error(ErrorCode::kColumnNotFound,
                   message && !goal.field ? "descriptor has no field for the column: "
                                          : "table has no such column: ",
                   plan->path.substr(0, 200));
    }
    if (member) {
      goal.type = &member->type;
      required = !member->nullable;
    }
    if (goal.field && goal.field->is_required()) required = true;
    plan->nulls = required ? NullRule::kFail : NullRule::kOmit;
    ARROW_RETURN_NOT_OK(Compile(field.type(), goal, depth, plan));
    if (required && plan->is_null_type) {
      return Error(ErrorCode::kSchemaMismatch,
                   "column of type null for a NOT NULL column: ", plan->path);
    }
    return true;
  }

  static arrow::Status CheckRequired(const std::set<std::string_view>& present,
                                     const Descriptor* message,
                                     const std::vector<TableField>* members,
                                     const std::string& prefix) {
    for (int i = 0; message && i < message->field_count(); ++i) {
      const FieldDescriptor& field = *message->field(i);
      if (field.is_required() && !present.contains(field.name())) {
        return MissingColumn(prefix, field.name());
      }
    }
    for (size_t i = 0; members && i < members->size(); ++i) {
      const TableField& member = (*members)[i];
      if (!member.nullable && !present.contains(member.name)) {
        return MissingColumn(prefix, member.name);
      }
    }
    return arrow::Status::OK();
  }

  static arrow::Status MissingColumn(const std::string& prefix, const std::string& name) {
    return Error(ErrorCode::kColumnNotFound, "NOT NULL column is left out; add it: ",
                 prefix.empty() ? name : prefix + "." + name);
  }

  static arrow::Status CompileScalar(const Goal& goal, FieldPlan* plan) {
    TableType type;
    if (goal.type) {
      type = *goal.type;
    } else {
      arrow::Result<TableType> inferred = InferScalar(*plan, *goal.field);
      if (!inferred.ok()) return WithContext("column " + plan->path, inferred.status());
      type = std::move(inferred).ValueUnsafe();
    }
    if (!Converts(*plan->value_type, type.id) || !OneValue(goal)) {
      return Misfit(*plan, goal);
    }
    if (goal.field && static_cast<int>(goal.field->type()) !=
                          static_cast<int>(ProtoTypeOf(type.id))) {
      return Error(ErrorCode::kSchemaMismatch,
                   "descriptor field does not fit the column: ", plan->path, ": ",
                   goal.field->type_name(), " for ", type.ToString(), " (Arrow ",
                   plan->arrow_type->ToString().substr(0, 200), ")");
    }
    if (arrow::is_decimal(plan->value_type->id())) {
      ARROW_RETURN_NOT_OK(TableTypeOf(*plan->value_type).status());  // bounds its scale
    }
    plan->target = type.id;
    plan->precision = type.precision;
    plan->scale = type.scale;
    return arrow::Status::OK();
  }

  arrow::Status CompileStruct(Goal goal, int depth, FieldPlan* plan) {
    plan->target = TypeId::kStruct;
    if (format_ == RowFormat::kFlight && goal.type->id == TypeId::kVariant) {
      goal.type = &BinaryVariant();
    }
    bool fits = (!goal.type || goal.type->id == TypeId::kStruct) &&
                (!goal.field || (goal.field->type() == FieldDescriptor::TYPE_MESSAGE &&
                                 !goal.field->is_map() && OneValue(goal)));
    if (!fits) return Misfit(*plan, goal);
    return CompileMembers(plan->value_type->fields(),
                          goal.field ? goal.field->message_type() : nullptr,
                          goal.type ? &goal.type->children : nullptr, plan->path, depth + 1,
                          &plan->children);
  }

  arrow::Status CompileList(const Goal& goal, int depth, FieldPlan* plan) {
    plan->target = TypeId::kArray;
    bool fits = (!goal.type || goal.type->id == TypeId::kArray) &&
                (!goal.field || (goal.field->is_repeated() && !goal.field->is_map()));
    // Protobuf has no list of lists.
    if (!fits || (goal.field && goal.is_element)) return Misfit(*plan, goal);
    Goal element = goal;
    element.is_element = true;
    if (goal.type) element.type = &goal.type->children[0].type;
    return CompileChild(plan->value_type->field(0)->type(), element, "element", depth,
                        plan);
  }

  arrow::Status CompileMap(const Goal& goal, int depth, FieldPlan* plan) {
    plan->target = TypeId::kMap;
    bool fits = (!goal.type || goal.type->id == TypeId::kMap) &&
                (!goal.field || goal.field->is_map());
    if (!fits) return Misfit(*plan, goal);
    const auto& map = static_cast<const arrow::MapType&>(*plan->value_type);
    Goal key, value;
    if (goal.field) {
      key.field = goal.field->message_type()->map_key();
      value.field = goal.field->message_type()->map_value();
    }
    if (goal.type) {
      key.type = &goal.type->children[0].type;
      value.type = &goal.type->children[1].type;
    }
    ARROW_RETURN_NOT_OK(CompileChild(map.key_type(), key, "key", depth, plan));
    return CompileChild(map.item_type(), value, "value", depth, plan);
  }

  /// An element, key or value.
  arrow::Status CompileChild(const std::shared_ptr<arrow::DataType>& type, const Goal& goal,
                             const char* name, int depth, FieldPlan* parent) {
    FieldPlan child;
    child.name = name;
    child.path = parent->path + "." + name;
    bool drop = options_.null_elements == NullElements::kDrop &&
                std::string_view(name) != "key";
    child.nulls = drop ? NullRule::kOmit : NullRule::kFail;
    ARROW_RETURN_NOT_OK(Compile(type, goal, depth + 1, &child));
    parent->children.push_back(std::move(child));
    return arrow::Status::OK();
  }

  RowFormat format_;
  EncodeOptions options_;
};

}  // namespace

arrow::Result<std::unique_ptr<RecordPlan>> CompilePlan(RowFormat format,
                                                       const arrow::Schema& schema,
                                                       const Descriptor* message,
                                                       const TableSchema* table,
                                                       const EncodeOptions& options) {
  auto plan = std::make_unique<RecordPlan>();
  plan->schema = arrow::schema(schema.fields());
  plan->format = format;
  plan->options = options;
  std::vector<TableField> columns;
  if (table) {
    for (const TableColumn& column : table->columns()) {
      columns.push_back({column.name, column.type, column.nullable});
    }
  }
  ARROW_RETURN_NOT_OK(Compiler(format, options)
                          .CompileMembers(plan->schema->fields(), message,
                                          table ? &columns : nullptr, "", 1,
                                          &plan->fields));
  return plan;
}

}  // namespace arrowport::zerobus::encode::internal
