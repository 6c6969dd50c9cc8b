#include "zerobus/failure.h"

#include <google/protobuf/io/coded_stream.h>

#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

using google::protobuf::io::CodedInputStream;

constexpr size_t kCausesMax = 100;
constexpr size_t kMessageBytesMax = 2'000;  // of a service's text, kept

struct KindInfo {
  std::string_view name;
  ErrorCode code;
  bool retryable;
};

// In the order of ErrorKind.
constexpr std::array<KindInfo, 10> kKinds = {{
    {"Configuration", ErrorCode::kBadConfig, false},
    {"Authentication", ErrorCode::kUnauthenticated, false},
    {"Connection", ErrorCode::kUnreachable, true},
    {"Conversion", ErrorCode::kBadData, false},
    {"Schema", ErrorCode::kSchemaMismatch, false},
    {"Transmission", ErrorCode::kOverloaded, true},
    {"Protocol", ErrorCode::kInternal, false},
    {"RetryExhausted", ErrorCode::kUnreachable, false},
    {"TokenRefresh", ErrorCode::kUnauthenticated, false},
    {"Closed", ErrorCode::kCancelled, false},
}};

const KindInfo& InfoOf(ErrorKind kind) { return kKinds[static_cast<size_t>(kind)]; }

class FailureDetail final : public ErrorDetail {
 public:
  FailureDetail(ErrorFacts facts, std::optional<int> retry_after_seconds)
      : ErrorDetail(InfoOf(facts.kind).code, retry_after_seconds),
        facts(std::move(facts)) {}
  std::string ToString() const override {
    return std::string(ErrorKindName(facts.kind)) + " error";
  }
  const ErrorFacts facts;
};

const ErrorFacts* AttachedFacts(const arrow::Status& status) {
  const auto* detail = dynamic_cast<const FailureDetail*>(DetailOf(status));
  return detail == nullptr ? nullptr : &detail->facts;
}

// For statuses made elsewhere: encoding, configuration.
ErrorKind KindOfCode(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadConfig:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidName:
      return ErrorKind::kConfiguration;
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
      return ErrorKind::kAuthentication;
    case ErrorCode::kUnreachable:
      return ErrorKind::kConnection;
    case ErrorCode::kTableNotFound:
    case ErrorCode::kColumnNotFound:
    case ErrorCode::kSchemaMismatch:
    case ErrorCode::kSchemaDeclarationMismatch:
      return ErrorKind::kSchema;
    case ErrorCode::kCancelled:
      return ErrorKind::kClosed;
    case ErrorCode::kOverloaded:
    case ErrorCode::kTimeout:
      return ErrorKind::kTransmission;
    default:
      return ErrorKind::kConversion;
  }
}

// A protobuf message's length-delimited fields, one by one. False at the end or when the
// bytes are no message.
struct FieldReader {
  explicit FieldReader(std::string_view bytes)
      : input(reinterpret_cast<const uint8_t*>(bytes.data()),
              static_cast<int>(bytes.size())) {}

  bool Next(uint32_t* number, std::string* value) {
    while (uint32_t tag = input.ReadTag()) {
      *number = tag >> 3;
      uint64_t skipped = 0;
      uint32_t size = 0;
      switch (tag & 7) {
        case 0:
          if (!input.ReadVarint64(&skipped)) return false;
          break;
        case 1:
          if (!input.Skip(8)) return false;
          break;
        case 2:
          return input.ReadVarint32(&size) &&
                 input.ReadString(value, static_cast<int>(size));
        case 5:
          if (!input.Skip(4)) return false;
          break;
        default:
          return false;
      }
    }
    return false;
  }

  CodedInputStream input;
};

void SplitCauses(std::string_view text, std::vector<std::string>* causes) {
  while (!text.empty() && causes->size() < kCausesMax) {
    const size_t comma = text.find(',');
    std::string_view cause = text.substr(0, comma);
    while (!cause.empty() && cause.front() == ' ') cause.remove_prefix(1);
    while (!cause.empty() && cause.back() == ' ') cause.remove_suffix(1);
    if (!cause.empty()) causes->emplace_back(cause);
    text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
  }
}

// google.rpc.ErrorInfo: 1 reason, 2 domain, 3 metadata (map of text to text).
void ReadErrorInfo(std::string_view bytes, ErrorFacts* facts) {
  std::string reason;
  std::string domain;
  std::vector<std::string> causes;
  std::optional<int> code;
  FieldReader reader(bytes);
  uint32_t number = 0;
  std::string value;
  while (reader.Next(&number, &value)) {
    if (number == 1) reason = value;
    if (number == 2) domain = value;
    if (number != 3) continue;
    std::string key;
    std::string text;
    FieldReader entry(value);
    std::string part;
    while (entry.Next(&number, &part)) {
      if (number == 1) key = part;
      if (number == 2) text = part;
    }
    int parsed = 0;
    if (key == "causes") SplitCauses(text, &causes);
    if (key == "error_code" &&
        std::from_chars(text.data(), text.data() + text.size(), parsed).ec ==
            std::errc()) {
      code = parsed;
    }
  }
  if (!domain.empty() && domain != "zerobus.databricks.com") return;
  if (code) facts->service_code = code;
  if (reason != "SCHEMA_VALIDATION_FAILED") return;
  facts->kind = ErrorKind::kSchema;
  facts->schema_causes = std::move(causes);
}

