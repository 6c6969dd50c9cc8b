#include "sink/duckdb/column_type.h"

#include <arrow/extension/uuid.h>

#include <duckdb/common/types.hpp>

namespace arrowport::sink {
namespace {

using duckdb::LogicalType;
using duckdb::LogicalTypeId;

constexpr int kHugeintDigits = 38;

std::shared_ptr<arrow::DataType> StructTypeOf(const LogicalType& type) {
  arrow::FieldVector members;
  for (const auto& [name, member] : duckdb::StructType::GetChildTypes(type)) {
    members.push_back(arrow::field(name, ColumnTypeOf(member)));
  }
  return arrow::struct_(std::move(members));
}

std::shared_ptr<arrow::DataType> DecimalTypeOf(const LogicalType& type) {
  return arrow::decimal128(duckdb::DecimalType::GetWidth(type),
                           duckdb::DecimalType::GetScale(type));
}

std::shared_ptr<arrow::DataType> ArrayTypeOf(const LogicalType& type) {
  return arrow::fixed_size_list(ColumnTypeOf(duckdb::ArrayType::GetChildType(type)),
                                static_cast<int32_t>(duckdb::ArrayType::GetSize(type)));
}

}  // namespace

std::shared_ptr<arrow::DataType> ColumnTypeOf(const LogicalType& type) {
  switch (type.id()) {
    case LogicalTypeId::BOOLEAN:
      return arrow::boolean();
    case LogicalTypeId::TINYINT:
      return arrow::int8();
    case LogicalTypeId::SMALLINT:
      return arrow::int16();
    case LogicalTypeId::INTEGER:
      return arrow::int32();
    case LogicalTypeId::BIGINT:
      return arrow::int64();
    case LogicalTypeId::UTINYINT:
      return arrow::uint8();
    case LogicalTypeId::USMALLINT:
      return arrow::uint16();
    case LogicalTypeId::UINTEGER:
      return arrow::uint32();
    case LogicalTypeId::UBIGINT:
      return arrow::uint64();
    case LogicalTypeId::HUGEINT:
    case LogicalTypeId::UHUGEINT:
      return arrow::decimal128(kHugeintDigits, 0);
    case LogicalTypeId::FLOAT:
      return arrow::float32();
    case LogicalTypeId::DOUBLE:
      return arrow::float64();
    case LogicalTypeId::DECIMAL:
      return DecimalTypeOf(type);
    case LogicalTypeId::DATE:
      return arrow::date32();
    case LogicalTypeId::TIME:
      return arrow::time64(arrow::TimeUnit::MICRO);
    case LogicalTypeId::TIME_NS:
      return arrow::time64(arrow::TimeUnit::NANO);
    case LogicalTypeId::TIMESTAMP_SEC:
      return arrow::timestamp(arrow::TimeUnit::SECOND);
    case LogicalTypeId::TIMESTAMP_MS:
      return arrow::timestamp(arrow::TimeUnit::MILLI);
    case LogicalTypeId::TIMESTAMP:
      return arrow::timestamp(arrow::TimeUnit::MICRO);
    case LogicalTypeId::TIMESTAMP_NS:
      return arrow::timestamp(arrow::TimeUnit::NANO);
    case LogicalTypeId::TIMESTAMP_TZ:
      return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case LogicalTypeId::INTERVAL:
      return arrow::month_day_nano_interval();
    case LogicalTypeId::BLOB:
      return arrow::binary();
    case LogicalTypeId::UUID:
      return arrow::extension::uuid();
    case LogicalTypeId::VARCHAR:
    case LogicalTypeId::ENUM:
    case LogicalTypeId::BIT:
    case LogicalTypeId::TIME_TZ:
      return arrow::utf8();
    case LogicalTypeId::LIST:
      return arrow::list(ColumnTypeOf(duckdb::ListType::GetChildType(type)));
    case LogicalTypeId::ARRAY:
      return ArrayTypeOf(type);
    case LogicalTypeId::STRUCT:
      return StructTypeOf(type);
    case LogicalTypeId::MAP:
      return arrow::map(ColumnTypeOf(duckdb::MapType::KeyType(type)),
                        ColumnTypeOf(duckdb::MapType::ValueType(type)));
    default:
      return arrow::null();
  }
}

}  // namespace arrowport::sink
