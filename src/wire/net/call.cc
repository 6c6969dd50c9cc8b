#include "wire/net/call.h"

#include <algorithm>
#include <cstring>

namespace arrowport::wire::net {
namespace {

class PieceParser : public BodyParser {
 public:
  PieceParser(std::shared_ptr<BufferPool> pool, int64_t piece_bytes)
      : pool_(std::move(pool)), piece_bytes_(piece_bytes) {}

  arrow::Status Consume(std::span<const uint8_t> bytes,
                        std::vector<Message>* out) override {
    while (!bytes.empty()) {
      size_t size = std::min(bytes.size(), static_cast<size_t>(piece_bytes_));
      Message message;
      ARROW_ASSIGN_OR_RAISE(message.body, pool_->Allocate(static_cast<int64_t>(size)));
      std::memcpy(message.body->mutable_data(), bytes.data(), size);
      out->push_back(std::move(message));
      bytes = bytes.subspan(size);
    }
    return {};
  }

  arrow::Status End(std::vector<Message>* out) override { return {}; }

 private:
  const std::shared_ptr<BufferPool> pool_;
  const int64_t piece_bytes_;
};

}  // namespace

const std::string* RequestHead::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return &value;
  }
  return nullptr;
}

int64_t Message::bytes() const {
  int64_t total = 0;
  for (const auto* part : {&descriptor, &metadata, &app_metadata, &body}) {
    if (*part) total += (*part)->size();
  }
  return total;
}

std::unique_ptr<BodyParser> MakePieceParser(std::shared_ptr<BufferPool> pool,
                                            int64_t piece_bytes) {
  return std::make_unique<PieceParser>(std::move(pool), piece_bytes);
}

}  // namespace arrowport::wire::net
