#include "wire/http/router.h"

#include <array>
#include <set>
#include <utility>

#include "base/error.h"
#include "wire/http/request_target.h"
#include "wire/http/routes.h"

namespace arrowport::wire::http {
namespace {

constexpr int64_t kIgnoredBodyBytesMax = 1 << 20;

/// Waits for the end of a request without a body of interest, then answers.
class AnswerHandler : public net::CallHandler {
 public:
  AnswerHandler(std::unique_ptr<Exchange> exchange,
                std::function<arrow::Result<Reply>(const Exchange&)> answer)
      : exchange_(std::move(exchange)), answer_(std::move(answer)) {}

  void OnMessage(net::Message) override {}
  void OnEnd() override {
    arrow::Result<Reply> reply = answer_(*exchange_);
    if (reply.ok()) {
      exchange_->Send(std::move(*reply));
    } else {
      exchange_->Fail(reply.status());
    }
  }
  void OnBodyError(arrow::Status status) override { exchange_->Fail(status); }
  void OnDone(const arrow::Status&) override {}

 private:
  const std::unique_ptr<Exchange> exchange_;
  const std::function<arrow::Result<Reply>(const Exchange&)> answer_;
};

/// Answers at the first event, without waiting for the body.
class RefuseHandler : public net::CallHandler {
 public:
  RefuseHandler(std::unique_ptr<Exchange> exchange, arrow::Status status,
                net::Headers headers)
      : exchange_(std::move(exchange)),
        status_(std::move(status)),
        headers_(std::move(headers)) {}

  void OnMessage(net::Message) override { Answer(); }
  void OnEnd() override { Answer(); }
  void OnBodyError(arrow::Status) override { Answer(); }
  void OnDone(const arrow::Status&) override {}

 private:
  void Answer() {
    Reply reply = ErrorReply(status_, exchange_->head().request_id);
    for (auto& header : headers_) reply.headers.push_back(header);
    exchange_->Send(std::move(reply));
  }

  const std::unique_ptr<Exchange> exchange_;
  const arrow::Status status_;
  const net::Headers headers_;
};

/// True when `pattern` fits; the parts behind its "{...}" are put, still encoded, into
/// `arguments`.
bool Fits(std::string_view pattern, const std::vector<std::string_view>& path,
          std::vector<std::string_view>* arguments) {
  const auto wanted = SplitPath(pattern);
  if (wanted.size() != path.size()) return false;
  arguments->clear();
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with('{')) {
      if (path[i].empty()) return false;
      arguments->push_back(path[i]);
    } else if (wanted[i] != path[i]) {
      return false;
    }
  }
  return true;
}

struct Found {
  const RouteEntry* entry = nullptr;
  std::string_view pattern;  ///< of any method; empty: no such path
  std::set<std::string_view> methods;
  std::vector<std::string_view> arguments;
};

Found Find(std::string_view method, const std::vector<std::string_view>& path) {
  Found found;
  const std::array families = {UploadRoutes(),  QueryRoutes(),   CatalogRoutes(),
                               DeltaRoutes(),   ServiceRoutes(), UnbuiltRoutes()};
  std::vector<std::string_view> arguments;
  for (const auto& family : families) {
    for (const RouteEntry& entry : family) {
      if (!Fits(entry.pattern, path, &arguments)) continue;
      found.pattern = entry.pattern;
      found.methods.insert(entry.method);
      if (entry.method != method || found.entry != nullptr) continue;
      found.entry = &entry;
      found.arguments = arguments;
    }
  }
  return found;
}

std::string Join(const std::set<std::string_view>& names) {
  std::string text;
  for (std::string_view name : names) {
    if (!text.empty()) text.append(", ");
    text.append(name);
  }
  return text;
}

}  // namespace

net::Route AnswerWith(RouteRequest& request,
                      std::function<arrow::Result<Reply>(const Exchange&)> answer) {
  net::Route route;
  route.handler =
      std::make_unique<AnswerHandler>(std::move(request.exchange), std::move(answer));
  route.body_bytes_max = kIgnoredBodyBytesMax;
  return route;
}

net::Route Refuse(std::unique_ptr<Exchange> exchange, arrow::Status status,
                  net::Headers headers) {
  net::Route route;
  route.handler = std::make_unique<RefuseHandler>(std::move(exchange), std::move(status),
                                                  std::move(headers));
  return route;
}

HttpRouter::HttpRouter(HttpOptions options)
    : options_(std::make_shared<const HttpOptions>(std::move(options))) {}

HttpRouter::~HttpRouter() = default;

net::Admission HttpRouter::AdmissionOf(const net::RequestHead& head) {
  const bool exempt = head.path == "/health/live" || head.path == "/health/ready" ||
                      head.path == "/metrics";
  return exempt ? net::Admission::kExempt : net::Admission::kCounted;
}

net::Route HttpRouter::OnRequest(const net::RequestHead& head,
                                 const std::shared_ptr<net::Call>& call) {
  Found found = Find(head.method, SplitPath(head.path));
  observe::Registry* metrics = options_->metrics.get();
  auto exchange = std::make_unique<Exchange>(
      call, found.pattern.empty() ? "unknown" : found.pattern, metrics);

  if (options_->access == Access::kLoopbackOnly && !head.peer.loopback &&
      found.pattern != "/health/live") {
    return Refuse(std::move(exchange),
                  Error(ErrorCode::kPermissionDenied,
                        "protected mode: no users are configured, so only local clients "
                        "are served; configure auth.users or set auth.allow_anonymous: "
                        "true"));
  }
  if (found.pattern.empty()) {
    return Refuse(
        std::move(exchange),
        Error(ErrorCode::kNotFound, "no such route: ", head.path.substr(0, 200)));
  }
  if (found.entry == nullptr) {
    const std::string allowed = Join(found.methods);
    return Refuse(std::move(exchange),
                  Error(ErrorCode::kMethodNotAllowed, "this route takes: ", allowed),
                  {{"allow", allowed}});
  }

  RouteRequest request{head, std::move(exchange), {}, options_};
  arrow::Status status;
  for (std::string_view argument : found.arguments) {
    arrow::Result<std::string> decoded = PercentDecode(argument, Plus::kPlus);
    status &= decoded.status();
    if (decoded.ok()) request.arguments.push_back(std::move(*decoded));
  }
  if (!status.ok()) return Refuse(std::move(request.exchange), std::move(status));
  arrow::Result<net::Route> route = found.entry->make(request);
  if (route.ok()) return std::move(*route);
  return Refuse(std::move(request.exchange), route.status());
}

}  // namespace arrowport::wire::http
