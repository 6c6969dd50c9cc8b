#include "wire/flight/guarded_handler.h"

#include <string>
#include <utility>

#include "wire/flight/reply_handler.h"

namespace arrowport::wire::flight {
namespace {

class GuardedHandler : public net::CallHandler {
 public:
  GuardedHandler(std::shared_ptr<net::Call> call,
                 std::shared_ptr<Authenticator> authenticator, MakeHandler make)
      : call_(std::move(call)),
        authenticator_(std::move(authenticator)),
        make_(std::move(make)) {}

  void OnMessage(net::Message message) override {
    if (Admitted()) method_->OnMessage(std::move(message));
  }
  void OnEnd() override {
    if (Admitted()) method_->OnEnd();
  }
  void OnBodyError(arrow::Status status) override {
    if (Admitted()) method_->OnBodyError(std::move(status));
  }
  void OnWritable() override {
    if (method_) method_->OnWritable();
  }
  void OnDone(const arrow::Status& status) override {
    if (method_) method_->OnDone(status);
  }

 private:
  bool Admitted() {
    if (method_) return true;
    if (refused_) return false;
    auto grant = Check();
    if (!grant.ok()) {
      refused_ = true;
      Finish(*call_, grant.status());
      return false;
    }
    if (!grant->token.empty()) {
      call_->SendHead({200, {{"authorization", "Bearer " + grant->token}}, {}});
    }
    method_ = make_(*grant);
    return true;
  }

  arrow::Result<Grant> Check() {
    ARROW_ASSIGN_OR_RAISE(auto credentials,
                          ParseAuthorization(call_->head().Header("authorization")));
    // Where Arrow's client puts the token it got from a Handshake.
    const std::string* token = call_->head().Header("auth-token-bin");
    if (credentials.scheme == Credentials::Scheme::kNone && token && !token->empty()) {
      credentials.scheme = Credentials::Scheme::kBearer;
      credentials.token = *token;
    }
    return authenticator_->Check(credentials, call_->head().peer);
  }

  const std::shared_ptr<net::Call> call_;
  const std::shared_ptr<Authenticator> authenticator_;
  const MakeHandler make_;
  std::unique_ptr<net::CallHandler> method_;
  bool refused_ = false;
};

}  // namespace

std::unique_ptr<net::CallHandler> MakeGuardedHandler(
    std::shared_ptr<net::Call> call, std::shared_ptr<Authenticator> authenticator,
    MakeHandler make) {
  return std::make_unique<GuardedHandler>(std::move(call), std::move(authenticator),
                                          std::move(make));
}

}  // namespace arrowport::wire::flight
