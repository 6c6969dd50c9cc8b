#include "maintain/migration.h"

#include <arrow/array.h>
#include <arrow/table.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/ids.h"
#include "maintain/row_stream.h"
#include "schema/names.h"

namespace arrowport::maintain {
namespace {

constexpr char kDuckDb[] = "duckdb";
constexpr char kDelta[] = "delta";
constexpr char kHashColumn[] = "_arrowport_row_hash";
constexpr int kAttemptsMax = 5;

struct Plan {
  schema::TableName name;
  std::string from, to;
  std::map<std::string, std::string> delta_options;
  std::optional<int64_t> source_version;  ///< of a Delta table
};

/// Number of rows and the sum of their hashes: the same for the same rows in any order.
struct Checksum {
  int64_t rows = 0;
  unsigned __int128 hashes = 0;
  bool operator==(const Checksum&) const = default;
};

std::string DecimalText(unsigned __int128 number) {
  std::string text;
  do {
    text += static_cast<char>('0' + static_cast<int>(number % 10));
    number /= 10;
  } while (number != 0);
  std::reverse(text.begin(), text.end());
  return text;
}

arrow::Result<std::string> BackendField(const RequestFields& fields, const char* name) {
  ARROW_ASSIGN_OR_RAISE(const auto backend, fields.Text(name));
  if (backend && (*backend == kDuckDb || *backend == kDelta)) return *backend;
  return Error(ErrorCode::kInvalidArgument, "field \"", name,
               "\" takes duckdb or delta");
}

arrow::Result<Plan> PlanOf(const std::string& table, const RequestFields& fields) {
  ARROW_RETURN_NOT_OK(fields.CheckKnown({"from", "to", "delta_options"}));
  Plan plan;
  ARROW_ASSIGN_OR_RAISE(plan.name, schema::ParseRoutedTable(table));
  ARROW_ASSIGN_OR_RAISE(plan.from, BackendField(fields, "from"));
  ARROW_ASSIGN_OR_RAISE(plan.to, BackendField(fields, "to"));
  if (plan.from == plan.to) {
    return Error(ErrorCode::kInvalidArgument,
                 "fields \"from\" and \"to\" name the same storage: ", plan.to);
  }
  ARROW_ASSIGN_OR_RAISE(plan.delta_options, fields.Settings("delta_options"));
  if (plan.to != kDelta && !plan.delta_options.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "field \"delta_options\" is for migrations to delta");
  }
  return plan;
}

std::string TableSql(const Plan& plan, const std::string& backend) {
  if (backend == kDuckDb) return plan.name.Quoted();
  std::string sql = "delta." + plan.name.Quoted();
  if (backend == plan.from && plan.source_version) {
    sql += " AT (VERSION => " + std::to_string(*plan.source_version) + ")";
  }
  return sql;
}

/// One migration on its way.
class Run {
 public:
  Run(const MigrationOptions& options, const std::atomic<bool>& cancelled, Plan plan)
      : options_(options),
        cancelled_(cancelled),
        plan_(std::move(plan)),
        id_(NewRandomId()) {}

  arrow::Result<Json> Go() {
    if (plan_.from == kDelta) {
      ARROW_ASSIGN_OR_RAISE(const TableHandle handle,
                            options_.delta_tables->Open(plan_.name));
      plan_.source_version = handle.table->snapshot()->version();
    }
    ARROW_RETURN_NOT_OK(CheckUpload(*options_.ingest, NewUpload()));
    ARROW_RETURN_NOT_OK(MakeTarget());
    ARROW_RETURN_NOT_OK(ReadTargetTypes());
    ARROW_ASSIGN_OR_RAISE(const Checksum present, TargetChecksum());
    ARROW_RETURN_NOT_OK(Copy(present));
    ARROW_ASSIGN_OR_RAISE(const Checksum copied, TargetChecksum());
    if (copied != source_) {
      return Error(ErrorCode::kCommitConflict,
                   "the copy differs from the source, as when somebody else writes to the "
                   "target; rows in the source: ",
                   source_.rows, ", in the target: ", copied.rows);
    }
    return Json{{"table", plan_.name.ToString()},
                {"from", plan_.from},
                {"to", plan_.to},
                {"rows", source_.rows},
                {"rows_already_there", present.rows},
                {"chunks", chunks_},
                {"checksum", DecimalText(source_.hashes)},
                {"version", version_.empty() ? Json(nullptr) : Json(version_)}};
  }

