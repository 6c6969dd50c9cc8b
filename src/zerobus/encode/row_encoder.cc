#include "zerobus/encode/row_encoder.h"

#include <arrow/buffer_builder.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/json_rows.h"
#include "zerobus/encode/json_text.h"
#include "zerobus/encode/plan.h"
#include "zerobus/encode/protobuf_cells.h"
#include "zerobus/encode/wire_format.h"

namespace arrowport::zerobus::encode {
namespace {

using internal::RecordPlan;

/// Rows of a block: few enough that what a block touches stays in the cache, many enough
/// that the cost of starting a column is not felt.
constexpr int64_t kBlockRowsMax = 1024;
constexpr int64_t kBlockRowsMin = 32;
constexpr int64_t kBlockCells = 32 * 1024;
/// JSON rows that tell how long the others may be.
constexpr int64_t kFirstRows = 64;
constexpr int32_t kFailedSize = -1;

using Arrays = std::vector<std::shared_ptr<arrow::ArrayData>>;

/// One call: the batch, and what became of its rows.
struct Call {
  Call(const RecordPlan& plan, const Arrays& arrays, int64_t row_count)
      : plan(plan),
        arrays(arrays),
        row_count(row_count),
        header(plan.options.entry_field_number) {}

  const RecordPlan& plan;
  const Arrays& arrays;
  const int64_t row_count;
  const internal::EntryHeader header;
  std::shared_ptr<arrow::Buffer> bytes;
  std::vector<int32_t> sizes;  ///< kFailedSize for a failed row
  std::vector<FailedRow> failed_rows;
};

arrow::Status RowTooLarge(int64_t bytes, int64_t bytes_max) {
  return Error(ErrorCode::kTooLarge, "row is larger than the limit: ", bytes, " of ",
               bytes_max);
}

arrow::Status BatchTooLarge(int64_t bytes_max) {
  return Error(ErrorCode::kTooLarge,
               "encoded batch is larger than the limit; send fewer rows at a time: ",
               bytes_max);
}

arrow::Status OutOfMemory() {
  return Error(ErrorCode::kOutOfMemory, "no memory to encode a batch");
}

/// Encodes the rows as protobuf, block after block.
class ProtobufRows {
 public:
  explicit ProtobufRows(Call* call) : call_(*call) {}

  arrow::Status Run() {
    const auto& plans = call_.plan.fields;
    for (const internal::FieldPlan& plan : plans) {
      ARROW_ASSIGN_OR_RAISE(
          auto cells,
          internal::FieldCells::Make(
              plan, call_.arrays[static_cast<size_t>(plan.child_index)]));
      fields_.push_back(std::move(cells));
    }
    const int64_t full =
        std::clamp(kBlockCells / std::max<int64_t>(1, std::ssize(plans)), kBlockRowsMin,
                   kBlockRowsMax);
    call_.sizes.reserve(static_cast<size_t>(call_.row_count));
    int64_t block_rows = full;
    for (int64_t row = 0; row < call_.row_count;) {
      int64_t count = std::min(block_rows, call_.row_count - row);
      ARROW_ASSIGN_OR_RAISE(bool done, EncodeBlock(row, count));
      if (!done) {
        block_rows = std::max<int64_t>(1, count / 4);
        continue;
      }
      row += count;
      block_rows = std::min(full, block_rows * 2);
    }
    ARROW_ASSIGN_OR_RAISE(call_.bytes, out_.Finish());
    return arrow::Status::OK();
  }

 private:
  /// False when the block must be tried again with fewer rows.
  arrow::Result<bool> EncodeBlock(int64_t first_row, int64_t row_count) {
    const size_t sizes_before = call_.sizes.size();
    call_.sizes.resize(sizes_before + static_cast<size_t>(row_count), 0);
    internal::Selection rows{.count = row_count, .first = first_row};
    while (true) {
      SizeRows(rows);
      if (failures_.wants_fewer_rows()) {
        call_.sizes.resize(sizes_before);
        DropFailuresFrom(first_row);
        return false;
      }
      if (!failures_.any()) FindLargeRows(rows);
      if (!failures_.any()) break;
      rows = Survivors(rows);
    }
    // Failed rows keep their mark; the others take the sizes in their order.
    std::fill(call_.sizes.begin() + static_cast<ptrdiff_t>(sizes_before),
              call_.sizes.end(), kFailedSize);
    int64_t total = 0;
    for (int64_t k = 0; k < rows.count; ++k) {
      int64_t row = rows.IndexAt(k) - first_row;
      const int64_t size = sizes_[static_cast<size_t>(k)];
      call_.sizes[sizes_before + static_cast<size_t>(row)] = static_cast<int32_t>(size);
      total += call_.header.Size(size) + size;
    }
    if (out_.length() + total > call_.plan.options.batch_bytes_max) {
      return BatchTooLarge(call_.plan.options.batch_bytes_max);
    }
    ARROW_RETURN_NOT_OK(WriteRows(rows, total));
    return true;
  }

