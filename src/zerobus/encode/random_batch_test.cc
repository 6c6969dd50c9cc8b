#include "zerobus/encode/random_batch_test.h"

#include <arrow/api.h>
#include <arrow/util/decimal.h>
#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>
#include <vector>

namespace arrowport::zerobus::encode {
namespace {

using arrow::Type;
using ArrayPtr = std::shared_ptr<arrow::Array>;
using TypePtr = std::shared_ptr<arrow::DataType>;
using ScalarPtr = std::shared_ptr<arrow::Scalar>;

template <typename To, typename From>
const To& As(const From& from) {
  return static_cast<const To&>(from);
}

class Generator {
 public:
  Generator(uint32_t seed, bool null_elements)
      : random_(seed), nulls_below_(null_elements) {}

  int64_t Below(int64_t bound) {
    return std::uniform_int_distribution<int64_t>(0, bound - 1)(random_);
  }
  bool OneIn(int64_t n) { return Below(n) == 0; }

  TypePtr Leaf() {
    using arrow::TimeUnit;
    static const std::vector<TypePtr> leaves = {
        arrow::boolean(), arrow::int8(), arrow::int16(), arrow::int32(), arrow::int64(),
        arrow::uint8(), arrow::uint16(), arrow::uint32(), arrow::uint64(),
        arrow::float16(), arrow::float32(), arrow::float64(), arrow::smallest_decimal(9, 2),
        arrow::decimal32(7, 3), arrow::decimal64(18, 4), arrow::decimal128(38, 10),
        arrow::decimal128(5, -2), arrow::decimal128(3, 3), arrow::decimal256(76, 20),
        arrow::utf8(), arrow::large_utf8(), arrow::utf8_view(), arrow::binary(),
        arrow::large_binary(), arrow::binary_view(), arrow::fixed_size_binary(5),
        arrow::date32(), arrow::date64(), arrow::timestamp(TimeUnit::SECOND),
        arrow::timestamp(TimeUnit::MILLI, "UTC"), arrow::timestamp(TimeUnit::MICRO),
        arrow::timestamp(TimeUnit::NANO, "Europe/Berlin"), arrow::timestamp(TimeUnit::NANO)};
    return leaves[static_cast<size_t>(Below(std::ssize(leaves)))];
  }

  /// `single`: not a list or map (which cannot stand inside a list in protobuf).
  TypePtr AnyType(int depth, bool single) {
    if (depth == 0 || OneIn(2)) return Wrapped(Leaf());
    int64_t kind = Below(single ? 1 : 8);
    if (kind == 0) {
      arrow::FieldVector fields;
      for (int64_t i = Below(4); i >= 0; --i) {
        fields.push_back(arrow::field("m_" + std::to_string(i), AnyType(depth - 1, false)));
      }
      return arrow::struct_(fields);
    }
    TypePtr inner = AnyType(depth - 1, true);
    switch (kind) {
      case 1:
        return arrow::list(inner);
      case 2:
        return arrow::large_list(inner);
      case 3:
        return arrow::fixed_size_list(inner, 2);
      case 4:
        return arrow::list_view(inner);
      case 5:
        return arrow::large_list_view(inner);
      default: {
        static const std::vector<TypePtr> keys = {
            arrow::utf8(), arrow::int32(), arrow::int64(), arrow::boolean(),
            arrow::date32(), arrow::uint64(), arrow::utf8_view()};
        return arrow::map(keys[static_cast<size_t>(Below(std::ssize(keys)))], inner);
      }
    }
  }

  TypePtr Wrapped(TypePtr type) {
    if (OneIn(6)) {
      static const std::vector<TypePtr> indices = {arrow::int8(), arrow::uint16(),
                                                   arrow::int32(), arrow::uint64()};
      return arrow::dictionary(indices[static_cast<size_t>(Below(4))], type);
    }
    if (OneIn(8)) return arrow::run_end_encoded(arrow::int32(), type);
    return type;
  }

  /// Sometimes a slice of something longer.
  ArrayPtr Make(const TypePtr& type, int64_t length, bool nulls) {
    int64_t before = OneIn(2) ? Below(12) : 0;
    int64_t after = OneIn(2) ? Below(5) : 0;
    return Whole(type, before + length + after, nulls)->Slice(before, length);
  }

 private:
  std::shared_ptr<arrow::Buffer> Bitmap(int64_t length, bool nulls) {
    if (!nulls || OneIn(3)) return nullptr;
    arrow::TypedBufferBuilder<bool> bits;
    int64_t rate = 1 + Below(6);
    for (int64_t i = 0; i < length; ++i) EXPECT_TRUE(bits.Append(!OneIn(rate)).ok());
    return bits.Finish().ValueOrDie();
  }

