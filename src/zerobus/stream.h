// A stream: a StreamCore joined to connections, tokens and threads.
#pragma once

#include <arrow/result.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrowport/zerobus/observer.h"
#include "base/mutex.h"
#include "zerobus/client_core.h"
#include "zerobus/rpc/connection.h"
#include "zerobus/stream_core.h"

namespace arrowport::zerobus {

/// How the connections of a writer are made. Immutable.
struct ConnectPlan {
  rpc::ConnectionOptions connection;
  std::string share_key;  ///< empty: a connection per stream
  std::string table;
  std::string user_agent;
  std::optional<TokenCache::Request> token;  ///< none: the provider authorizes
  HeaderProvider header_provider;
};

/// Told of a stream's settlements, in order of offsets, on the I/O thread.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual void OnSettled(const Settlement& settlement) = 0;
};

/// Thread-safe. A submitted request may wait for a connection: the first one is made when
/// the stream starts.
class Stream final : public rpc::CallHandler,
                     public std::enable_shared_from_this<Stream> {
 public:
  struct Parts {
    StreamCore::Options core;
    std::shared_ptr<const StreamProtocol> protocol;
    std::shared_ptr<const ConnectPlan> plan;
    std::vector<std::shared_ptr<WriterObserver>> observers;
    StreamListener* listener = nullptr;  ///< outlives Stop
    std::function<double()> uniform;     ///< called on the I/O thread
  };
  /// `client` outlives the stream's Stop.
  static std::shared_ptr<Stream> Start(ClientCore* client, Parts parts);

  /// Accepts a request and returns its logical offset; waits, or fails by policy, while
  /// too much is in flight. Errors: why the stream ended; Closed; Transmission (full).
  arrow::Result<int64_t> Submit(Request request);

  /// Waits until all requests below `end_offset` are settled. OK when all of those below
  /// it that were not settled before the call are durable; else why the stream ended,
  /// or Closed after `deadline`.
  arrow::Status WaitSettled(int64_t end_offset, TimePoint deadline);
  /// Takes no more requests and ends the connection; everything not durable by then
  /// fails. Returns when it has ended: within a second or so.
  arrow::Status Close();
  /// Ends at once; afterwards nothing runs for this stream any more. Idempotent; the last
  /// call before the stream is let go.
  void Stop();

  bool ended() const;
  int64_t next_offset() const;
  std::vector<StreamCore::Unacknowledged> TakeUnacknowledged();
  WriterStatistics counters() const;

 private:
  Stream(ClientCore* client, Parts parts);

  // rpc::CallHandler, on the I/O thread.
  void OnMessage(std::string_view message) override;
  void OnWritable() override;
  void OnEnd(const rpc::RpcStatus& status) override;

  void CloseCore();
  void DriveSoon() REQUIRES(mutex_);
  void Drive();
  void DriveLocked(Outcomes* out) REQUIRES(mutex_);
  void Send() REQUIRES(mutex_);
  void Dispatch(Outcomes* out);
  void Observe(const Outcomes& out);
  void NoteFailedAttempt(const arrow::Status& error);
  void ArmTimer() REQUIRES(mutex_);
  void TakeMessage(const ServiceMessage& message, Outcomes* out) REQUIRES(mutex_);
  void EndConnection(const CallFailure& failure, Outcomes* out) REQUIRES(mutex_);

  void BeginAttempt();
  void OnToken(uint64_t attempt, arrow::Result<TokenLease> token);
  void OnProvided(uint64_t attempt, arrow::Result<Headers> headers);
  void OpenCall(const Headers& provided);
  void FailAttempt(uint64_t attempt, const arrow::Status& status);
  void DropCall();
  template <typename Task>
  void PostForAttempt(uint64_t attempt, Task task);

  ClientCore* const client_;
  const Parts parts_;

  mutable Mutex mutex_;
  std::condition_variable changed_;
  StreamCore core_ GUARDED_BY(mutex_);
  bool drive_posted_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;

  // The I/O thread's own.
  uint64_t attempt_ = 0;
  TimePoint attempt_began_{};
  std::optional<TokenLease> lease_;
  std::unique_ptr<rpc::Call> call_;
  std::vector<std::string> secrets_;  ///< that the call was given
  std::optional<rpc::Reactor::TimerId> timer_;
  std::vector<std::pair<RequestEvent, bool>> sent_events_;
  std::string stream_id_;
  std::optional<std::chrono::nanoseconds> connected_in_;  ///< to be told
  std::vector<std::pair<arrow::Status, std::chrono::nanoseconds>> failed_attempts_;
  std::pair<int64_t, int64_t> in_flight_{0, 0};  ///< requests and bytes, to be told
};

}  // namespace arrowport::zerobus
