#include "wire/flight/sql_info.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/util/config.h>

#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "wire/flight/proto/flight_sql.pb.h"

namespace arrowport::wire::flight {
namespace {

// The value's arm of the union decides how drivers read it.
using Value = std::variant<std::string, bool, int64_t, int32_t>;

// Numbers of enum SqlInfo in FlightSql.proto.
std::map<uint32_t, Value> AllFacts(const ServerFacts& facts) {
  return {
      {0, std::string("Arrowport")},           // FLIGHT_SQL_SERVER_NAME
      {1, facts.version},                      // FLIGHT_SQL_SERVER_VERSION
      {2, std::string(ARROW_VERSION_STRING)},  // FLIGHT_SQL_SERVER_ARROW_VERSION
      {3, false},                              // FLIGHT_SQL_SERVER_READ_ONLY
      {4, true},                               // FLIGHT_SQL_SERVER_SQL
      {5, false},                              // FLIGHT_SQL_SERVER_SUBSTRAIT
      {8, int32_t{0}},                         // FLIGHT_SQL_SERVER_TRANSACTION: none
      {9, false},                              // FLIGHT_SQL_SERVER_CANCEL
      {10, false},                             // FLIGHT_SQL_SERVER_BULK_INGESTION
      {11, false},                             // ..._INGEST_TRANSACTIONS_SUPPORTED
      {100, int32_t{0}},                       // ..._STATEMENT_TIMEOUT: none
      {101, int32_t{0}},                       // ..._TRANSACTION_TIMEOUT: none
      {500, true},                             // SQL_DDL_CATALOG
      {501, true},                             // SQL_DDL_SCHEMA
      {502, true},                             // SQL_DDL_TABLE
      {504, std::string("\"")},                // SQL_IDENTIFIER_QUOTE_CHAR
  };
}

arrow::FieldVector UnionFields() {
  using namespace arrow;  // NOLINT(build/namespaces): the type factories
  return {field("string_value", utf8(), false),
          field("bool_value", boolean(), false),
          field("bigint_value", int64(), false),
          field("int32_bitmask", int32(), false),
          field("string_list", list(utf8()), false),
          field("int32_to_int32_list_map", map(int32(), list(int32())), false)};
}

class InfoBuilder {
 public:
  arrow::Status Append(uint32_t number, const Value& value) {
    ARROW_RETURN_NOT_OK(names_.Append(number));
    type_ids_.push_back(static_cast<int8_t>(value.index()));
    switch (value.index()) {
      case 0:
        offsets_.push_back(static_cast<int32_t>(texts_.length()));
        return texts_.Append(std::get<0>(value));
      case 1:
        offsets_.push_back(static_cast<int32_t>(flags_.length()));
        return flags_.Append(std::get<1>(value));
      case 2:
        offsets_.push_back(static_cast<int32_t>(wide_numbers_.length()));
        return wide_numbers_.Append(std::get<2>(value));
      default:
        offsets_.push_back(static_cast<int32_t>(numbers_.length()));
        return numbers_.Append(std::get<3>(value));
    }
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Finish() {
    const auto& schema = SqlInfoSchema();
    arrow::ArrayVector children(6);
    ARROW_ASSIGN_OR_RAISE(auto names, names_.Finish());
    ARROW_ASSIGN_OR_RAISE(children[0], texts_.Finish());
    ARROW_ASSIGN_OR_RAISE(children[1], flags_.Finish());
    ARROW_ASSIGN_OR_RAISE(children[2], wide_numbers_.Finish());
    ARROW_ASSIGN_OR_RAISE(children[3], numbers_.Finish());
    for (size_t i = 4; i < children.size(); ++i) {
      ARROW_ASSIGN_OR_RAISE(children[i], arrow::MakeEmptyArray(UnionFields()[i]->type()));
    }
    const auto rows = static_cast<int64_t>(type_ids_.size());
    auto values = std::make_shared<arrow::DenseUnionArray>(
        schema->field(1)->type(), rows, std::move(children),
        arrow::Buffer::FromVector(std::move(type_ids_)),
        arrow::Buffer::FromVector(std::move(offsets_)));
    return arrow::RecordBatch::Make(schema, rows, {names, values});
  }

 private:
  arrow::UInt32Builder names_;
  arrow::StringBuilder texts_;
  arrow::BooleanBuilder flags_;
  arrow::Int64Builder wide_numbers_;
  arrow::Int32Builder numbers_;
  std::vector<int8_t> type_ids_;
  std::vector<int32_t> offsets_;
};

}  // namespace

const std::shared_ptr<arrow::Schema>& SqlInfoSchema() {
  static const auto schema =
      arrow::schema({arrow::field("info_name", arrow::uint32(), false),
                     arrow::field("value", arrow::dense_union(UnionFields()), false)});
  return schema;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeSqlInfo(const Command& command,
                                                               const ServerFacts& facts) {
  proto::CommandGetSqlInfo wanted;
  if (!wanted.ParseFromString(std::get<FlightSqlCommand>(command).payload)) {
    return Error(ErrorCode::kInvalidArgument, "malformed message: CommandGetSqlInfo");
  }
  const auto all = AllFacts(facts);
  InfoBuilder builder;
  if (wanted.info().empty()) {
    for (const auto& [number, value] : all) {
      ARROW_RETURN_NOT_OK(builder.Append(number, value));
    }
  }
  for (const uint32_t number : wanted.info()) {
    const auto found = all.find(number);
    if (found != all.end()) ARROW_RETURN_NOT_OK(builder.Append(number, found->second));
  }
  return builder.Finish();
}

}  // namespace arrowport::wire::flight
