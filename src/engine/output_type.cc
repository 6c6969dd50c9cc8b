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
  return arrow::ImportSchema(&c_schema);
}

}  // namespace arrowport::engine
