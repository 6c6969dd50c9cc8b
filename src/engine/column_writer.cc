#include "engine/column_writer.h"

#include <arrow/array/data.h>
#include <arrow/array/util.h>
#include <arrow/c/bridge.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cstring>
#include <duckdb.hpp>
#include <duckdb/common/arrow/arrow_appender.hpp>
#include <duckdb/common/vector_operations/vector_operations.hpp>
#include <limits>

#include "base/error.h"
#include "engine/batch_builder.h"

namespace arrowport::engine {
namespace {

using duckdb::LogicalTypeId;
using duckdb::PhysicalType;
using duckdb::UnifiedVectorFormat;
using duckdb::Vector;

arrow::Status Grow(std::unique_ptr<arrow::ResizableBuffer>* buffer, int64_t bytes) {
  if (!*buffer) {
    ARROW_ASSIGN_OR_RAISE(*buffer, arrow::AllocateResizableBuffer(bytes));
    return {};
  }
  if ((*buffer)->size() >= bytes) return {};
  return (*buffer)->Resize(bytes, /*shrink_to_fit=*/false);
}

// Copies `count` values of T from DuckDB's slots, which `transform` may change.
template <typename T, typename Out, typename Transform>
void CopyValues(const UnifiedVectorFormat& format, int64_t from, int64_t count, Out* out,
                Transform transform) {
  const T* values = UnifiedVectorFormat::GetDataUnsafe<T>(format);
  const auto& sel = *format.sel;
  if (format.validity.AllValid()) {
    for (int64_t i = 0; i < count; ++i) out[i] = transform(values[sel.get_index(from + i)]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const auto slot = sel.get_index(from + i);
    out[i] = format.validity.RowIsValid(slot) ? transform(values[slot]) : Out{};
  }
}

// Columns whose values are seen through one UnifiedVectorFormat.
class FlatWriter : public ColumnWriter {
 public:
  using ColumnWriter::ColumnWriter;

  arrow::Status Reserve(int64_t rows) override {
    if (rows <= capacity_rows_ && values_) return {};
    capacity_rows_ = std::max(rows, capacity_rows_);
    return Grow(&values_, ValueBytes(capacity_rows_));
  }

  arrow::Status Append(int64_t from, int64_t count) override {
    ARROW_RETURN_NOT_OK(AppendValues(from, count));
    if (format_.validity.AllValid()) {
      validity_.AppendValid(count);
      return {};
    }
    return validity_.AppendNulls(format_, from, count, capacity_rows_);
  }

 protected:
  virtual int64_t ValueBytes(int64_t rows) const = 0;
  virtual arrow::Status AppendValues(int64_t from, int64_t count) = 0;

  void OnVector(Vector& vector, int64_t rows) override {
    vector.ToUnifiedFormat(static_cast<duckdb::idx_t>(rows), format_);
  }

  // Ends the batch: [validity, values], the buffers cut to `value_bytes`.
  arrow::Result<std::shared_ptr<arrow::ArrayData>> FinishData(int64_t value_bytes) {
    ARROW_RETURN_NOT_OK(Grow(&values_, value_bytes));
    ARROW_RETURN_NOT_OK(values_->Resize(value_bytes, /*shrink_to_fit=*/false));
    const int64_t rows = validity_.rows();
    const int64_t nulls = validity_.null_count();
    std::shared_ptr<arrow::Buffer> values = std::move(values_);
    capacity_rows_ = 0;
    return arrow::ArrayData::Make(field_->type(), rows,
                                  {validity_.Finish(), std::move(values)}, nulls);
  }

  UnifiedVectorFormat format_;
  ValidityWriter validity_;
  int64_t capacity_rows_ = 0;
  std::unique_ptr<arrow::ResizableBuffer> values_;
};

// Values that Arrow holds as DuckDB does.
template <typename T>
class FixedWriter final : public FlatWriter {
 public:
  using FlatWriter::FlatWriter;
  int64_t SizeOf(int64_t from, int64_t count) override { return count * sizeof(T); }
  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto data, FinishData(ValueBytes(validity_.rows())));
    return arrow::MakeArray(std::move(data));
  }

