#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "wire/http/base64.h"
#include "wire/http/batch_source.h"
#include "wire/http/json_scanner.h"
#include "wire/http/schema_match.h"
#include "wire/http/setting_overrides.h"

namespace arrowport::wire::http {
namespace {

/// Decoded at a time, so that the decoded bytes are still cached when they are cut.
constexpr size_t kTextPieceBytes = 64 << 10;

class JsonSource : public IpcSource, private JsonUploadListener {
 public:
  JsonSource(const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
             std::unique_ptr<BodyReader> body, JsonUploadForm form)
      : IpcSource(options),
        form_(std::move(form)),
        held_bytes_max_(options.request_memory_max),
        body_(std::move(body)),
        parser_(std::move(pool), options.parser, ipc::EndMarker::kOptional),
        scanner_(this, form_.shape),
        decoded_(Base64Decoder::RoomFor(kTextPieceBytes)) {}

  void Feed(net::Message message) override { body_->Feed(std::move(message.body)); }
  void FeedEnd() override { body_->FeedEnd(); }

  arrow::Result<Step> Next() override {
    ARROW_ASSIGN_OR_RAISE(Step step, IpcSource::Next());
    if (declared_ && schema()) {
      ARROW_RETURN_NOT_OK(CheckDeclaredSchema(*declared_, *schema()));
      declared_.reset();
    }
    return step;
  }

  const Overrides* overrides() const override { return settled_ ? &overrides_ : nullptr; }

 protected:
  bool may_decode() const override { return settled_; }

  arrow::Result<Progress> Refill() override {
    if (ended_) return Progress::kEnd;
    ARROW_ASSIGN_OR_RAISE(BodyReader::Piece piece, body_->Next());
    if (piece.state == BodyReader::State::kNeedInput) return Progress::kNeedInput;
    if (piece.state == BodyReader::State::kBytes) {
      ARROW_RETURN_NOT_OK(scanner_.Consume(
          {reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size()}));
      // What `config` would change cannot wait for ever: a batch too large to hold goes
      // ahead without it, and a later `config` is then refused.
      if (!settled_ && held_bytes_ > held_bytes_max_) went_ahead_ = settled_ = true;
      return Progress::kWorked;
    }
    ARROW_RETURN_NOT_OK(scanner_.End());
    if (!scanner_.data_seen()) {
      return Error(ErrorCode::kInvalidArgument,
                   "the body has no batch.data: send {\"batch\": {\"data\": base64 of "
                   "an Arrow IPC stream}}");
    }
    ended_ = settled_ = true;
    return Progress::kWorked;
  }

 private:
  arrow::Status OnConfig(std::string_view json) override {
    config_seen_ = true;
    return TakeSettings(json);
  }

  arrow::Status OnDeltaOptions(std::string_view json) override {
    delta_options_seen_ = true;
    return TakeSettings(std::string(R"({"delta_options":)").append(json).append("}"));
  }

  arrow::Status TakeSettings(std::string_view json) {
    ARROW_ASSIGN_OR_RAISE(Overrides given, ParseSettingOverrides(json));
    if (went_ahead_ && !given.empty()) {
      return Error(ErrorCode::kTooLarge,
                   "settings must stand before a batch larger than "
                   "limits.request_memory_max, bytes: ",
                   held_bytes_max_);
    }
    for (auto& [name, value] : given) {
      const auto fixed = form_.fixed.find(name);
      if (fixed != form_.fixed.end() && fixed->second != value) {
        return Error(ErrorCode::kBadConfig, "this route has its own value of ", name,
                     " (", fixed->second, "), not: ", value.substr(0, 100));
      }
      overrides_[name] = std::move(value);
    }
    settled_ |= config_seen_ && (delta_options_seen_ || form_.shape == JsonShape::kStream);
    return {};
  }

  arrow::Status OnArrowSchema(std::string text) override {
    std::vector<uint8_t> bytes(Base64Decoder::RoomFor(text.size()));
    size_t size = 0;
    Base64Decoder decoder;
    arrow::Status status = decoder.Decode(text, bytes.data(), &size);
    status &= decoder.End();
    ARROW_RETURN_NOT_OK(WithContext("batch.arrow_schema", status));
    arrow::io::BufferReader reader(
        std::make_shared<arrow::Buffer>(bytes.data(), static_cast<int64_t>(size)));
    arrow::ipc::DictionaryMemo memo;
    auto schema = arrow::ipc::ReadSchema(&reader, &memo);
    if (!schema.ok()) {
      return WithContext("batch.arrow_schema is not an IPC schema message",
                         WithCode(ErrorCode::kBadData, schema.status()));
    }
    declared_ = *schema;
    return {};
  }

  arrow::Status OnData(std::string_view text) override {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, kTextPieceBytes);
      text.remove_prefix(piece.size());
      size_t size = 0;
      ARROW_RETURN_NOT_OK(
          WithContext("batch.data", base64_.Decode(piece, decoded_.data(), &size)));
      cut_.clear();
      ARROW_RETURN_NOT_OK(parser_.Consume({decoded_.data(), size}, &cut_));
      Hold();
    }
    return {};
  }

  arrow::Status OnDataEnd() override {
    ARROW_RETURN_NOT_OK(WithContext("batch.data", base64_.End()));
    cut_.clear();
    ARROW_RETURN_NOT_OK(parser_.End(&cut_));
    Hold();
    return {};
  }

  void Hold() {
    for (net::Message& message : cut_) {
      if (!settled_) held_bytes_ += message.bytes();
      messages_.push_back(std::move(message));
    }
  }

  const JsonUploadForm form_;
  const int64_t held_bytes_max_;
  const std::unique_ptr<BodyReader> body_;
  ipc::StreamParser parser_;
  JsonUploadScanner scanner_;
  Base64Decoder base64_;
  std::vector<uint8_t> decoded_;
  std::vector<net::Message> cut_;
  std::shared_ptr<arrow::Schema> declared_;  ///< until it was compared
  Overrides overrides_;
  int64_t held_bytes_ = 0;
  bool config_seen_ = false;
  bool delta_options_seen_ = false;
  bool settled_ = false;     ///< no settings can follow
  bool went_ahead_ = false;  ///< settled because the batch could not be held
  bool ended_ = false;
};

}  // namespace

arrow::Result<std::unique_ptr<BatchSource>> MakeJsonSource(
    const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
    ContentEncoding encoding, JsonUploadForm form) {
  ARROW_ASSIGN_OR_RAISE(auto body,
                        BodyReader::Make(encoding, options.decompress_ratio_max));
  return std::make_unique<JsonSource>(options, std::move(pool), std::move(body),
                                      std::move(form));
}

}  // namespace arrowport::wire::http