// google.rpc.Status: 3 details, each a google.protobuf.Any: 1 type_url, 2 value.
void ReadDetails(std::string_view bytes, ErrorFacts* facts) {
  FieldReader reader(bytes);
  uint32_t number = 0;
  std::string any;
  while (reader.Next(&number, &any)) {
    if (number != 3) continue;
    std::string type_url;
    std::string value;
    std::string part;
    FieldReader fields(any);
    while (fields.Next(&number, &part)) {
      if (number == 1) type_url = part;
      if (number == 2) value = part;
    }
    if (type_url.ends_with("/google.rpc.ErrorInfo")) ReadErrorInfo(value, facts);
  }
}

Reaction ReactionTo(const rpc::RpcStatus& status) {
  using rpc::StatusCode;
  switch (status.code) {
    case StatusCode::kUnauthenticated:
    case StatusCode::kPermissionDenied:
      return Reaction::kRenewToken;
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kUnimplemented:
    case StatusCode::kOutOfRange:
      return Reaction::kGiveUp;
    default:
      return Reaction::kRetry;
  }
}

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) { return InfoOf(kind).name; }
bool IsRetryable(ErrorKind kind) { return InfoOf(kind).retryable; }

ErrorFacts FactsOf(const arrow::Status& status) {
  if (const ErrorFacts* facts = AttachedFacts(status)) return *facts;
  ErrorFacts facts;
  facts.kind = KindOfCode(CodeOf(status));
  facts.retryable = IsRetryable(facts.kind);
  return facts;
}

ErrorKind KindOf(const arrow::Status& status) {
  const ErrorFacts* facts = AttachedFacts(status);
  return facts != nullptr ? facts->kind : KindOfCode(CodeOf(status));
}

arrow::Status MakeFailure(ErrorFacts facts, std::string message,
                          std::optional<int> retry_after_seconds) {
  facts.retryable = IsRetryable(facts.kind);
  return MakeErrorWithDetail(
      std::move(message),
      std::make_shared<FailureDetail>(std::move(facts), retry_after_seconds));
}

arrow::Status MakeFailure(ErrorKind kind, std::string message) {
  ErrorFacts facts;
  facts.kind = kind;
  return MakeFailure(std::move(facts), std::move(message));
}

arrow::Status AsFailure(ErrorKind kind, const arrow::Status& status) {
  if (status.ok() || AttachedFacts(status) != nullptr) return status;
  ErrorFacts facts;
  facts.kind = kind;
  return MakeFailure(std::move(facts), status.message(), RetryAfterSeconds(status));
}

std::optional<int> FindServiceCode(std::string_view message) {
  constexpr std::string_view kMark = "Error Code: ";
  const size_t at = message.find(kMark);
  if (at == message.npos) return std::nullopt;
  const std::string_view digits = message.substr(at + kMark.size());
  int code = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), code).ec !=
      std::errc()) {
    return std::nullopt;
  }
  return code;
}

CallFailure JudgeCall(const rpc::RpcStatus& status, CallPhase phase) {
  CallFailure failure;
  ErrorFacts facts;
  facts.grpc_status = static_cast<int>(status.code);
  facts.service_code = FindServiceCode(status.message);
  failure.reaction = status.configuration ? Reaction::kGiveUp : ReactionTo(status);
  switch (failure.reaction) {
    case Reaction::kRetry:
      facts.kind = phase == CallPhase::kOpening ? ErrorKind::kConnection
                                                : ErrorKind::kTransmission;
      break;
    case Reaction::kRenewToken:
      facts.kind = ErrorKind::kAuthentication;
      break;
    case Reaction::kGiveUp:
      // Not tried again with the same rows, so no kind that promises the contrary.
      if (phase == CallPhase::kOpen && !status.configuration) {
        facts.kind = ErrorKind::kConversion;
      } else if (status.code == rpc::StatusCode::kInvalidArgument) {
        facts.kind = ErrorKind::kSchema;  // an open carries nothing else
      } else {
        facts.kind = ErrorKind::kConfiguration;
      }
      break;
  }
  if (failure.reaction == Reaction::kGiveUp &&
      status.code == rpc::StatusCode::kInvalidArgument) {
    ReadDetails(status.details, &facts);
  }
  std::string message = phase == CallPhase::kOpening ? "the stream could not be opened: "
                                                     : "the stream was ended: ";
  message.append(rpc::StatusCodeName(status.code));
  if (!status.message.empty())
    message += ": " + status.message.substr(0, kMessageBytesMax);
  if (status.code == rpc::StatusCode::kOk) message += ": the service ended it unasked";
  for (const std::string& cause : facts.schema_causes) message += " [" + cause + "]";
  failure.error = MakeFailure(std::move(facts), std::move(message));
  return failure;
}

}  // namespace arrowport::zerobus