 protected:
  int64_t ValueBytes(int64_t rows) const override { return rows * sizeof(T); }
  arrow::Status AppendValues(int64_t from, int64_t count) override {
    T* out = reinterpret_cast<T*>(values_->mutable_data()) + validity_.rows();
    if (!format_.sel->IsSet() && format_.validity.AllValid()) {
      std::memcpy(out, UnifiedVectorFormat::GetDataUnsafe<T>(format_) + from,
                  count * sizeof(T));
      return {};
    }
    CopyValues<T>(format_, from, count, out, [](const T& value) { return value; });
    return {};
  }
};

// Narrow DECIMALs to decimal128.
struct Int128Words {
  uint64_t low = 0;
  int64_t high = 0;
};

template <typename T>
class DecimalWriter final : public FlatWriter {
 public:
  using FlatWriter::FlatWriter;
  int64_t SizeOf(int64_t from, int64_t count) override { return ValueBytes(count); }
  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto data, FinishData(ValueBytes(validity_.rows())));
    return arrow::MakeArray(std::move(data));
  }

 protected:
  int64_t ValueBytes(int64_t rows) const override { return rows * sizeof(Int128Words); }
  arrow::Status AppendValues(int64_t from, int64_t count) override {
    auto* out = reinterpret_cast<Int128Words*>(values_->mutable_data()) + validity_.rows();
    CopyValues<T>(format_, from, count, out, [](T value) {
      const int64_t wide = value;
      return Int128Words{static_cast<uint64_t>(wide), wide < 0 ? -1 : 0};
    });
    return {};
  }
};

class BoolWriter final : public FlatWriter {
 public:
  using FlatWriter::FlatWriter;
  int64_t SizeOf(int64_t from, int64_t count) override { return ValueBytes(count); }
  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    const int64_t rows = validity_.rows();
    ARROW_RETURN_NOT_OK(Grow(&values_, ValueBytes(rows)));
    // The bits behind the last row are not ours.
    for (int64_t i = rows; i < ValueBytes(rows) * 8; ++i) {
      arrow::bit_util::ClearBit(values_->mutable_data(), i);
    }
    ARROW_ASSIGN_OR_RAISE(auto data, FinishData(ValueBytes(rows)));
    return arrow::MakeArray(std::move(data));
  }

 protected:
  int64_t ValueBytes(int64_t rows) const override {
    return arrow::bit_util::BytesForBits(rows);
  }
  arrow::Status AppendValues(int64_t from, int64_t count) override {
    const auto* values = UnifiedVectorFormat::GetDataUnsafe<uint8_t>(format_);
    uint8_t* out = values_->mutable_data();
    for (int64_t i = 0; i < count; ++i) {
      const auto slot = format_.sel->get_index(from + i);
      const bool value = format_.validity.RowIsValid(slot) && values[slot] != 0;
      arrow::bit_util::SetBitTo(out, validity_.rows() + i, value);
    }
    return {};
  }
};

// INTERVAL to month_day_nano, whose nanoseconds hold 292 years at most.
struct MonthDayNano {
  int32_t months = 0;
  int32_t days = 0;
  int64_t nanoseconds = 0;
};

class IntervalWriter final : public FlatWriter {
 public:
  using FlatWriter::FlatWriter;
  int64_t SizeOf(int64_t from, int64_t count) override { return ValueBytes(count); }
  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto data, FinishData(ValueBytes(validity_.rows())));
    return arrow::MakeArray(std::move(data));
  }

 protected:
  int64_t ValueBytes(int64_t rows) const override { return rows * sizeof(MonthDayNano); }
  arrow::Status AppendValues(int64_t from, int64_t count) override {
    auto* out =
        reinterpret_cast<MonthDayNano*>(values_->mutable_data()) + validity_.rows();
    bool fits = true;
    CopyValues<duckdb::interval_t>(
        format_, from, count, out, [&](const duckdb::interval_t& value) {
          MonthDayNano made{value.months, value.days, 0};
          fits &= !__builtin_mul_overflow(value.micros, int64_t{1000}, &made.nanoseconds);
          return made;
        });
    if (fits) return {};
    return Error(ErrorCode::kBadQuery,
                 "an INTERVAL is beyond Arrow's month_day_nano, cast it to VARCHAR: column ",
                 field_->name());
  }
};

// VARCHAR and BLOB to utf8 and binary with 32-bit offsets.
class BytesWriter final : public FlatWriter {
 public:
  using FlatWriter::FlatWriter;

