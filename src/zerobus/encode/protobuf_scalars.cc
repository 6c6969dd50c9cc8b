// Fields of one value: integers, floating point numbers, text and bytes.
#include <arrow/util/utf8.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "zerobus/encode/cell_values.h"
#include "zerobus/encode/protobuf_cells.h"
#include "zerobus/encode/wire_format.h"

namespace arrowport::zerobus::encode::internal {
namespace {

class NoCells final : public ValueCells {
 public:
  void Size(const Selection&, Frame*) override {}
  void Write(Frame*) override {}
};

template <typename Reader>
class VarintCells final : public ValueCells {
 public:
  VarintCells(const FieldPlan& plan, Reader reader)
      : plan_(plan), reader_(reader), tag_(plan.field_number, WireType::kVarint) {}

  void Size(const Selection& cells, Frame* frame) override {
    cells_ = cells;
    const Reader reader = reader_;
    const int64_t tag_size = tag_.size();
    int64_t* sizes = frame->size;
    ForEachCell(cells, [&](int64_t element, int64_t slot) {
      int64_t value;
      if (!reader.Read(element, &value)) [[unlikely]] {
        FailCell(*frame, slot, ErrorCode::kSchemaMismatch, "value does not fit the column: ",
             plan_);
        return;
      }
      sizes[slot] += tag_size + VarintSize(static_cast<uint64_t>(value));
    });
  }

  void Write(Frame* frame) override {
    const Reader reader = reader_;
    const Tag tag = tag_;
    uint8_t** cursors = frame->cursor;
    ForEachCell(cells_, [&](int64_t element, int64_t slot) {
      int64_t value = 0;
      reader.Read(element, &value);
      cursors[slot] = PutVarint(tag.Put(cursors[slot]), static_cast<uint64_t>(value));
    });
  }

 private:
  const FieldPlan& plan_;
  Reader reader_;
  Tag tag_;
  Selection cells_;
};

template <typename Reader>
class FloatCells final : public ValueCells {
 public:
  using Value = typename Reader::Value;
  static constexpr WireType kType =
      sizeof(Value) == 4 ? WireType::kFixed32 : WireType::kFixed64;

  FloatCells(const FieldPlan& plan, Reader reader)
      : reader_(reader), tag_(plan.field_number, kType) {}

  void Size(const Selection& cells, Frame* frame) override {
    cells_ = cells;
    const int64_t size = tag_.size() + static_cast<int64_t>(sizeof(Value));
    int64_t* sizes = frame->size;
    ForEachCell(cells, [=](int64_t, int64_t slot) { sizes[slot] += size; });
  }

  void Write(Frame* frame) override {
    const Reader reader = reader_;
    const Tag tag = tag_;
    uint8_t** cursors = frame->cursor;
    ForEachCell(cells_, [&](int64_t element, int64_t slot) {
      Value value = reader.Read(element);
      uint8_t* at = tag.Put(cursors[slot]);
      std::memcpy(at, &value, sizeof(Value));
      cursors[slot] = at + sizeof(Value);
    });
  }

 private:
  Reader reader_;
  Tag tag_;
  Selection cells_;
};

bool IsUtf8(std::string_view text) { return arrow::util::ValidateUTF8(text); }

template <typename Reader>
class BytesCells final : public ValueCells {
 public:
  BytesCells(const FieldPlan& plan, Reader reader)
      : plan_(plan), reader_(reader), tag_(plan.field_number, WireType::kLength) {
    arrow::util::InitializeUTF8();
  }

  void Size(const Selection& cells, Frame* frame) override {
    cells_ = cells;
    const bool validate = plan_.target != TypeId::kBinary && !AllUtf8(cells);
    if (plan_.target == TypeId::kVariant) {
      AddSizes<true>(cells, frame, [](std::string_view text) {
        return IsUtf8(text) && nlohmann::json::accept(text);
      });
    } else if (validate) {
      AddSizes<true>(cells, frame, IsUtf8);
    } else {
      AddSizes<false>(cells, frame, IsUtf8);
    }
  }

  void Write(Frame* frame) override {
    const Reader reader = reader_;
    const Tag tag = tag_;
    uint8_t** cursors = frame->cursor;
    ForEachCell(cells_, [&](int64_t element, int64_t slot) {
      std::string_view value;
      reader.Read(element, &value);
      uint8_t* at = PutVarint(tag.Put(cursors[slot]), value.size());
      CopyShort(at, value.data(), value.size());
      cursors[slot] = at + value.size();
    });
  }

