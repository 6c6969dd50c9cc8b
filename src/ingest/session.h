// The landing service as protocols see it: open a session for one upload, push its schema
// and batches, finish; the answer comes back by callback once it is durable.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace arrowport::ingest {

enum class CommitMode {
  kStream,  ///< the whole upload is one transaction
  kBatch,   ///< every batch is durable on its own
};

/// What a wire request asks for, before routing.
struct Request {
  std::string stream;
  /// Stream settings given with the request, by name as in the configuration
  /// ("target_table", "schema_mode", "mode", "on_mismatch", "chunk_size",
  /// "storage_backend", "compression", "delta_options.partition_by" ...); lists are
  /// comma-separated. They win over the stream's.
  std::map<std::string, std::string> overrides;
  std::string idempotency_key;  ///< or empty
  std::string producer;         ///< or empty; excludes idempotency_key
  std::optional<int64_t>
      sequence;  ///< required with producer; batch mode: of the first batch
  CommitMode commit = CommitMode::kStream;
  std::string protocol;  ///< "rest" or "flight", for metrics
  std::string request_id;
};

/// Everything a success reply says.
struct Receipt {
  std::string stream;
  std::string table;
  std::string backend;     ///< "duckdb"
  std::string durability;  ///< "file" or "memory"
  std::string version;     ///< "duckdb:<n>"; empty when nothing was written
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t batches = 0;
  bool idempotent_replay = false;
  bool quarantined = false;
  std::string warning;  ///< skip mode says here what was skipped
};

/// Batch mode: everything up to and including `offset` is durable.
struct Ack {
  int64_t offset = -1;
  int64_t records = 0;  ///< rows so far, of this session
  std::string version;
  std::vector<int64_t> quarantined;
};

/// Called from ingest threads (or from inside a Session call), never two at a time for
/// one session; must not block.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  /// Pressure is gone after Push answered kPause.
  virtual void OnReady() = 0;
  virtual void OnAck(const Ack& ack) = 0;
  /// Exactly once after Finish or after a Push/Start failure reported through it; never
  /// after Abort. In batch mode an error means: acknowledged batches stay, the rest was
  /// not applied.
  virtual void OnDone(arrow::Result<Receipt> result) = 0;
};

enum class Flow { kContinue, kPause };

/// One upload. Calls come from one thread at a time. Destroying it without Finish aborts.
class Session {
 public:
  virtual ~Session() = default;

  /// The stream's schema, once, first. Routes, creates or evolves the table, plans the
  /// casts; may block on DDL. Errors: kInvalidName, kSchemaMismatch, kUnsupportedType,
  /// kTooLarge, kNotBuilt, kOverloaded ...; the session is then dead (OnDone is not
  /// called).
  virtual arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) = 0;

  /// One decoded batch with the started schema; validated here (ValidateFull). Does not
  /// block. kPause: it is taken, but send no more until OnReady. Errors kill the session
  /// (stream mode: everything is rolled back; batch mode: earlier batches stay and are
  /// acknowledged first).
  virtual arrow::Result<Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) = 0;

  /// The upload is complete; OnDone follows when it is durable (or refused).
  virtual void Finish() = 0;

  /// Rolls back what is not committed. No callback follows after it returns.
  virtual void Abort() = 0;

  /// With producer: the last applied sequence for this (producer, table), once started.
  virtual std::optional<int64_t> producer_last_sequence() const = 0;
};

/// One line of GET /streams.
struct StreamInfo {
  std::string name;
  std::string table;
  std::string backend;
  bool configured = false;
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t last_ingest_us = 0;  ///< wall clock, 0: never since start
  std::string last_error;
};

/// Thread-safe.
class Service {
 public:
  virtual ~Service() = default;
  /// Checks names and settings. Errors: kInvalidName, kBadConfig, kInvalidArgument,
  /// kNotBuilt, kDraining.
  virtual arrow::Result<std::unique_ptr<Session>> Open(
      Request request, std::shared_ptr<SessionObserver> observer) = 0;
  virtual std::vector<StreamInfo> Streams() const = 0;
  /// Waits until everything queued before the call is durable (Flight action `flush`).
  virtual arrow::Status Flush() = 0;
  virtual arrow::Status Checkpoint() = 0;
};

}  // namespace arrowport::ingest
