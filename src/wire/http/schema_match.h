#pragma once

#include <arrow/status.h>
#include <arrow/type.h>

namespace arrowport::wire::http {

/// OK when the declared schema equals the stream's, metadata and dictionary encoding (and
/// the names of list items) aside. Errors: kSchemaDeclarationMismatch naming the column.
arrow::Status CheckDeclaredSchema(const arrow::Schema& declared,
                                  const arrow::Schema& actual);

}  // namespace arrowport::wire::http
