#include "emulator/http_handler.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace arrowport::emulator {
namespace {

namespace net = wire::net;

constexpr size_t kBodyBytesMax = 16 << 20;

class HttpHandler : public net::CallHandler {
 public:
  HttpHandler(std::shared_ptr<net::Call> call, Timers* timers, HttpFunction function)
      : call_(std::move(call)), timers_(timers), function_(std::move(function)) {}

  void OnMessage(net::Message message) override {
    if (!message.body || answered_) return;
    if (body_.size() + static_cast<size_t>(message.body->size()) > kBodyBytesMax) {
      return Answer(HttpError(413, "TOO_LARGE", "the body is over 16 MiB"));
    }
    body_.append(message.body->data_as<char>(),
                 static_cast<size_t>(message.body->size()));
  }

  void OnEnd() override {
    if (answered_) return;
    Answer(function_({call_->head(), std::move(body_)}));
  }

  void OnBodyError(arrow::Status status) override {
    if (!answered_) Answer(HttpErrorOf(status));
  }

  void OnDone(const arrow::Status&) override {}

 private:
  void Answer(HttpReply reply) {
    answered_ = true;
    if (reply.hang) return;
    if (reply.delay.count() == 0) return Send(*call_, std::move(reply));
    timers_->After(reply.delay, [call = call_, reply = std::move(reply)] {
      Send(*call, reply);
    });
  }

  static void Send(net::Call& call, HttpReply reply) {
    net::ResponseHead head;
    head.status = reply.status;
    head.headers = std::move(reply.headers);
    head.headers.emplace_back("content-type", reply.content_type);
    head.content_length = reply.body.size();
    call.SendHead(std::move(head));
    if (!reply.body.empty()) {
      call.Write({arrow::Buffer::FromString(std::move(reply.body))});
    }
    call.Finish();
  }

  const std::shared_ptr<net::Call> call_;
  Timers* const timers_;
  const HttpFunction function_;
  std::string body_;
  bool answered_ = false;
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int HttpStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kTableNotFound:
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kTimeout:
      return 408;
    default:
      return InfoOf(code).fault == Fault::kCaller ? 400 : 500;
  }
}

}  // namespace

HttpReply HttpError(int status, std::string_view error_code, std::string_view message) {
  HttpReply reply;
  reply.status = status;
  reply.body = nlohmann::ordered_json{{"error_code", error_code}, {"message", message}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

HttpReply HttpErrorOf(const arrow::Status& status) {
  const ErrorCode code = CodeOf(status);
  return HttpError(HttpStatusOf(code), InfoOf(code).name, status.message());
}

std::unique_ptr<net::CallHandler> MakeHttpHandler(std::shared_ptr<net::Call> call,
                                                  Timers* timers, HttpFunction function) {
  return std::make_unique<HttpHandler>(std::move(call), timers, std::move(function));
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

std::optional<std::map<std::string, std::string>> ParseForm(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const auto name = PercentDecode(pair.substr(0, equals), true);
    const auto value = PercentDecode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1),
        true);
    if (!name || !value || !fields.emplace(*name, *value).second) return std::nullopt;
  }
  return fields;
}

}  // namespace arrowport::emulator
