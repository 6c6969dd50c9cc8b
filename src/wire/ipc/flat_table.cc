#include "wire/ipc/flat_table.h"

namespace arrowport::wire::ipc {

std::optional<FlatTable> FlatTable::Root(std::span<const uint8_t> bytes) {
  uint32_t offset;
  if (bytes.size() < sizeof(offset)) return std::nullopt;
  std::memcpy(&offset, bytes.data(), sizeof(offset));
  return At(bytes, offset);
}

std::optional<FlatTable> FlatTable::At(std::span<const uint8_t> bytes, size_t position) {
  FlatTable probe(bytes, position, 0, 0);
  if (position == 0 || !probe.Inside(position, sizeof(int32_t))) return std::nullopt;
  const int64_t vtable = static_cast<int64_t>(position) - probe.Load<int32_t>(position);
  if (vtable < 0 || !probe.Inside(static_cast<size_t>(vtable), 4)) return std::nullopt;
  const auto vtable_bytes = probe.Load<uint16_t>(static_cast<size_t>(vtable));
  if (vtable_bytes < 4 || !probe.Inside(static_cast<size_t>(vtable), vtable_bytes)) {
    return std::nullopt;
  }
  return FlatTable(bytes, position, static_cast<size_t>(vtable), vtable_bytes);
}

size_t FlatTable::Slot(int field, size_t size) const {
  const size_t entry = 4 + 2 * static_cast<size_t>(field);
  if (entry + 2 > vtable_bytes_) return 0;
  const auto offset = Load<uint16_t>(vtable_ + entry);
  if (offset == 0 || !Inside(position_ + offset, size)) return 0;
  return position_ + offset;
}

size_t FlatTable::Target(int field) const {
  const size_t at = Slot(field, sizeof(uint32_t));
  if (at == 0) return 0;
  const size_t target = at + Load<uint32_t>(at);
  return Inside(target, sizeof(uint32_t)) ? target : 0;
}

std::optional<FlatTable> FlatTable::Table(int field) const {
  return At(bytes_, Target(field));
}

std::string_view FlatTable::String(int field) const {
  const size_t size = VectorSize(field, 1);
  if (size == 0) return {};
  return {reinterpret_cast<const char*>(Struct(field, 1, 0)), size};
}

size_t FlatTable::VectorSize(int field, size_t element_bytes) const {
  const size_t target = Target(field);
  if (target == 0) return 0;
  const size_t count = Load<uint32_t>(target);
  return Inside(target + 4, count * element_bytes) ? count : 0;
}

const uint8_t* FlatTable::Struct(int field, size_t element_bytes, size_t index) const {
  return bytes_.data() + Target(field) + 4 + index * element_bytes;
}

std::optional<FlatTable> FlatTable::Element(int field, size_t index) const {
  const size_t at = Target(field) + 4 + index * 4;
  return At(bytes_, at + Load<uint32_t>(at));
}

}  // namespace arrowport::wire::ipc
