// One ingest call of either mode: opening, offsets, log, acknowledgements, rotation, and
// the faults of the script at their points.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "emulator/dialect.h"
#include "emulator/service.h"
#include "wire/net/call.h"

namespace arrowport::emulator {

/// The handler of a call. All members belong to the serial events of the call, but for
/// what is marked.
class IngestStream : public wire::net::CallHandler {
 public:
  /// `service` outlives the handler.
  IngestStream(std::shared_ptr<wire::net::Call> call, Service* service, Mode mode);
  ~IngestStream() override;

  void OnMessage(wire::net::Message message) override;
  void OnEnd() override;
  void OnBodyError(arrow::Status status) override;
  void OnWritable() override;
  void OnDone(const arrow::Status& status) override;

  const std::string& table_name() const { return table_name_; }  ///< thread-safe
  /// Thread-safe; does nothing once the call is over.
  void RotateSoon(const Rotation& rotation);

  // Tasks of the call.

  /// Judges the metadata.
  void Begin();
  /// Requests below `count` are logged, or why not.
  void OnLogged(int64_t count, const arrow::Status& status);

 private:
  class LogNews;
  enum class State {
    kStarting,   ///< the metadata is being judged, or a delay holds the answer
    kWaiting,    ///< for the create message or the schema
    kOpening,    ///< judged; a delay holds the reply
    kStreaming,
    kEnded,      ///< nothing is answered any more
  };
  enum class Flow {
    kGo,
    kStop,  ///< the call is over, or is to be silent
  };
  /// A request that is accepted and not acknowledged.
  struct Accepted {
    int64_t rows_end;  ///< rows of the call up to its end
    bool ack_missing = false;
  };

  arrow::Status JudgeMetadata();
  void Open(wire::net::Message message);
  void Opened();
  void Ingest(wire::net::Message message);
  void Log(IngestRequest request);

  /// Goes on with `next` at once, after a delay of the script, or never.
  template <typename Next>
  void Pass(Point point, int64_t at, Next next);
  template <typename Next>
  void Later(std::chrono::milliseconds delay, Next next);
  Flow Act(const Action& action, int64_t offset);
  Flow ActOnCall(const Action& action);
  Flow ActOnStream(const Action& action, int64_t offset);
  void Hold();
  void Release();

  /// Takes logged requests through the point behind the log.
  void AdvanceLogged();
  void DecideAcks();
  void ScheduleAck(AckPoint point, int64_t count);
  void EmitAck(AckPoint point, int64_t count);
  void ArmIdleTimer();
  void FinishIfDrained();

  void SendCloseSignal(const Rotation& rotation);
  void Rotate(const Rotation& rotation);

  void Refuse(const arrow::Status& status);
  void End(int grpc_status, std::string message, wire::net::Headers trailers = {});
  void Break(const wire::net::Breakage& breakage);
  void Stopped();
  bool Send(wire::net::Slices reply);
  int64_t rows_of(int64_t count) const;
  bool over() const { return state_ == State::kEnded || silent_; }

  const std::shared_ptr<wire::net::Call> call_;
  Service* const service_;
  const Mode mode_;
  const std::string table_name_;
  ConnectionPlan plan_;
  TableCounters& counters_;
  const std::unique_ptr<Dialect> dialect_;
  const std::shared_ptr<LogNews> log_news_;
  std::shared_ptr<const Table> table_;
  State state_ = State::kStarting;
  std::string stream_id_;
  std::string log_head_;  ///< of each line of the log
  std::string log_line_;

  bool opened_ = false;
  bool silent_ = false;       ///< reads on and answers nothing
  bool half_closed_ = false;
  bool server_ended_ = false;
  int holds_ = 0;             ///< reading stops while above 0
  bool log_held_ = false;     ///< one of them is for the log
  bool ack_delayed_ = false;  ///< a delay stands behind the log
  bool writable_ = true;

  // Counts of requests since the open: acked <= scheduled <= logged <= written <= accepted.
  std::deque<Accepted> unacked_;
  int64_t accepted_ = 0;
  int64_t accepted_rows_ = 0;
  int64_t written_ = 0;  ///< in the log
  int64_t logged_ = 0;   ///< passed the point behind the log
  int64_t scheduled_ = 0;
  int64_t scheduled_rows_ = 0;
  int64_t acked_ = 0;
  int64_t acked_rows_ = 0;
  int64_t acks_sent_ = 0;
  std::chrono::steady_clock::time_point last_ack_due_{};
  bool idle_armed_ = false;
  int64_t idle_seen_ = 0;  ///< logged_ when the timer was armed
  bool ack_waits_ = false;
  AckPoint waiting_ack_;
  int64_t waiting_count_ = 0;
  bool close_signalled_ = false;
  bool rotated_ = false;
};

}  // namespace arrowport::emulator