 private:
  ingest::Request NewUpload() const {
    ingest::Request request;
    request.stream = plan_.name.ToString();
    request.protocol = "migrate";
    request.request_id = id_;
    for (const auto& [name, value] : plan_.delta_options) {
      request.overrides["delta_options." + name] = value;
    }
    // What the target cannot take exactly must not be bent to fit.
    request.overrides["storage_backend"] = plan_.to;
    request.overrides["target_table"] = plan_.name.ToString();
    request.overrides["schema_mode"] = "strict";
    request.overrides["mode"] = "append";
    request.overrides["on_mismatch"] = "reject";
    request.overrides["delta_options.schema_mode"] = "strict";
    request.overrides["delta_options.mode"] = "append";
    request.overrides["delta_options.commit_interval_ms"] = "0";
    return request;
  }

  /// The table with its columns and no rows, unless it is there.
  arrow::Status MakeTarget() {
    query::Request target;
    target.source = "SELECT * FROM " + TableSql(plan_, plan_.to);
    const auto described = options_.query->Describe(target);
    if (described.ok()) return {};
    if (CodeOf(described.status()) != ErrorCode::kTableNotFound) return described.status();
    query::Request source;
    source.source = "SELECT * FROM " + TableSql(plan_, plan_.from);
    ARROW_ASSIGN_OR_RAISE(const auto schema, options_.query->Describe(source));
    return Upload(*options_.ingest, NewUpload(), schema, {}).status();
  }

  arrow::Status ReadTargetTypes() {
    ARROW_ASSIGN_OR_RAISE(
        const auto lines,
        ReadRows(*options_.query, "SELECT column_name, column_type FROM (DESCRIBE SELECT "
                                  "* FROM " +
                                      TableSql(plan_, plan_.to) + ")"));
    hash_sql_ = "hash(";
    ARROW_ASSIGN_OR_RAISE(const auto flat, lines->CombineChunksToBatch());
    for (int64_t i = 0; i < flat->num_rows(); ++i) {
      const auto& names = static_cast<const arrow::StringArray&>(*flat->column(0));
      const auto& types = static_cast<const arrow::StringArray&>(*flat->column(1));
      if (i > 0) hash_sql_ += ", ";
      hash_sql_ += "CAST(" + schema::QuoteIdentifier(names.GetString(i)) + " AS " +
                   types.GetString(i) + ")";
    }
    hash_sql_ += ")";
    return {};
  }

  arrow::Result<Checksum> TargetChecksum() {
    ARROW_ASSIGN_OR_RAISE(
        const auto rows,
        RowStream::Start(*options_.query, "SELECT " + hash_sql_ + " AS " + kHashColumn +
                                              " FROM " + TableSql(plan_, plan_.to)));
    Checksum sum;
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(const auto batch, rows->Next());
      if (!batch) return sum;
      ARROW_RETURN_NOT_OK(CheckGoingOn());
      ARROW_RETURN_NOT_OK(AddTo(*batch, &sum));
    }
  }

  static arrow::Status AddTo(const arrow::RecordBatch& batch, Checksum* sum) {
    const auto& column = *batch.column(batch.num_columns() - 1);
    if (column.type_id() != arrow::Type::UINT64) {
      return Error(ErrorCode::kInternal, "row hashes have the type: ",
                   column.type()->ToString());
    }
    const auto& hashes = static_cast<const arrow::UInt64Array&>(column);
    for (int64_t i = 0; i < hashes.length(); ++i) sum->hashes += hashes.Value(i);
    sum->rows += batch.num_rows();
    return {};
  }

  arrow::Status CheckGoingOn() const {
    if (!cancelled_) return {};
    return Error(ErrorCode::kDraining,
                 "the server is shutting down; run the migration again to go on");
  }

