// Protobuf descriptors of records, and the Arrow schema of Flight mode: both follow from
// the table's columns by the service's rules.
#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <string>

#include "zerobus/encode/compiled_descriptor.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {

/// proto2; field number = position + 1 (members of a struct: 1..n in order), jumping over
/// 19000-19999; nullable = optional, NOT NULL = required, ARRAY and MAP = repeated. Structs
/// become messages in the scope of the message that uses them, named in PascalCase after
/// their path; MAP becomes a map entry. type_name is relative.
/// Errors: kInvalidName (a name outside [A-Za-z_][A-Za-z0-9_]*, over 255 bytes, or two maps
/// whose entry messages would have one name), kUnsupportedType (ARRAY of ARRAY or MAP, MAP
/// with ARRAY or MAP values, MAP keys of float, double, binary, variant or complex type),
/// kTooLarge (depth over 100, more than 2,000 fields in a message, field number out of
/// range).
arrow::Result<google::protobuf::DescriptorProto> MakeDescriptor(
    const TableSchema& table, const std::string& message_name = "Record");

/// The field type of a scalar column or STRUCT (TYPE_MESSAGE).
/// REQUIRES: neither ARRAY nor MAP.
google::protobuf::FieldDescriptorProto::Type ProtoTypeOf(TypeId id);

/// Whether rows of `schema` can be encoded for `proto`: self-contained, every column has a
/// field of its name and of a fitting type, no required field is left out. With a `table`
/// the fields must agree with its columns too. Errors: kInvalidArgument, kTooLarge,
/// kColumnNotFound, kSchemaMismatch, kUnsupportedType.
arrow::Status CheckDescriptor(const google::protobuf::DescriptorProto& proto,
                              const arrow::Schema& schema,
                              const TableSchema* table = nullptr);

/// The schema of a table in Flight mode. STRING and DECIMAL = LargeUtf8, BINARY =
/// LargeBinary, DATE = Date32, TIMESTAMP = Timestamp(us, UTC), TIMESTAMP_NTZ =
/// Timestamp(us), VARIANT = Struct{metadata, value: LargeBinary not null}, ARRAY =
/// List(item nullable), MAP = Map(entries{keys, values}).
std::shared_ptr<arrow::Schema> FlightSchemaOf(const TableSchema& table);
std::shared_ptr<arrow::DataType> FlightTypeOf(const TableType& type);

}  // namespace arrowport::zerobus::encode
