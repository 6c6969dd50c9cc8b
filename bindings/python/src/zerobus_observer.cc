#include "zerobus_observer.h"

#include <string>

#include "arrow_exchange.h"
#include "kept_object.h"

namespace arrowport::python {
namespace {

/// Length-delimited messages from a sequence of field 1 entries: the same without the tags.
/// The entries are the encoder's own; a malformed rest is left out.
std::string WithoutTags(std::string_view entries) {
  constexpr char kTag = 0x0A;
  std::string out;
  out.reserve(entries.size());
  while (!entries.empty() && entries[0] == kTag) {
    size_t size_end = 1;
    uint64_t size = 0;
    int shift = 0;
    while (size_end < entries.size() && shift < 64) {
      const auto byte = static_cast<unsigned char>(entries[size_end++]);
      size |= static_cast<uint64_t>(byte & 0x7F) << shift;
      shift += 7;
      if (byte < 0x80) break;
    }
    if (size > entries.size() - size_end) break;
    out.append(entries.substr(1, size_end - 1 + size));
    entries.remove_prefix(size_end + size);
  }
  return out;
}

KeptObject Method(const nb::object& object, const char* name) {
  return KeptObject(nb::getattr(object, name, nb::none()));
}

class PythonObserver final : public zerobus::WriterObserver {
 public:
  explicit PythonObserver(const nb::object& object)
      : on_batch_(Method(object, "on_batch")),
        on_descriptor_(Method(object, "on_descriptor")),
        on_records_(Method(object, "on_records")) {}

  void OnBatch(const arrow::RecordBatch& batch) override {
    if (!on_batch_) return;
    auto whole = batch.Slice(0);  // shares the columns; the caller's object may go
    RunCallback(on_batch_,
                [&](nb::handle callable) { callable(ExportBatch(std::move(whole))); });
  }

  void OnDescriptor(std::string_view descriptor) override {
    if (!on_descriptor_) return;
    RunCallback(on_descriptor_, [&](nb::handle callable) {
      callable(nb::bytes(descriptor.data(), descriptor.size()));
    });
  }

  void OnEncoded(std::string_view records, int64_t rows) override {
    if (!on_records_) return;
    const std::string messages = WithoutTags(records);
    RunCallback(on_records_, [&](nb::handle callable) {
      callable(nb::bytes(messages.data(), messages.size()), rows);
    });
  }

 private:
  const KeptObject on_batch_;
  const KeptObject on_descriptor_;
  const KeptObject on_records_;
};

}  // namespace

std::shared_ptr<zerobus::WriterObserver> MakeObserver(nb::object object) {
  return std::make_shared<PythonObserver>(object);
}

}  // namespace arrowport::python