  void SizeRows(const internal::Selection& rows) {
    failures_.Reset(rows.count);
    sizes_.assign(static_cast<size_t>(rows.count), 0);
    frame_ = {.count = rows.count,
              .size = sizes_.data(),
              .failures = &failures_,
              .row_count = rows.count,
              .elements_max = call_.plan.options.row_bytes_max};
    for (internal::FieldCells& field : fields_) field.Size(rows, &frame_);
  }

  void FindLargeRows(const internal::Selection& rows) {
    const int64_t bytes_max = call_.plan.options.row_bytes_max;
    for (int64_t k = 0; k < rows.count; ++k) {
      int64_t size = sizes_[static_cast<size_t>(k)];
      if (size > bytes_max) [[unlikely]] {
        failures_.Add(k, RowTooLarge(size, bytes_max));
      }
    }
  }

  /// Records the failures and returns the rows without them.
  internal::Selection Survivors(const internal::Selection& rows) {
    for (auto& [slot, status] : failures_.failures()) {
      call_.failed_rows.push_back({rows.IndexAt(slot), std::move(status)});
    }
    internal::SelectionList next;
    next.Reserve(rows.count);
    for (int64_t k = 0; k < rows.count; ++k) {
      if (!failures_.Has(k)) next.Add(rows.IndexAt(k), next.size());
    }
    std::swap(survivors_, next);
    return survivors_.View();
  }

  /// A block that is tried again finds its failures again.
  void DropFailuresFrom(int64_t first_row) {
    std::erase_if(call_.failed_rows,
                  [=](const FailedRow& failed) { return failed.row >= first_row; });
  }

  arrow::Status WriteRows(const internal::Selection& rows, int64_t total) {
    if (out_.capacity() - out_.length() < total) {
      // A guess from the rows so far, so that the buffer seldom moves.
      int64_t done = std::max<int64_t>(1, rows.IndexAt(rows.count - 1) + 1);
      double per_row = static_cast<double>(out_.length() + total) / static_cast<double>(done);
      auto guess = static_cast<int64_t>(
          std::min(per_row * static_cast<double>(call_.row_count - done) * 1.02,
                   static_cast<double>(call_.plan.options.batch_bytes_max)));
      ARROW_RETURN_NOT_OK(out_.Reserve(total + guess));
    }
    cursors_.resize(static_cast<size_t>(rows.count));
    uint8_t* at = out_.mutable_data() + out_.length();
    for (size_t k = 0; k < cursors_.size(); ++k) {
      cursors_[k] = call_.header.Put(at, sizes_[k]);
      at = cursors_[k] + sizes_[k];
    }
    frame_.cursor = cursors_.data();
    for (internal::FieldCells& field : fields_) field.Write(&frame_);
    ARROWPORT_CHECK(cursors_.empty() || cursors_.back() == at);
    out_.UnsafeAdvance(total);
    return arrow::Status::OK();
  }

