#include "zerobus/encode/cell_values.h"

namespace arrowport::zerobus::encode::internal {

ListReader::ListReader(const FieldPlan& plan, const arrow::ArrayData& array)
    : array_offset_(array.offset), child_length_(array.child_data[0]->length) {
  static const int64_t kNoOffsets[2] = {0, 0};
  const auto id = plan.value_type->id();
  const bool large =
      id == arrow::Type::LARGE_LIST || id == arrow::Type::LARGE_LIST_VIEW;
  const int64_t offset_bytes = large ? 8 : 4;
  switch (id) {
    case arrow::Type::FIXED_SIZE_LIST:
      layout_ = Layout::kFixed;
      width_ = static_cast<const arrow::FixedSizeListType&>(*plan.value_type).list_size();
      return;
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW:
      layout_ = large ? Layout::kViews64 : Layout::kViews32;
      sizes_ = array.buffers[2]
                   ? array.buffers[2]->data() + array.offset * offset_bytes
                   : reinterpret_cast<const uint8_t*>(kNoOffsets);
      break;
    default:
      layout_ = large ? Layout::kOffsets64 : Layout::kOffsets32;
      break;
  }
  offsets_ = array.buffers[1] && array.buffers[1]->size() > 0
                 ? FixedValues(array, offset_bytes)
                 : reinterpret_cast<const uint8_t*>(kNoOffsets);
}

bool ListReader::Read(int64_t i, ListRange* range) const {
  switch (layout_) {
    case Layout::kOffsets32:
      range->first = LoadAt<int32_t>(offsets_, i);
      range->count = LoadAt<int32_t>(offsets_, i + 1) - range->first;
      break;
    case Layout::kOffsets64:
      range->first = LoadAt<int64_t>(offsets_, i);
      if (__builtin_sub_overflow(LoadAt<int64_t>(offsets_, i + 1), range->first,
                                 &range->count)) {
        return false;
      }
      break;
    case Layout::kFixed:
      range->first = (array_offset_ + i) * width_;
      range->count = width_;
      break;
    case Layout::kViews32:
      range->first = LoadAt<int32_t>(offsets_, i);
      range->count = LoadAt<int32_t>(sizes_, i);
      break;
    case Layout::kViews64:
      range->first = LoadAt<int64_t>(offsets_, i);
      range->count = LoadAt<int64_t>(sizes_, i);
      break;
  }
  return range->first >= 0 && range->count >= 0 && range->first <= child_length_ &&
         range->count <= child_length_ - range->first;
}

}  // namespace arrowport::zerobus::encode::internal
