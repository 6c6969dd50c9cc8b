#include "wire/flight/handshake.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/proto/flight.pb.h"
#include "wire/flight/reply_handler.h"

namespace arrowport::wire::flight {
namespace {

constexpr int64_t kPayloadBytesMax = 64 << 10;

Credentials ParsePayload(const std::string& payload) {
  Credentials credentials;
  const auto object = nlohmann::json::parse(payload, nullptr, false);
  if (object.is_object()) {
    const auto text = [&object](const char* key) {
      const auto found = object.find(key);
      return found != object.end() && found->is_string() ? found->get<std::string>()
                                                         : std::string();
    };
    credentials.scheme = Credentials::Scheme::kBasic;
    credentials.user = text("username");
    credentials.password = text("password");
    return credentials;
  }
  proto::BasicAuth basic;
  if (!payload.empty() && basic.ParseFromString(payload) && !basic.username().empty()) {
    credentials.scheme = Credentials::Scheme::kBasic;
    credentials.user = basic.username();
    credentials.password = basic.password();
  } else if (!payload.empty()) {
    credentials.scheme = Credentials::Scheme::kBearer;
    credentials.token = payload;
  }
  return credentials;
}

class HandshakeHandler : public net::CallHandler {
 public:
  HandshakeHandler(std::shared_ptr<net::Call> call,
                   std::shared_ptr<Authenticator> authenticator, Grant grant)
      : call_(std::move(call)),
        authenticator_(std::move(authenticator)),
        grant_(std::move(grant)) {}

  void OnMessage(net::Message message) override {
    if (ended_) return;
    const auto status = Answer(message.body);
    if (!status.ok()) End(status);
  }
  void OnEnd() override {
    if (!ended_) End(arrow::Status::OK());
  }
  void OnBodyError(arrow::Status status) override {
    if (!ended_) End(status);
  }
  void OnDone(const arrow::Status&) override { ended_ = true; }

 private:
  arrow::Status Answer(const std::shared_ptr<arrow::Buffer>& body) {
    if (body && body->size() > kPayloadBytesMax) {
      return Error(ErrorCode::kTooLarge, "a handshake takes at most ", kPayloadBytesMax,
                   " bytes");
    }
    proto::HandshakeRequest request;
    ARROW_RETURN_NOT_OK(ParseMessage(body, "HandshakeRequest", &request));
    Grant grant = grant_;
    const auto credentials = ParsePayload(request.payload());
    if (credentials.scheme != Credentials::Scheme::kNone) {
      ARROW_ASSIGN_OR_RAISE(grant,
                            authenticator_->Check(credentials, call_->head().peer));
    }
    proto::HandshakeResponse response;
    response.set_protocol_version(request.protocol_version());
    // Some clients take an empty token for a failure.
    response.set_payload(grant.token.empty() ? NewRandomId() : grant.token);
    call_->Write(ToSlices(response));
    return {};
  }
  void End(const arrow::Status& status) {
    ended_ = true;
    Finish(*call_, status);
  }

  const std::shared_ptr<net::Call> call_;
  const std::shared_ptr<Authenticator> authenticator_;
  const Grant grant_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<net::CallHandler> MakeHandshakeHandler(
    std::shared_ptr<net::Call> call, std::shared_ptr<Authenticator> authenticator,
    Grant grant) {
  return std::make_unique<HandshakeHandler>(std::move(call), std::move(authenticator),
                                            std::move(grant));
}

}  // namespace arrowport::wire::flight