  ArrayPtr Whole(const TypePtr& type, int64_t length, bool nulls) {
    switch (type->id()) {
      case Type::STRUCT: {
        arrow::ArrayVector children;
        for (const auto& field : type->fields()) {
          children.push_back(Make(field->type(), length, field->nullable() && nulls_below_));
        }
        return std::make_shared<arrow::StructArray>(type, length, children,
                                                    Bitmap(length, nulls));
      }
      case Type::DICTIONARY: {
        const auto& dictionary = static_cast<const arrow::DictionaryType&>(*type);
        auto values = Make(dictionary.value_type(), 1 + Below(9), nulls);
        return arrow::DictionaryArray::FromArrays(
                   type, Indices(dictionary.index_type(), length, values->length(), nulls),
                   values).ValueOrDie();
      }
      case Type::RUN_END_ENCODED:
        return RunEnds(static_cast<const arrow::RunEndEncodedType&>(*type), length, nulls);
      case Type::LIST:
      case Type::LARGE_LIST:
      case Type::FIXED_SIZE_LIST:
      case Type::LIST_VIEW:
      case Type::LARGE_LIST_VIEW:
      case Type::MAP:
        return List(type, length, nulls);
      default:
        return Scalars(type, length, nulls);
    }
  }

  ArrayPtr Indices(const TypePtr& type, int64_t length, int64_t bound, bool nulls) {
    auto builder = arrow::MakeBuilder(type).ValueOrDie();
    for (int64_t i = 0; i < length; ++i) {
      auto scalar = nulls && OneIn(7) ? arrow::MakeNullScalar(type)
                                      : arrow::MakeScalar(type, Below(bound)).ValueOrDie();
      EXPECT_TRUE(builder->AppendScalar(*scalar).ok());
    }
    return builder->Finish().ValueOrDie();
  }

  ArrayPtr RunEnds(const arrow::RunEndEncodedType& type, int64_t length, bool nulls) {
    arrow::Int32Builder ends;
    int64_t end = 0;
    while (end < length) {
      end += 1 + Below(5);
      EXPECT_TRUE(ends.Append(static_cast<int32_t>(end)).ok());
    }
    auto values = Make(type.value_type(), ends.length(), nulls);
    return arrow::RunEndEncodedArray::Make(length, ends.Finish().ValueOrDie(), values)
        .ValueOrDie();
  }

  template <typename Offset>
  std::shared_ptr<arrow::Buffer> Raw(const std::vector<int64_t>& values) {
    arrow::TypedBufferBuilder<Offset> out;
    for (int64_t v : values) EXPECT_TRUE(out.Append(static_cast<Offset>(v)).ok());
    return out.Finish().ValueOrDie();
  }

  ArrayPtr List(const TypePtr& type, int64_t length, bool nulls) {
    std::vector<int64_t> offsets = {Below(3)}, sizes;
    for (int64_t i = 0; i < length; ++i) {
      sizes.push_back(Below(4));
      offsets.push_back(offsets.back() + sizes.back());
    }
    int64_t total = offsets.back() + Below(3);
    auto validity = Bitmap(length, nulls);
    bool large = type->id() == Type::LARGE_LIST || type->id() == Type::LARGE_LIST_VIEW;
    std::vector<std::shared_ptr<arrow::Buffer>> buffers = {validity};
    if (type->id() == Type::LIST_VIEW || type->id() == Type::LARGE_LIST_VIEW) {
      offsets.pop_back();
      for (size_t i = 0; i < offsets.size(); ++i) {  // views overlap and run backwards
        if (OneIn(3)) offsets[i] = Below(total - sizes[i] + 1);
      }
      buffers.push_back(large ? Raw<int64_t>(offsets) : Raw<int32_t>(offsets));
      buffers.push_back(large ? Raw<int64_t>(sizes) : Raw<int32_t>(sizes));
    } else if (type->id() == Type::FIXED_SIZE_LIST) {
      total = 2 * length;
    } else {
      buffers.push_back(large ? Raw<int64_t>(offsets) : Raw<int32_t>(offsets));
    }
    ArrayPtr child;
    if (type->id() == Type::MAP) {
      const auto& map = static_cast<const arrow::MapType&>(*type);
      auto keys = Make(map.key_type(), total, false);
      auto items = Make(map.item_type(), total, nulls_below_);
      child = std::make_shared<arrow::StructArray>(map.value_type(), total,
                                                   arrow::ArrayVector{keys, items});
    } else {
      child = Make(type->field(0)->type(), total, nulls_below_);
    }
    return arrow::MakeArray(
        arrow::ArrayData::Make(type, length, buffers, {child->data()}));
  }

  ArrayPtr Scalars(const TypePtr& type, int64_t length, bool nulls) {
    auto builder = arrow::MakeBuilder(type).ValueOrDie();
    int64_t rate = 2 + Below(5);
    bool any = nulls && OneIn(2);
    for (int64_t i = 0; i < length; ++i) {
      auto status = any && OneIn(rate) ? builder->AppendNull()
                                       : builder->AppendScalar(*One(type));
      EXPECT_TRUE(status.ok()) << status;
    }
    return builder->Finish().ValueOrDie();
  }

  int64_t Bits() {
    int64_t bits = static_cast<int64_t>(random_() | (uint64_t{random_()} << 32));
    return OneIn(3) ? bits : bits >> Below(64);
  }

