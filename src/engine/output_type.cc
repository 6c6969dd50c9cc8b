#include <arrow/c/bridge.h>

#include <duckdb.hpp>
#include <duckdb/common/arrow/arrow_converter.hpp>

#include "base/error.h"
#include "engine/batch_builder.h"

namespace arrowport::engine {
namespace {

using duckdb::LogicalType;
using duckdb::LogicalTypeId;

duckdb::child_list_t<LogicalType> OutputChildren(
    const duckdb::child_list_t<LogicalType>& children) {
  duckdb::child_list_t<LogicalType> out;
  for (const auto& [name, type] : children) out.emplace_back(name, OutputType(type));
  return out;
}

// DuckDB names the items of lists "l" and "": Arrow's readers expect "item".
std::shared_ptr<arrow::Field> WithItemNames(const std::shared_ptr<arrow::Field>& field);

arrow::FieldVector WithItemNames(const arrow::FieldVector& fields) {
  arrow::FieldVector out;
  for (const auto& field : fields) out.push_back(WithItemNames(field));
  return out;
}

std::shared_ptr<arrow::Field> WithItemNames(const std::shared_ptr<arrow::Field>& field) {
  const arrow::DataType& type = *field->type();
  switch (type.id()) {
    case arrow::Type::LIST:
      return field->WithType(
          arrow::list(WithItemNames(type.field(0))->WithName("item")));
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto& list = static_cast<const arrow::FixedSizeListType&>(type);
      return field->WithType(arrow::fixed_size_list(
          WithItemNames(type.field(0))->WithName("item"), list.list_size()));
    }
    case arrow::Type::STRUCT:
      return field->WithType(arrow::struct_(WithItemNames(type.fields())));
    case arrow::Type::SPARSE_UNION:
      return field->WithType(arrow::sparse_union(
          WithItemNames(type.fields()),
          static_cast<const arrow::UnionType&>(type).type_codes()));
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(type);
      return field->WithType(std::make_shared<arrow::MapType>(
          WithItemNames(map.key_field()), WithItemNames(map.item_field())));
    }
    default:
      return field;
  }
}

}  // namespace

LogicalType OutputType(const LogicalType& type) {
  switch (type.id()) {
    case LogicalTypeId::ENUM:
    case LogicalTypeId::UUID:
    case LogicalTypeId::BIT:
    case LogicalTypeId::BIGNUM:
    case LogicalTypeId::CHAR:
    case LogicalTypeId::VARCHAR:
      return LogicalType::VARCHAR;
    case LogicalTypeId::UNKNOWN:  // a placeholder whose type the planner cannot tell
      return LogicalType::SQLNULL;
    case LogicalTypeId::VARIANT:
      return LogicalType::JSON();
    case LogicalTypeId::HUGEINT:
    case LogicalTypeId::UHUGEINT:
      return LogicalType::DECIMAL(38, 0);
    case LogicalTypeId::LIST:
      return LogicalType::LIST(OutputType(duckdb::ListType::GetChildType(type)));
    case LogicalTypeId::ARRAY:
      return LogicalType::ARRAY(OutputType(duckdb::ArrayType::GetChildType(type)),
                                duckdb::ArrayType::GetSize(type));
    case LogicalTypeId::MAP:
      return LogicalType::MAP(OutputType(duckdb::MapType::KeyType(type)),
                              OutputType(duckdb::MapType::ValueType(type)));
    case LogicalTypeId::STRUCT:
      return LogicalType::STRUCT(
          OutputChildren(duckdb::StructType::GetChildTypes(type)));
    case LogicalTypeId::UNION: {
      duckdb::child_list_t<LogicalType> members;
      for (duckdb::idx_t i = 0; i < duckdb::UnionType::GetMemberCount(type); ++i) {
        members.emplace_back(duckdb::UnionType::GetMemberName(type, i),
                             OutputType(duckdb::UnionType::GetMemberType(type, i)));
      }
      return LogicalType::UNION(std::move(members));
    }
    default:
      return type;
  }
}

duckdb::ClientProperties OutputProperties(duckdb::ClientContext& context) {
  duckdb::ClientProperties properties = context.GetClientProperties();
  properties.arrow_offset_size = duckdb::ArrowOffsetSize::REGULAR;
  properties.arrow_use_list_view = false;
  properties.produce_arrow_string_view = false;
  properties.arrow_lossless_conversion = false;
  properties.arrow_output_version = duckdb::ArrowFormatVersion::V1_0;
  return properties;
}

arrow::Result<std::shared_ptr<arrow::Schema>> OutputSchema(
    duckdb::ClientContext& context, const duckdb::vector<LogicalType>& types,
    const duckdb::vector<std::string>& names) {
  duckdb::vector<LogicalType> out_types;
  for (const LogicalType& type : types) out_types.push_back(OutputType(type));
  duckdb::ClientProperties properties = OutputProperties(context);
  ArrowSchema c_schema;
  c_schema.release = nullptr;
  // The lookup of extension types reads the catalog.
  arrow::Status status;
  try {
    context.RunFunctionInTransaction([&] {
      duckdb::ArrowConverter::ToArrowSchema(&c_schema, out_types, names, properties);
    });
  } catch (const duckdb::NotImplementedException& exception) {
    status = Error(ErrorCode::kUnsupportedType,
                   "a column of the result has no Arrow form, cast it: ",
                   duckdb::ErrorData(exception).RawMessage());
  }
  if (!status.ok()) {
    if (c_schema.release != nullptr) c_schema.release(&c_schema);
    return status;
  }
  ARROW_ASSIGN_OR_RAISE(auto schema, arrow::ImportSchema(&c_schema));
  return arrow::schema(WithItemNames(schema->fields()), schema->metadata());
}

}  // namespace arrowport::engine
