#include "zerobus/encode/text_columns.h"

#include <arrow/type.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/utf8.h>

#include <utility>

#include "base/error.h"

namespace arrowport::zerobus::encode::internal {
namespace {

using arrow::Type;

// Values one after the other are UTF-8 when all of them together are and none begins in
// the middle of a character.
template <typename Offset>
bool AreGood(const Offset* offsets, int64_t count, const uint8_t* values, int64_t size,
             TextRule rule) {
  if (offsets[0] < 0 || offsets[count] > size) return false;
  bool good = true;
  for (int64_t i = 0; i < count; ++i) good &= offsets[i] <= offsets[i + 1];
  if (!good || rule == TextRule::kBytes) return good;
  const Offset end = offsets[count];
  if (!arrow::util::ValidateUTF8(values + offsets[0], end - offsets[0])) return false;
  for (int64_t i = 0; i < count; ++i) {
    good &= offsets[i] == end || (values[offsets[i]] & 0xC0) != 0x80;
  }
  return good;
}

template <typename Offset>
bool IsGoodColumn(const arrow::ArrayData& array, TextRule rule) {
  const auto& offsets = array.buffers[1];
  const auto offset_bytes = static_cast<int64_t>(sizeof(Offset));
  if (!offsets || offsets->size() < (array.offset + array.length + 1) * offset_bytes) {
    return false;  // an empty column may come without offsets
  }
  static constexpr uint8_t kNoValues = 0;
  const bool has_values = array.buffers[2] && array.buffers[2]->size() > 0;
  return AreGood(offsets->data_as<Offset>() + array.offset, array.length,
                 has_values ? array.buffers[2]->data() : &kNoValues,
                 has_values ? array.buffers[2]->size() : 0, rule);
}

arrow::Result<std::shared_ptr<arrow::ArrayData>> Widen(
    const arrow::ArrayData& array, const std::shared_ptr<arrow::DataType>& flight) {
  arrow::MemoryPool* pool = arrow::default_memory_pool();
  ARROW_ASSIGN_OR_RAISE(
      std::shared_ptr<arrow::Buffer> wide,
      arrow::AllocateBuffer((array.length + 1) * static_cast<int64_t>(sizeof(int64_t)),
                            pool));
  const int32_t* from = array.buffers[1]->data_as<int32_t>() + array.offset;
  auto* into = wide->mutable_data_as<int64_t>();
  for (int64_t i = 0; i <= array.length; ++i) into[i] = from[i];
  std::shared_ptr<arrow::Buffer> validity;
  if (array.GetNullCount() > 0) {
    ARROW_ASSIGN_OR_RAISE(validity,
                          arrow::internal::CopyBitmap(pool, array.buffers[0]->data(),
                                                      array.offset, array.length));
  }
  auto values = array.buffers[2] ? array.buffers[2] : std::make_shared<arrow::Buffer>("");
  return arrow::ArrayData::Make(
      flight, array.length, {std::move(validity), std::move(wide), std::move(values)},
      array.GetNullCount());
}

}  // namespace

arrow::Result<std::shared_ptr<arrow::ArrayData>> ShareText(
    const arrow::ArrayData& array, TextRule rule,
    const std::shared_ptr<arrow::DataType>& flight) {
  switch (array.type->id()) {
    case Type::STRING:
    case Type::BINARY:
      if (!IsGoodColumn<int32_t>(array, rule)) return nullptr;
      return Widen(array, flight);
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY: {
      if (!IsGoodColumn<int64_t>(array, rule)) return nullptr;
      auto shared = array.Copy();
      shared->type = flight;
      if (!shared->buffers[2]) shared->buffers[2] = std::make_shared<arrow::Buffer>("");
      return shared;
    }
    default:
      return nullptr;
  }
}

}  // namespace arrowport::zerobus::encode::internal