 private:
  template <bool kValidate, typename Good>
  void AddSizes(const Selection& cells, Frame* frame, Good good) {
    const Reader reader = reader_;
    const int64_t tag_size = tag_.size();
    int64_t* sizes = frame->size;
    ForEachCell(cells, [&](int64_t element, int64_t slot) {
      std::string_view value;
      if (!reader.Read(element, &value)) [[unlikely]] {
        FailCell(*frame, slot, ErrorCode::kBadData, "value lies outside its buffer: ", plan_);
        return;
      }
      if (kValidate && !good(value)) [[unlikely]] {
        FailCell(*frame, slot, ErrorCode::kBadData,
             plan_.target == TypeId::kVariant ? "value is not JSON text in UTF-8: "
                                              : "value is not UTF-8: ",
             plan_);
        return;
      }
      sizes[slot] +=
          tag_size + VarintSize(value.size()) + static_cast<int64_t>(value.size());
    });
  }

  /// Whether one look at the bytes of all cells shows that each is UTF-8: together they
  /// are, and none starts inside a character.
  bool AllUtf8(const Selection& cells) const {
    if constexpr (Reader::kContiguous) {
      if (!cells.dense() || cells.count == 0) return false;
      const int64_t begin = reader_.OffsetAt(cells.first);
      const int64_t end = reader_.OffsetAt(cells.first + cells.count);
      if (begin < 0 || end < begin || end > reader_.data_bytes) return false;
      if (!arrow::util::ValidateUTF8(reader_.data + begin, end - begin)) return false;
      for (int64_t i = cells.first; i < cells.first + cells.count; ++i) {
        int64_t start = reader_.OffsetAt(i);
        // Offsets that leave the range are reported cell by cell.
        if (start < begin || start > end) return false;
        if (start < end && (reader_.data[start] & 0xc0) == 0x80) return false;
      }
      return true;
    } else {
      return false;
    }
  }

  const FieldPlan& plan_;
  Reader reader_;
  Tag tag_;
  Selection cells_;
};

class DecimalCells final : public ValueCells {
 public:
  DecimalCells(const FieldPlan& plan, DecimalReader reader)
      : plan_(plan), reader_(reader), tag_(plan.field_number, WireType::kLength) {}

  void Size(const Selection& cells, Frame* frame) override {
    cells_ = cells;
    text_.clear();
    ends_.clear();
    ForEachCell(cells, [&](int64_t element, int64_t slot) {
      char text[kDecimalBytesMax];
      const char* end = reader_.Write(element, text);
      if (end == nullptr) [[unlikely]] {
        FailCell(*frame, slot, ErrorCode::kSchemaMismatch,
             "value does not fit the precision and scale of the column: ", plan_);
        end = text;
      }
      auto size = static_cast<size_t>(end - text);
      text_.append(text, size);
      ends_.push_back(text_.size());
      frame->size[slot] += tag_.size() + VarintSize(size) + static_cast<int64_t>(size);
    });
  }

  void Write(Frame* frame) override {
    size_t begin = 0;
    size_t cell = 0;
    ForEachCell(cells_, [&](int64_t, int64_t slot) {
      size_t size = ends_[cell] - begin;
      uint8_t* at = PutVarint(tag_.Put(frame->cursor[slot]), size);
      CopyShort(at, text_.data() + begin, size);
      frame->cursor[slot] = at + size;
      begin = ends_[cell++];
    });
  }

 private:
  const FieldPlan& plan_;
  DecimalReader reader_;
  Tag tag_;
  Selection cells_;
  std::string text_;  ///< the cells' texts, back to back
  std::vector<size_t> ends_;
};

}  // namespace

std::unique_ptr<ValueCells> MakeScalarCells(const FieldPlan& plan,
                                            const arrow::ArrayData& values) {
  using Made = std::unique_ptr<ValueCells>;
  if (plan.is_null_type) return std::make_unique<NoCells>();
  auto floats = [&](auto reader) -> Made {
    return std::make_unique<FloatCells<decltype(reader)>>(plan, reader);
  };
  switch (plan.target) {
    case TypeId::kFloat:
      return WithFloatReader<float>(plan, values, floats);
    case TypeId::kDouble:
      return WithFloatReader<double>(plan, values, floats);
    case TypeId::kString:
    case TypeId::kVariant:
    case TypeId::kBinary:
      return WithBytesReader(plan, values, [&](auto reader) -> Made {
        return std::make_unique<BytesCells<decltype(reader)>>(plan, reader);
      });
    case TypeId::kDecimal:
      return std::make_unique<DecimalCells>(plan, MakeDecimalReader(plan, values));
    case TypeId::kStruct:
    case TypeId::kArray:
    case TypeId::kMap:
      return nullptr;
    default:
      return WithVarintReader(plan, values, [&](auto reader) -> Made {
        return std::make_unique<VarintCells<decltype(reader)>>(plan, reader);
      });
  }
}

}  // namespace arrowport::zerobus::encode::internal
