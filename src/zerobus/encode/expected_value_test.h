// What a record should hold, told by Arrow's scalars, and whether foreign readers
// (libprotobuf's DynamicMessage, nlohmann's JSON) find it there.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/util/decimal.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace arrowport::zerobus::encode {

struct Value {
  enum Kind {
    kInteger,
    kBoolean,
    kFloat,
    kDouble,
    kText,
    kBytes,
    kDecimal,
    kStruct,
    kList,
    kMap
  };
  Kind kind;
  int64_t integer = 0;
  double number = 0;
  std::string text;
  arrow::Decimal256 decimal;
  int32_t scale = 0;
  std::map<std::string, Value> members;  ///< struct members; map values by key text
  std::vector<Value> elements;
};

/// None for a null. Null elements and null map values are left out; of equal map keys the
/// last stays.
std::optional<Value> Expected(std::shared_ptr<arrow::Scalar> scalar);
/// A struct of the columns.
Value ExpectedRow(const arrow::RecordBatch& batch, int64_t row);

// Each adds GoogleTest failures that start with `where`.
void ExpectSame(const google::protobuf::Message& message, const Value& wanted,
                const std::string& where);
void ExpectSameJson(const nlohmann::json& found, const Value& wanted,
                    const std::string& where);

}  // namespace arrowport::zerobus::encode
