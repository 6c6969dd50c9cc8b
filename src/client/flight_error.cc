#include "client/flight_error.h"

#include <arrow/flight/types.h>

#include <charconv>

#include "arrowport/error.h"

namespace arrowport {

std::string_view ErrorName(const arrow::Status& status) {
  return InfoOf(CodeOf(status)).name;
}

bool IsRetriable(const arrow::Status& status) { return InfoOf(CodeOf(status)).retriable; }

namespace client {
namespace {

namespace flight = arrow::flight;

std::optional<ErrorCode> CodeNamed(std::string_view name) {
  const auto [infos, count] = AllErrors();
  for (size_t i = 0; i < count; ++i)
    if (infos[i].name == name) return infos[i].code;
  return std::nullopt;
}

ErrorCode CodeOfFlight(const arrow::Status& status) {
  if (const auto detail = flight::FlightStatusDetail::UnwrapStatus(status)) {
    switch (detail->code()) {
      case flight::FlightStatusCode::Unauthenticated:
        return ErrorCode::kUnauthenticated;
      case flight::FlightStatusCode::Unauthorized:
        return ErrorCode::kPermissionDenied;
      case flight::FlightStatusCode::Unavailable:
        return ErrorCode::kUnreachable;
      case flight::FlightStatusCode::TimedOut:
        return ErrorCode::kTimeout;
      case flight::FlightStatusCode::Cancelled:
        return ErrorCode::kCancelled;
      default:
        return ErrorCode::kInternal;
    }
  }
  if (status.IsInvalid()) return ErrorCode::kInvalidArgument;
  return CodeOf(status);
}

/// The client library puts its own sentence before the server's message.
std::string ServerMessage(const std::string& message) {
  constexpr std::string_view kMark = "with message: ";
  const size_t mark = message.find(kMark);
  if (mark == std::string::npos) return message;
  std::string text = message.substr(mark + kMark.size());
  const size_t context = text.find(". Client context:");
  if (context != std::string::npos) text.resize(context);
  return text;
}

}  // namespace

class ErrorTrailers::Middleware : public flight::ClientMiddleware {
 public:
  explicit Middleware(ErrorTrailers* owner) : owner_(owner) {}
  void SendingHeaders(flight::AddCallHeaders* outgoing) override {}
  void ReceivedHeaders(const flight::CallHeaders& incoming) override {
    owner_->Keep(incoming);
  }
  void CallCompleted(const arrow::Status& status) override {}

 private:
  ErrorTrailers* const owner_;
};

void ErrorTrailers::StartCall(const flight::CallInfo& info,
                              std::unique_ptr<flight::ClientMiddleware>* middleware) {
  *middleware = std::make_unique<Middleware>(this);
}

void ErrorTrailers::Keep(const flight::CallHeaders& headers) {
  const auto code = headers.find(kErrorCodeTrailer);
  if (code == headers.end()) return;
  Seen seen{CodeNamed(code->second), std::nullopt};
  const auto retry = headers.find(kRetryAfterTrailer);
  int seconds = 0;
  if (retry != headers.end() &&
      std::from_chars(retry->second.data(), retry->second.data() + retry->second.size(),
                      seconds)
              .ec == std::errc()) {
    seen.retry_after_seconds = seconds;
  }
  MutexLock lock(mutex_);
  seen_[std::this_thread::get_id()] = seen;
}

ErrorTrailers::Seen ErrorTrailers::Take() {
  MutexLock lock(mutex_);
  const auto found = seen_.find(std::this_thread::get_id());
  if (found == seen_.end()) return {};
  const Seen seen = found->second;
  seen_.erase(found);
  return seen;
}

arrow::Status FromFlight(const arrow::Status& status, ErrorTrailers& trailers) {
  const ErrorTrailers::Seen seen = trailers.Take();
  if (status.ok()) return status;
  const bool is_ours = status.detail() && std::string_view(status.detail()->type_id()) ==
                                              "arrowport::ErrorDetail";
  if (is_ours) return status;
  return MakeError(seen.code.value_or(CodeOfFlight(status)),
                   ServerMessage(status.message()), seen.retry_after_seconds);
}

}  // namespace client
}  // namespace arrowport
