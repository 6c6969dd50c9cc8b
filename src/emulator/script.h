// What the emulator is told to do: how it acknowledges, when it rotates connections, what
// it breaks and where. Plain data, immutable once parsed. The JSON form is described in
// docs/reference/zerobus-emulator.md.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::emulator {

enum class Mode { kRecord, kFlight };
std::string_view NameOf(Mode mode);

constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();

/// From `first` to `last`, both included.
struct Span {
  int64_t first = 0;
  int64_t last = kNoEnd;
  bool Holds(int64_t value) const { return value >= first && value <= last; }
};

/// Where a fault may strike, in the order a call passes them.
enum class Point {
  kBeforeHeaders,      ///< the metadata was judged, nothing was answered
  kAfterHeaders,       ///< response headers are out
  kBeforeCreateReply,  ///< the create message (Flight: the schema) was accepted
  kAfterOpen,          ///< the create reply (Flight: ready) is out
  kBeforeLog,          ///< per request: checked and not logged
  kAfterLog,           ///< per request: logged and not acknowledged
  kMidFrame,           ///< per acknowledgement: half of its frame is out
  kAfterAcks,          ///< per acknowledgement, counted from 1: it is out
};

enum class ActionKind {
  kStatus,
  kOk,
  kResetStream,
  kGoaway,
  kTcpClose,
  kTcpReset,
  kFreeze,
  kSilence,
  kStall,
  kDelay,
  kAckDuplicate,
  kAckLower,
  kAckTooHigh,
  kAckWithoutOffset,
  kAckUnparseable,
  kAckMissing,
  kUnexpectedMessage,
  kCloseSignal,
};

struct Action {
  ActionKind kind = ActionKind::kStatus;
  int grpc_status = 14;
  std::string message;
  std::string reason;                           ///< google.rpc.ErrorInfo, when not empty
  std::map<std::string, std::string> metadata;  ///< of the ErrorInfo
  uint32_t http2_code = 0;
  std::optional<std::chrono::milliseconds> duration;
  int64_t amount = 1;  ///< how far an acknowledgement is off
};

struct FaultRule {
  std::string table;  ///< empty: every table
  std::optional<Mode> mode;
  Span connections{1, kNoEnd};  ///< the n-th calls of the table, from 1
  Point point = Point::kBeforeLog;
  Span at;  ///< wire offsets, or numbers of acknowledgements from 1
  int64_t times_max = kNoEnd;
  double probability = 1;  ///< that it applies to a connection it could apply to
  Action action;
};

struct AckPolicy {
  /// Acknowledge when this many requests are logged; 0: whatever a write brought.
  int64_t every = 0;
  int64_t rows = 0;  ///< Flight: acknowledge at each multiple of this many rows; 0: off
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds jitter{0};  ///< uniform, on top of `delay`
  /// After this long without a newly logged request all that is logged is acknowledged.
  std::chrono::milliseconds idle{20};
};

struct Rotation {
  Span connections{1, kNoEnd};
  std::optional<std::chrono::milliseconds> after;  ///< since the call opened
  std::optional<int64_t> after_requests;           ///< logged on this call
  std::optional<std::chrono::milliseconds> duration;  ///< as told; none: not told
  bool with_ack = false;                              ///< Flight: rides on an ack
  bool forced = true;                                 ///< ends the call at expiry
  std::chrono::milliseconds early{0};                 ///< ends it before expiry
  std::chrono::milliseconds late{0};                  ///< ends it after expiry
  int64_t signals = 1;                                ///< how often it is sent
  std::chrono::milliseconds repeat{100};              ///< between signals
};

/// What a table (or all) has beside faults.
struct TableRules {
  std::optional<AckPolicy> acks;
  std::optional<Rotation> rotation;
};

struct OauthFault {
  Span requests{1, kNoEnd};  ///< the n-th token requests, from 1
  int http_status = 0;       ///< 0: answer as usual
  std::optional<int64_t> retry_after_seconds;
  std::optional<std::string> body;
  std::chrono::milliseconds delay{0};
  bool hang = false;  ///< no answer at all
};

struct OauthRules {
  enum class ExpiresIn { kNumber, kText, kMissing, kZero };
  int64_t token_life_seconds = 3600;
  ExpiresIn expires_in = ExpiresIn::kNumber;
  std::vector<OauthFault> faults;
};

/// gRPC codes of what the live service's answers are unconfirmed for.
struct Statuses {
  int row = 3;
  int offset = 3;
  int size = 3;
};

struct FlightRules {
  /// Utf8 and Binary views and small offsets for their large forms.
  bool near_types = false;
  bool reordered = false;         ///< columns in another order than the table's
  bool missing_nullable = true;   ///< nullable columns may be left out
};

struct Script {
  TableRules all;
  std::map<std::string, TableRules> tables;
  std::vector<FaultRule> faults;
  OauthRules oauth;
  Statuses statuses;
  FlightRules flight;
  std::optional<uint64_t> seed;
};

/// Errors: kBadConfig naming the field.
arrow::Result<Script> ParseScript(std::string_view json);

}  // namespace arrowport::emulator