  int64_t SizeOf(int64_t from, int64_t count) override {
    if (from == sized_from_ && count == sized_count_) return sized_bytes_;
    const auto* strings = UnifiedVectorFormat::GetDataUnsafe<duckdb::string_t>(format_);
    int64_t bytes = count * static_cast<int64_t>(sizeof(int32_t));
    if (format_.validity.AllValid() && !format_.sel->IsSet()) {
      for (int64_t i = 0; i < count; ++i) bytes += strings[from + i].GetSize();
    } else {
      for (int64_t i = 0; i < count; ++i) {
        const auto slot = format_.sel->get_index(from + i);
        if (format_.validity.RowIsValid(slot)) bytes += strings[slot].GetSize();
      }
    }
    sized_from_ = from;
    sized_count_ = count;
    return sized_bytes_ = bytes;
  }

  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    const int64_t rows = validity_.rows();
    if (rows == 0) ARROW_RETURN_NOT_OK(Reserve(0));
    Offsets()[rows] = static_cast<int32_t>(data_bytes_);
    ARROW_RETURN_NOT_OK(Grow(&data_, data_bytes_));
    ARROW_RETURN_NOT_OK(data_->Resize(data_bytes_, /*shrink_to_fit=*/false));
    ARROW_ASSIGN_OR_RAISE(auto data, FinishData(ValueBytes(rows)));
    data->buffers.push_back(std::shared_ptr<arrow::Buffer>(std::move(data_)));
    // The next batch is likely to be as large.
    data_hint_ = std::max(data_hint_, data_bytes_);
    data_bytes_ = 0;
    return arrow::MakeArray(std::move(data));
  }

 protected:
  int64_t ValueBytes(int64_t rows) const override {
    return (rows + 1) * static_cast<int64_t>(sizeof(int32_t));
  }

  arrow::Status AppendValues(int64_t from, int64_t count) override {
    // Copies of short strings write 16 bytes whatever their length.
    constexpr int64_t kSlack = 16;
    const int64_t bytes = SizeOf(from, count);
    if (data_bytes_ + bytes > std::numeric_limits<int32_t>::max() - kSlack) {
      return Error(ErrorCode::kTooLarge,
                   "a value is larger than the 2 GiB an Arrow string array holds: column ",
                   field_->name());
    }
    ARROW_RETURN_NOT_OK(ReserveData(data_bytes_ + bytes + kSlack));
    const auto* strings = UnifiedVectorFormat::GetDataUnsafe<duckdb::string_t>(format_);
    int32_t* offsets = Offsets() + validity_.rows();
    uint8_t* const begin = data_->mutable_data();
    uint8_t* end = begin + data_bytes_;
    for (int64_t i = 0; i < count; ++i) {
      const auto slot = format_.sel->get_index(from + i);
      offsets[i] = static_cast<int32_t>(end - begin);
      if (!format_.validity.RowIsValid(slot)) continue;
      const duckdb::string_t& value = strings[slot];
      const uint32_t size = value.GetSize();
      if (size <= duckdb::string_t::INLINE_LENGTH) {
        std::memcpy(end, value.GetPrefix(), duckdb::string_t::INLINE_LENGTH);
      } else {
        std::memcpy(end, value.GetData(), size);
      }
      end += size;
    }
    data_bytes_ = end - begin;
    return {};
  }

 private:
  void OnVector(Vector& vector, int64_t rows) override {
    FlatWriter::OnVector(vector, rows);
    sized_from_ = -1;
  }

  int32_t* Offsets() { return reinterpret_cast<int32_t*>(values_->mutable_data()); }

  arrow::Status ReserveData(int64_t bytes) {
    if (data_ && data_->size() >= bytes) return {};
    const int64_t grown = data_ ? data_->size() * 2 : data_hint_ + 1024;
    return Grow(&data_, std::max(bytes, grown));
  }

  std::unique_ptr<arrow::ResizableBuffer> data_;
  int64_t data_bytes_ = 0;
  int64_t data_hint_ = 0;
  /// The last answer of SizeOf: Append asks for the same range again.
  int64_t sized_from_ = -1;
  int64_t sized_count_ = 0;
  int64_t sized_bytes_ = 0;
};

