#include "wire/http/schema_match.h"

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

using arrow::Type;

const arrow::DataType& WithoutDictionary(const arrow::DataType& type) {
  if (type.id() != Type::DICTIONARY) return type;
  return *static_cast<const arrow::DictionaryType&>(type).value_type();
}

bool NamesMatter(Type::type id) {
  return id == Type::STRUCT || id == Type::DENSE_UNION || id == Type::SPARSE_UNION;
}

bool SameType(const arrow::DataType& a_outer, const arrow::DataType& b_outer) {
  const arrow::DataType& a = WithoutDictionary(a_outer);
  const arrow::DataType& b = WithoutDictionary(b_outer);
  if (a.id() != b.id() || a.num_fields() != b.num_fields()) return false;
  if (a.num_fields() == 0 || a.id() == Type::EXTENSION) return a.Equals(b);
  if (a.id() == Type::FIXED_SIZE_LIST &&
      static_cast<const arrow::FixedSizeListType&>(a).list_size() !=
          static_cast<const arrow::FixedSizeListType&>(b).list_size()) {
    return false;
  }
  for (int i = 0; i < a.num_fields(); ++i) {
    const auto& x = *a.field(i);
    const auto& y = *b.field(i);
    if (NamesMatter(a.id()) && x.name() != y.name()) return false;
    if (x.nullable() != y.nullable() || !SameType(*x.type(), *y.type())) return false;
  }
  return true;
}

}  // namespace

arrow::Status CheckDeclaredSchema(const arrow::Schema& declared,
                                  const arrow::Schema& actual) {
  if (declared.num_fields() != actual.num_fields()) {
    return Error(ErrorCode::kSchemaDeclarationMismatch,
                 "batch.arrow_schema and the stream's schema differ in their number of "
                 "columns, declared and actual: ",
                 declared.num_fields(), ", ", actual.num_fields());
  }
  for (int i = 0; i < declared.num_fields(); ++i) {
    const auto& a = *declared.field(i);
    const auto& b = *actual.field(i);
    if (a.name() == b.name() && a.nullable() == b.nullable() &&
        SameType(*a.type(), *b.type())) {
      continue;
    }
    return Error(ErrorCode::kSchemaDeclarationMismatch,
                 "batch.arrow_schema and the stream's schema differ, declared and actual "
                 "column: ",
                 a.ToString(), ", ", b.ToString());
  }
  return {};
}

}  // namespace arrowport::wire::http
