#include "wire/http/exchange.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "wire/http/error_map.h"

namespace arrowport::wire::http {
namespace {

constexpr int kRetryAfterSecondsDefault = 1;

}  // namespace

Reply ErrorReply(const arrow::Status& status, const std::string& request_id) {
  const ErrorCode code = CodeOf(status);
  Reply reply;
  reply.status = HttpStatusOf(code);
  nlohmann::ordered_json body = {{"status", "error"},
                                 {"code", InfoOf(code).name},
                                 {"message", status.message()},
                                 {"retriable", InfoOf(code).retriable},
                                 {"request_id", request_id}};
  using nlohmann::ordered_json;
  reply.body = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (reply.status == 429 || reply.status == 503) {
    const int seconds = RetryAfterSeconds(status).value_or(kRetryAfterSecondsDefault);
    reply.headers.emplace_back("retry-after", std::to_string(seconds));
  }
  if (reply.status == 401) {
    reply.headers.emplace_back("www-authenticate", "Basic realm=\"arrowport\", Bearer");
  }
  return reply;
}

Exchange::Exchange(std::shared_ptr<net::Call> call, std::string_view route,
                   observe::Registry* metrics)
    : call_(std::move(call)), route_(route), metrics_(metrics) {}

void Exchange::Count(int status) {
  if (metrics_ == nullptr) return;
  metrics_
      ->GetCounter(observe::Metric::kRequests,
                   {std::string(route_), std::to_string(status)})
      .Add();
}

void Exchange::Send(Reply reply) {
  if (answered_.exchange(true)) return;
  Count(reply.status);
  net::ResponseHead head;
  head.status = reply.status;
  head.headers = std::move(reply.headers);
  head.headers.emplace_back("content-type", std::move(reply.content_type));
  head.headers.emplace_back("x-request-id", call_->head().request_id);
  head.content_length = reply.body.size();
  call_->SendHead(std::move(head));
  if (!reply.body.empty()) {
    call_->Write({arrow::Buffer::FromString(std::move(reply.body))});
  }
  call_->Finish();
}

void Exchange::Fail(const arrow::Status& status) {
  if (streaming_.load()) {
    call_->Abort();
  } else {
    Send(ErrorReply(status, call_->head().request_id));
  }
}

bool Exchange::BeginStream(std::string_view content_type) {
  if (answered_.exchange(true)) return false;
  streaming_.store(true);
  Count(200);
  net::ResponseHead head;
  head.headers.emplace_back("content-type", std::string(content_type));
  head.headers.emplace_back("x-request-id", call_->head().request_id);
  call_->SendHead(std::move(head));
  return true;
}

}  // namespace arrowport::wire::http