// Bytes of one value of a nested column in Arrow, about.
int64_t SizeOfValue(const duckdb::RecursiveUnifiedVectorFormat& format, uint64_t row) {
  const auto slot = format.unified.sel->get_index(row);
  if (!format.unified.validity.RowIsValid(slot)) return 1;
  switch (format.logical_type.InternalType()) {
    case PhysicalType::VARCHAR:
      return 4 + UnifiedVectorFormat::GetDataUnsafe<duckdb::string_t>(
                     format.unified)[slot].GetSize();
    case PhysicalType::LIST: {
      const auto entry =
          UnifiedVectorFormat::GetDataUnsafe<duckdb::list_entry_t>(format.unified)[slot];
      int64_t bytes = 4;
      for (uint64_t i = 0; i < entry.length; ++i) {
        bytes += SizeOfValue(format.children[0], entry.offset + i);
      }
      return bytes;
    }
    case PhysicalType::ARRAY: {
      const uint64_t size = duckdb::ArrayType::GetSize(format.logical_type);
      int64_t bytes = 0;
      for (uint64_t i = 0; i < size; ++i) {
        bytes += SizeOfValue(format.children[0], slot * size + i);
      }
      return bytes;
    }
    case PhysicalType::STRUCT: {
      int64_t bytes = 1;
      for (const auto& child : format.children) bytes += SizeOfValue(child, slot);
      return bytes;
    }
    default:
      return static_cast<int64_t>(
          duckdb::GetTypeIdSize(format.logical_type.InternalType()));
  }
}

// Everything else, by DuckDB's own appender.
class AppenderWriter final : public ColumnWriter {
 public:
  AppenderWriter(duckdb::ClientContext& context, const duckdb::LogicalType& type,
                 std::shared_ptr<arrow::Field> field)
      : ColumnWriter(context, type, field),
        schema_(arrow::schema({std::move(field)})),
        properties_(OutputProperties(context)) {}

  int64_t SizeOf(int64_t from, int64_t count) override {
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; ++i) bytes += SizeOfValue(format_, from + i);
    return bytes;
  }

  arrow::Status Reserve(int64_t rows) override {
    if (!appender_) {
      duckdb::vector<duckdb::LogicalType> types{output_type_};
      appender_ = std::make_unique<duckdb::ArrowAppender>(
          types, static_cast<duckdb::idx_t>(rows), properties_, Extensions());
    }
    return {};
  }

  arrow::Status Append(int64_t from, int64_t count) override {
    appender_->Append(chunk_, from, from + count, chunk_.size());
    return {};
  }

  arrow::Result<std::shared_ptr<arrow::Array>> Finish() override {
    ARROW_RETURN_NOT_OK(Reserve(0));
    ArrowArray c_array = appender_->Finalize();
    appender_.reset();
    ARROW_ASSIGN_OR_RAISE(auto batch, arrow::ImportRecordBatch(&c_array, schema_));
    return batch->column(0);
  }

 protected:
  void OnVector(Vector& vector, int64_t rows) override {
    chunk_.Destroy();
    chunk_.InitializeEmpty({output_type_});
    chunk_.data[0].Reference(vector);
    chunk_.SetCardinality(static_cast<duckdb::idx_t>(rows));
    format_ = duckdb::RecursiveUnifiedVectorFormat();
    Vector::RecursiveToUnifiedFormat(vector, static_cast<duckdb::idx_t>(rows), format_);
  }

 private:
  using ExtensionMap =
      duckdb::unordered_map<duckdb::idx_t,
                            const duckdb::shared_ptr<duckdb::ArrowTypeExtensionData>>;
  ExtensionMap Extensions() {
    ExtensionMap extensions;
    context_.RunFunctionInTransaction([&] {
      extensions =
          duckdb::ArrowTypeExtensionData::GetExtensionTypes(context_, {output_type_});
    });
    return extensions;
  }

  const std::shared_ptr<arrow::Schema> schema_;
  const duckdb::ClientProperties properties_;
  std::unique_ptr<duckdb::ArrowAppender> appender_;
  duckdb::DataChunk chunk_;
  duckdb::RecursiveUnifiedVectorFormat format_;
};

template <template <typename> typename Writer, typename... Args>
std::unique_ptr<ColumnWriter> MakeOfWidth(int bits, Args&&... args) {
  switch (bits) {
    case 8:
      return std::make_unique<Writer<int8_t>>(std::forward<Args>(args)...);
    case 16:
      return std::make_unique<Writer<int16_t>>(std::forward<Args>(args)...);
    case 32:
      return std::make_unique<Writer<int32_t>>(std::forward<Args>(args)...);
    default:
      return std::make_unique<Writer<int64_t>>(std::forward<Args>(args)...);
  }
}

}  // namespace