  std::string Text() {
    static const std::vector<std::string> pieces = {"a", "B\"", "\\", "é", "漢字", "🎉",
                                                    "\n", std::string(1, '\0'), "long text ",
                                                    "\x1f"};
    std::string text;
    for (int64_t i = Below(OneIn(4) ? 30 : 4); i > 0; --i) {
      text += pieces[static_cast<size_t>(Below(std::ssize(pieces)))];
    }
    return text;
  }

  std::string Digits(int64_t count) {
    std::string digits = OneIn(2) ? "-" : "";
    for (int64_t i = 1 + Below(count); i > 0; --i) {
      digits += static_cast<char>('0' + Below(10));
    }
    return digits;
  }

  ScalarPtr One(const TypePtr& type) {
    switch (type->id()) {
      case Type::BOOL:
        return std::make_shared<arrow::BooleanScalar>(OneIn(2));
      case Type::HALF_FLOAT:
        return std::make_shared<arrow::HalfFloatScalar>(static_cast<uint16_t>(Bits()));
      case Type::FLOAT:
        return std::make_shared<arrow::FloatScalar>(
            std::bit_cast<float>(static_cast<int32_t>(Bits())));
      case Type::DOUBLE:
        return std::make_shared<arrow::DoubleScalar>(std::bit_cast<double>(Bits()));
      case Type::INT8:
        return std::make_shared<arrow::Int8Scalar>(static_cast<int8_t>(Bits()));
      case Type::INT16:
        return std::make_shared<arrow::Int16Scalar>(static_cast<int16_t>(Bits()));
      case Type::INT32:
        return std::make_shared<arrow::Int32Scalar>(static_cast<int32_t>(Bits()));
      case Type::INT64:
        return std::make_shared<arrow::Int64Scalar>(Bits());
      case Type::UINT8:
        return std::make_shared<arrow::UInt8Scalar>(static_cast<uint8_t>(Bits()));
      case Type::UINT16:
        return std::make_shared<arrow::UInt16Scalar>(static_cast<uint16_t>(Bits()));
      case Type::UINT32:
        return std::make_shared<arrow::UInt32Scalar>(static_cast<uint32_t>(Bits()));
      case Type::UINT64:
        return std::make_shared<arrow::UInt64Scalar>(static_cast<uint64_t>(Bits()));
      case Type::DATE32:
        return std::make_shared<arrow::Date32Scalar>(static_cast<int32_t>(Bits()));
      case Type::DATE64:
        return std::make_shared<arrow::Date64Scalar>(Bits() % 100000000000000);
      case Type::TIMESTAMP: {
        bool coarse = As<arrow::TimestampType>(*type).unit() < arrow::TimeUnit::MICRO;
        return std::make_shared<arrow::TimestampScalar>(
            coarse ? Bits() % 9000000000000 : Bits(), type);
      }
      case Type::DECIMAL32:
      case Type::DECIMAL64:
      case Type::DECIMAL128:
      case Type::DECIMAL256: {
        int32_t precision = As<arrow::DecimalType>(*type).precision();
        auto whole = arrow::Decimal256::FromString(Digits(precision)).ValueOrDie();
        if (type->id() == Type::DECIMAL256) {
          return std::make_shared<arrow::Decimal256Scalar>(whole, type);
        }
        arrow::Decimal128 narrow(
            static_cast<int64_t>(whole.native_endian_array()[1]),
            whole.native_endian_array()[0]);
        if (type->id() == Type::DECIMAL128) {
          return std::make_shared<arrow::Decimal128Scalar>(narrow, type);
        }
        auto low = static_cast<int64_t>(narrow.low_bits());
        if (type->id() == Type::DECIMAL64) {
          return std::make_shared<arrow::Decimal64Scalar>(arrow::Decimal64(low), type);
        }
        return std::make_shared<arrow::Decimal32Scalar>(
            arrow::Decimal32(static_cast<int32_t>(low)), type);
      }
      case Type::FIXED_SIZE_BINARY:
        return std::make_shared<arrow::FixedSizeBinaryScalar>(
            arrow::Buffer::FromString(std::string("\0\xff\x80xy", 5)), type);
      default: {
        auto buffer = arrow::Buffer::FromString(Text());
        return arrow::MakeScalar(type, buffer).ValueOrDie();
      }
    }
  }

  std::mt19937 random_;
  bool nulls_below_;
};

}  // namespace

std::shared_ptr<arrow::RecordBatch> RandomBatch(const RandomBatchOptions& options) {
  Generator generator(options.seed, options.null_elements);
  arrow::FieldVector fields;
  arrow::ArrayVector columns;
  for (int64_t i = 1 + generator.Below(6); i > 0; --i) {
    TypePtr type = generator.AnyType(3, false);
    bool list = arrow::is_list_like(type->id()) || arrow::is_list_view(*type);
    bool nullable = list || !generator.OneIn(4);
    fields.push_back(arrow::field("column_" + std::to_string(i), type, nullable));
    columns.push_back(generator.Make(type, options.row_count, nullable));
  }
  return arrow::RecordBatch::Make(arrow::schema(fields), options.row_count, columns);
}

}  // namespace arrowport::zerobus::encode