  /// Rows behind those that are there; theirs must be the same.
  arrow::Status Copy(const Checksum& present) {
    ARROW_ASSIGN_OR_RAISE(
        const auto rows,
        RowStream::Start(*options_.query, "SELECT *, " + hash_sql_ + " AS " + kHashColumn +
                                              " FROM " + TableSql(plan_, plan_.from)));
    ARROW_ASSIGN_OR_RAISE(
        schema_, rows->schema()->RemoveField(rows->schema()->num_fields() - 1));
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(auto batch, rows->Next());
      if (!batch) break;
      if (source_.rows < present.rows) {
        const int64_t known = std::min(batch->num_rows(), present.rows - source_.rows);
        ARROW_RETURN_NOT_OK(AddTo(*batch->Slice(0, known), &source_));
        if (source_.rows == present.rows) ARROW_RETURN_NOT_OK(CheckPresent(present));
        batch = batch->Slice(known);
      }
      if (batch->num_rows() == 0) continue;
      ARROW_RETURN_NOT_OK(AddTo(*batch, &source_));
      ARROW_RETURN_NOT_OK(Take(*batch));
    }
    if (source_.rows < present.rows) return CheckPresent(present);
    return SendChunk();
  }

  arrow::Status CheckPresent(const Checksum& present) const {
    if (source_ == present) return {};
    return Error(ErrorCode::kAlreadyExists,
                 "the target holds rows that are not the first ones of the source; drop it, "
                 "or migrate under another name; rows in it: ",
                 present.rows);
  }

  arrow::Status Take(const arrow::RecordBatch& batch) {
    ARROW_ASSIGN_OR_RAISE(auto rows, batch.RemoveColumn(batch.num_columns() - 1));
    waiting_rows_ += rows->num_rows();
    for (const auto& column : rows->column_data()) {
      for (const auto& buffer : column->buffers) {
        if (buffer) waiting_bytes_ += buffer->size();
      }
    }
    waiting_.push_back(std::move(rows));
    const bool full =
        waiting_rows_ >= options_.chunk_rows || waiting_bytes_ >= options_.chunk_bytes;
    return full ? SendChunk() : arrow::Status::OK();
  }

  /// One transaction; its key makes another attempt harmless.
  arrow::Status SendChunk() {
    if (waiting_.empty()) return {};
    ARROW_RETURN_NOT_OK(CheckGoingOn());
    arrow::Status status;
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      ingest::Request request = NewUpload();
      request.idempotency_key = "migrate/" + id_ + "/" + std::to_string(chunks_);
      const auto receipt = Upload(*options_.ingest, std::move(request), schema_, waiting_);
      status = receipt.status();
      if (status.ok()) {
        version_ = receipt->version;
        break;
      }
      if (!InfoOf(CodeOf(status)).retriable || cancelled_) break;
    }
    ARROW_RETURN_NOT_OK(WithContext(
        "migrated so far: " + std::to_string(source_.rows - waiting_rows_) +
            " rows; run the migration again to go on",
        status));
    ++chunks_;
    waiting_.clear();
    waiting_rows_ = waiting_bytes_ = 0;
    return FaultPoint("migrate.chunk.after");
  }

  const MigrationOptions& options_;
  const std::atomic<bool>& cancelled_;
  Plan plan_;
  const std::string id_;  ///< of this run, in its keys
  std::shared_ptr<arrow::Schema> schema_;
  std::string hash_sql_;
  Checksum source_;  ///< of the rows read
  std::vector<std::shared_ptr<arrow::RecordBatch>> waiting_;
  int64_t waiting_rows_ = 0, waiting_bytes_ = 0;
  int64_t chunks_ = 0;
  std::string version_;
};

}  // namespace

arrow::Result<Json> Migration::Migrate(const std::string& table,
                                       const RequestFields& fields) {
  ARROW_ASSIGN_OR_RAISE(Plan plan, PlanOf(table, fields));
  return Run(options_, cancelled_, std::move(plan)).Go();
}

}  // namespace arrowport::maintain
