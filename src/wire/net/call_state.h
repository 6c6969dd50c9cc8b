// One call between its connection (I/O thread) and its handler (workers): the queue of
// events one way, the queue of the answer's bytes the other way.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "wire/net/call.h"
#include "wire/net/grpc_framing.h"
#include "wire/net/worker_pool.h"

namespace arrowport::wire::net {

class CallState;
class Connection;

/// Tells the I/O thread of a call that something about the call changed. Thread-safe.
class NoteSink {
 public:
  virtual ~NoteSink() = default;
  virtual void Note(std::shared_ptr<CallState> call) = 0;
};

/// What all calls of one I/O thread share. Immutable.
struct CallEnvironment {
  std::shared_ptr<WorkerPool> workers;
  std::shared_ptr<NoteSink> notes;
  std::shared_ptr<BufferPool> pool;
  int64_t message_bytes_max = 0;
  int64_t write_high_bytes = 0;
  int64_t write_low_bytes = 0;
};

/// Thread-safe; what is marked so is for the I/O thread alone.
class CallState final : public Call,
                        public Strand,
                        public std::enable_shared_from_this<CallState> {
 public:
  CallState(std::shared_ptr<const CallEnvironment> environment, RequestHead head);
  ~CallState() override;

  // The handler's side.
  const RequestHead& head() const override { return head_; }
  const std::shared_ptr<BufferPool>& pool() const override { return environment_->pool; }
  void SendHead(ResponseHead head) override;
  bool Write(Slices slices) override;
  int64_t queued_bytes() const override;
  void Finish(Outcome outcome) override;
  void Abort() override;
  void PauseReading() override;
  void ResumeReading() override;
  void Post(std::function<void()> task) override;
  bool cancelled() const override;
  PeerEnd peer_end() const override;
  void Break(const Breakage& breakage) override;

  // The connection's side, I/O thread only.

  /// `release` runs once, after the handler is destroyed.
  void Attach(std::unique_ptr<CallHandler> handler, MessageFormat format,
              MessageCodec codec, std::function<void()> release);
  bool attached() const { return attached_; }
  /// Empties `batch` into the queue of events.
  void Deliver(std::vector<Inbound>* batch);
  void DeliverEnd();
  void DeliverBodyError(arrow::Status status);
  /// OnDone; what was not delivered yet is dropped. Only the first call counts.
  void End(arrow::Status status, PeerEnd peer_end = PeerEnd::kNone);

  /// What the handler asked for since the last time.
  struct Output {
    std::optional<ResponseHead> head;
    Slices slices;
    std::optional<Outcome> outcome;
    bool aborted = false;
    bool overflowed = false;  ///< the handler wrote on after Write returned false
    std::optional<Breakage> breakage;
  };
  Output TakeOutput();
  /// `bytes` of the answer went to the socket's queue.
  void Taken(int64_t bytes);

  bool reading_paused() const;
  /// Bytes of messages the handler has not been given yet.
  int64_t undelivered_bytes() const;
  /// False when no more than `bytes` are undelivered; else a note will come once.
  bool NoteBelow(int64_t bytes);
  /// A compressed message was bad: the rest of the body is of no use.
  bool input_failed() const;
  bool ended() const;

  /// Set by the thread that freed a slot for this call, then a note follows.
  std::atomic<bool> slot_granted{false};
  std::weak_ptr<Connection> connection;  ///< I/O thread only
  int32_t stream_id = 0;                 ///< HTTP/2

  bool RunSome() override;

 private:
  struct Event {
    enum class Kind { kMessage, kEnd, kBodyError, kWritable, kTask, kDone };
    Kind kind;
    Inbound inbound;
    arrow::Status status;
    std::function<void()> task;
  };

  bool NextEvent(Event* event) REQUIRES(mutex_);
  void Dispatch(Event event);
  void DispatchMessage(Inbound inbound);
  void RunDone(const arrow::Status& status);
  /// Queues this call on the workers unless it is queued already. Returns true when the
  /// caller must call workers->Schedule after unlocking.
  bool WantsSchedule() REQUIRES(mutex_);
  void Schedule() { environment_->workers->Schedule(shared_from_this()); }
  bool WantsNote() REQUIRES(mutex_);
  void Note() { environment_->notes->Note(shared_from_this()); }

  const std::shared_ptr<const CallEnvironment> environment_;
  const RequestHead head_;

  // Set in Attach, before the first event; then used by the one worker that runs the
  // strand.
  std::unique_ptr<CallHandler> handler_;
  MessageFormat format_ = MessageFormat::kRaw;
  MessageCodec codec_ = MessageCodec::kIdentity;
  std::function<void()> release_;

  mutable Mutex mutex_;
  bool attached_ = false;
  bool scheduled_ GUARDED_BY(mutex_) = false;
  bool noted_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  bool paused_ GUARDED_BY(mutex_) = false;
  bool input_failed_ GUARDED_BY(mutex_) = false;
  bool handler_gone_ GUARDED_BY(mutex_) = false;
  std::deque<Event> messages_ GUARDED_BY(mutex_);  ///< in the order of the body
  std::deque<Event> control_ GUARDED_BY(mutex_);   ///< not stopped by PauseReading
  int64_t undelivered_bytes_ GUARDED_BY(mutex_) = 0;
  int64_t note_below_ GUARDED_BY(mutex_) = -1;

  std::optional<ResponseHead> out_head_ GUARDED_BY(mutex_);
  bool head_given_ GUARDED_BY(mutex_) = false;
  Slices out_slices_ GUARDED_BY(mutex_);
  std::optional<Outcome> out_outcome_ GUARDED_BY(mutex_);
  bool output_ended_ GUARDED_BY(mutex_) = false;
  bool aborted_ GUARDED_BY(mutex_) = false;
  std::optional<Breakage> breakage_ GUARDED_BY(mutex_);
  PeerEnd peer_end_ GUARDED_BY(mutex_) = PeerEnd::kNone;
  bool overflowed_ GUARDED_BY(mutex_) = false;
  bool writable_wanted_ GUARDED_BY(mutex_) = false;
  int64_t queued_bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::wire::net