  Call& call_;
  std::vector<internal::FieldCells> fields_;
  arrow::BufferBuilder out_;
  internal::BlockFailures failures_;
  internal::Frame frame_;
  std::vector<int64_t> sizes_;
  std::vector<uint8_t*> cursors_;
  internal::SelectionList survivors_;
};

/// Puts the header before the row at `begin`, which left room for one of `room` bytes.
/// Returns the bytes of the row.
int64_t PutHeader(const internal::EntryHeader& header, size_t begin, size_t room,
                  internal::JsonText* text) {
  const size_t size = text->size() - begin - room;
  const auto needed = static_cast<size_t>(header.Size(static_cast<int64_t>(size)));
  if (needed != room) [[unlikely]] {
    text->Reserve(needed);
    char* at = text->MutableAt(begin);
    std::memmove(at + needed, at + room, size);
    text->SetEnd(at + needed + size);
  }
  header.Put(reinterpret_cast<uint8_t*>(text->MutableAt(begin)), static_cast<int64_t>(size));
  return static_cast<int64_t>(size);
}

arrow::Status EncodeJson(Call* call) {
  ARROW_ASSIGN_OR_RAISE(internal::JsonMembers members,
                        internal::JsonMembers::Make(call->plan.fields, call->arrays));
  const EncodeOptions& options = call->plan.options;
  const auto batch_bytes_max = static_cast<size_t>(options.batch_bytes_max);
  internal::JsonText text(static_cast<size_t>(options.row_bytes_max));
  call->sizes.reserve(static_cast<size_t>(call->row_count));
  int64_t last_size = 0;  // the next row will have as many digits in its length
  for (int64_t row = 0; row < call->row_count; ++row) {
    if (row == kFirstRows) {
      // A guess from the rows so far, so that the buffer seldom moves.
      const double per_row = static_cast<double>(text.size()) / kFirstRows;
      text.Reserve(static_cast<size_t>(
          std::min(per_row * static_cast<double>(call->row_count - row) * 1.05,
                   static_cast<double>(batch_bytes_max))));
    }
    const size_t begin = text.size();
    const auto header_size = static_cast<size_t>(call->header.Size(last_size));
    text.SetEnd(text.Reserve(header_size) + header_size);
    text.BeginCount();
    arrow::Status status = members.Append(row, &text);
    if (!status.ok()) [[unlikely]] {
      text.Truncate(begin);
      call->failed_rows.push_back({row, std::move(status)});
      call->sizes.push_back(kFailedSize);
      continue;
    }
    last_size = PutHeader(call->header, begin, header_size, &text);
    if (text.size() > batch_bytes_max) return BatchTooLarge(options.batch_bytes_max);
    call->sizes.push_back(static_cast<int32_t>(last_size));
  }
  call->bytes = text.Finish();
  return arrow::Status::OK();
}

EncodedRows RowsOf(Call call) {
  // A row of no bytes still has a place.
  static constexpr char kNowhere = 0;
  EncodedRows encoded;
  encoded.rows.reserve(call.sizes.size());
  const char* at = call.bytes->size() > 0
                       ? reinterpret_cast<const char*>(call.bytes->data())
                       : &kNowhere;
  for (int32_t size : call.sizes) {
    if (size == kFailedSize) {
      encoded.rows.emplace_back();
      continue;
    }
    at += call.header.Size(size);
    encoded.rows.emplace_back(at, static_cast<size_t>(size));
    at += size;
    encoded.bytes += size;
  }
  std::sort(call.failed_rows.begin(), call.failed_rows.end(),
            [](const auto& a, const auto& b) { return a.row < b.row; });
  encoded.failed_rows = std::move(call.failed_rows);
  encoded.buffer = std::move(call.bytes);
  return encoded;
}

arrow::Status CheckBatch(const arrow::RecordBatch& batch, const arrow::Schema& schema) {
  bool same = batch.num_columns() == schema.num_fields();
  for (int i = 0; same && i < schema.num_fields(); ++i) {
    const arrow::Field& field = *batch.schema()->field(i);
    same = field.name() == schema.field(i)->name() &&
           field.type()->Equals(*schema.field(i)->type());
  }
  if (!same) {
    return Error(ErrorCode::kSchemaMismatch,
                 "batch has not the schema the encoder was made for");
  }
  if (arrow::Status valid = batch.Validate(); !valid.ok()) {
    return WithCode(ErrorCode::kBadData, WithContext("batch is not valid", valid));
  }
  return arrow::Status::OK();
}

arrow::Status CheckOptions(const EncodeOptions& options) {
  if (options.row_bytes_max < 1 ||
      options.row_bytes_max > std::numeric_limits<int32_t>::max()) {
    return Error(ErrorCode::kInvalidArgument, "row_bytes_max must be 1..2147483647: ",
                 options.row_bytes_max);
  }
  if (options.batch_bytes_max < options.row_bytes_max) {
    return Error(ErrorCode::kInvalidArgument,
                 "batch_bytes_max must not be below row_bytes_max: ",
                 options.batch_bytes_max);
  }
  if (options.entry_field_number < 0 || options.entry_field_number > 15) {
    return Error(ErrorCode::kInvalidArgument, "entry_field_number must be 0..15: ",
                 options.entry_field_number);
  }
  return arrow::Status::OK();
}

}  // namespace

RowEncoder::RowEncoder(std::unique_ptr<const RecordPlan> plan) : plan_(std::move(plan)) {}
RowEncoder::~RowEncoder() = default;

arrow::Result<std::shared_ptr<const RowEncoder>> RowEncoder::MakeProtobuf(
    const arrow::Schema& schema, const google::protobuf::DescriptorProto& proto,
    const TableSchema* table, const EncodeOptions& options) {
  ARROW_RETURN_NOT_OK(CheckOptions(options));
  ARROW_ASSIGN_OR_RAISE(auto compiled, CompiledDescriptor::Make(proto));
  ARROW_ASSIGN_OR_RAISE(
      auto plan, internal::CompilePlan(internal::RowFormat::kProtobuf, schema,
                                       &compiled->message(), table, options));
  return std::shared_ptr<const RowEncoder>(new RowEncoder(std::move(plan)));
}

arrow::Result<std::shared_ptr<const RowEncoder>> RowEncoder::MakeJson(
    const arrow::Schema& schema, const TableSchema& table, const EncodeOptions& options) {
  ARROW_RETURN_NOT_OK(CheckOptions(options));
  ARROW_ASSIGN_OR_RAISE(auto plan,
                        internal::CompilePlan(internal::RowFormat::kJson, schema, nullptr,
                                              &table, options));
  return std::shared_ptr<const RowEncoder>(new RowEncoder(std::move(plan)));
}

arrow::Result<EncodedRows> RowEncoder::Encode(const arrow::RecordBatch& batch) const {
  ARROW_RETURN_NOT_OK(CheckBatch(batch, *plan_->schema));
  try {
    Arrays arrays;
    for (int i = 0; i < batch.num_columns(); ++i) arrays.push_back(batch.column_data(i));
    Call call(*plan_, arrays, batch.num_rows());
    ARROW_RETURN_NOT_OK(plan_->format == internal::RowFormat::kJson
                            ? EncodeJson(&call)
                            : ProtobufRows(&call).Run());
    return RowsOf(std::move(call));
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

}  // namespace arrowport::zerobus::encode