arrow::Status ValidityWriter::AppendNulls(const UnifiedVectorFormat& format, int64_t from,
                                          int64_t count, int64_t capacity_rows) {
  capacity_rows_ = std::max({capacity_rows_, capacity_rows, rows_ + count});
  const int64_t bytes = arrow::bit_util::BytesForBits(capacity_rows_);
  const int64_t had = bitmap_ ? bitmap_->size() : 0;
  if (had < bytes) {
    ARROW_RETURN_NOT_OK(Grow(&bitmap_, bytes));
    std::memset(bitmap_->mutable_data() + had, 0xff, bytes - had);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (format.validity.RowIsValid(format.sel->get_index(from + i))) continue;
    arrow::bit_util::ClearBit(bitmap_->mutable_data(), rows_ + i);
    ++null_count_;
  }
  rows_ += count;
  return {};
}

std::shared_ptr<arrow::Buffer> ValidityWriter::Finish() {
  std::shared_ptr<arrow::Buffer> out;
  if (null_count_ > 0) {
    out = arrow::SliceBuffer(std::shared_ptr<arrow::Buffer>(std::move(bitmap_)), 0,
                             arrow::bit_util::BytesForBits(rows_));
  }
  bitmap_.reset();
  rows_ = null_count_ = capacity_rows_ = 0;
  return out;
}

// The cast of VARIANT to JSON writes the text null where the value is missing.
static void KeepNulls(Vector& from, int64_t rows, Vector* to) {
  if (from.GetType().id() != LogicalTypeId::VARIANT) return;
  UnifiedVectorFormat format;
  from.ToUnifiedFormat(static_cast<duckdb::idx_t>(rows), format);
  to->Flatten(static_cast<duckdb::idx_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    if (!format.validity.RowIsValid(format.sel->get_index(row))) {
      duckdb::FlatVector::SetNull(*to, row, true);
    }
  }
}

ColumnWriter::ColumnWriter(duckdb::ClientContext& context, const duckdb::LogicalType& type,
                           std::shared_ptr<arrow::Field> field)
    : context_(context),
      output_type_(OutputType(type)),
      field_(std::move(field)),
      cast_(type != output_type_) {}

void ColumnWriter::SetVector(Vector& vector, int64_t rows) {
  if (!cast_) return OnVector(vector, rows);
  const auto capacity = std::max<duckdb::idx_t>(rows, STANDARD_VECTOR_SIZE);
  casted_ = std::make_unique<Vector>(output_type_, capacity);
  duckdb::VectorOperations::Cast(context_, vector, *casted_,
                                 static_cast<duckdb::idx_t>(rows));
  KeepNulls(vector, rows, casted_.get());
  OnVector(*casted_, rows);
}

std::unique_ptr<ColumnWriter> ColumnWriter::Make(duckdb::ClientContext& context,
                                                 const duckdb::LogicalType& type,
                                                 std::shared_ptr<arrow::Field> field) {
  const duckdb::LogicalType output = OutputType(type);
  const PhysicalType physical = output.InternalType();
  const arrow::DataType& arrow_type = *field->type();
  const int bits = static_cast<int>(duckdb::GetTypeIdSize(physical)) * 8;
  switch (arrow_type.id()) {
    case arrow::Type::BOOL:
      return std::make_unique<BoolWriter>(context, type, std::move(field));
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      if (physical != PhysicalType::VARCHAR) break;
      return std::make_unique<BytesWriter>(context, type, std::move(field));
    case arrow::Type::INTERVAL_MONTH_DAY_NANO:
      return std::make_unique<IntervalWriter>(context, type, std::move(field));
    case arrow::Type::DECIMAL128:
      if (physical == PhysicalType::INT128) {
        return std::make_unique<FixedWriter<duckdb::hugeint_t>>(context, type,
                                                                std::move(field));
      }
      return MakeOfWidth<DecimalWriter>(bits, context, type, std::move(field));
    default:
      break;
  }
  // TIMETZ packs its offset into the value.
  const bool same_layout = arrow::is_primitive(arrow_type.id()) &&
                           arrow_type.bit_width() == bits &&
                           output.id() != LogicalTypeId::TIME_TZ;
  if (same_layout && bits <= 64) {
    return MakeOfWidth<FixedWriter>(bits, context, type, std::move(field));
  }
  return std::make_unique<AppenderWriter>(context, type, std::move(field));
}

}  // namespace arrowport::engine
