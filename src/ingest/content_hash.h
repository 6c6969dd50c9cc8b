// What an upload says, as 32 bytes: equal for the same rows however they were cut into
// batches, whatever hides under nulls or behind offsets, whichever protocol carried them.
//
// Definition (version 1). It is taken of the incoming rows, not of their cast, so that a
// retry is recognised even when the table's types have changed in between. Text kinds
// count as one type, so do binary and list kinds; dictionaries, run-end encoding and
// extensions count as the values they stand for. Every column has up to three streams,
// and so has every nested field below it:
//   nulls    runs of nulls as (first row, length), 16 bytes little-endian each
//   lengths  of the valid texts, binaries and lists: 4 bytes, or 0xffffffff and 8 bytes
//   values   the bytes of the valid values, booleans as one byte each
// The hash is SHA-256 over the version, the canonical schema, the number of rows and the
// SHA-256 of each stream that is not empty, in order of the schema.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>
#include <string>

namespace arrowport::ingest {

/// Not thread-safe.
class ContentHash {
 public:
  explicit ContentHash(const arrow::Schema& schema);
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  /// REQUIRES: the schema given, a ValidateFull-clean batch. Errors: kUnsupportedType,
  /// kOutOfMemory.
  arrow::Status Update(const arrow::RecordBatch& batch);

  /// 32 bytes. Once.
  arrow::Result<std::string> Finish();

 private:
  class Node;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::ingest
