// A bounds-checked look into a flatbuffer, for the few facts that are needed before (or
// without) handing the bytes to Arrow. Format: the FlatBuffers internals document; the
// tables are those of Arrow's Message.fbs, Schema.fbs and File.fbs.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace arrowport::wire::ipc {

/// A table inside `bytes`, which must outlive it. Every access is checked: what is absent
/// or points outside reads as absent, so a caller needs no verifier. Immutable.
class FlatTable {
 public:
  static std::optional<FlatTable> Root(std::span<const uint8_t> bytes);

  /// The scalar in slot `field`, or `fallback`.
  template <typename T>
  T Scalar(int field, T fallback) const {
    const size_t at = Slot(field, sizeof(T));
    return at == 0 ? fallback : Load<T>(at);
  }
  std::optional<FlatTable> Table(int field) const;
  std::string_view String(int field) const;

  /// Number of elements of the vector in slot `field`; 0 unless all of them lie inside.
  size_t VectorSize(int field, size_t element_bytes) const;
  /// Start of element `index` of a vector of structs. REQUIRES: index < VectorSize.
  const uint8_t* Struct(int field, size_t element_bytes, size_t index) const;
  /// Element `index` of a vector of tables. REQUIRES: index < VectorSize(field, 4).
  std::optional<FlatTable> Element(int field, size_t index) const;

 private:
  FlatTable(std::span<const uint8_t> bytes, size_t position, size_t vtable,
            uint16_t vtable_bytes)
      : bytes_(bytes),
        position_(position),
        vtable_(vtable),
        vtable_bytes_(vtable_bytes) {}

  static std::optional<FlatTable> At(std::span<const uint8_t> bytes, size_t position);
  bool Inside(size_t position, size_t size) const {
    return position <= bytes_.size() && size <= bytes_.size() - position;
  }
  template <typename T>
  T Load(size_t position) const {
    T value;
    std::memcpy(&value, bytes_.data() + position, sizeof(T));
    return value;
  }
  /// Position of the field's inline data, 0 when absent.
  size_t Slot(int field, size_t size) const;
  /// Target of the offset in slot `field`, 0 when absent.
  size_t Target(int field) const;

  std::span<const uint8_t> bytes_;
  size_t position_;
  size_t vtable_;
  uint16_t vtable_bytes_;
};

}  // namespace arrowport::wire::ipc
