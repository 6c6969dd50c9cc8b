// A listener with routes that tests can look into. Not part of the library.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <string>

#include "base/mutex.h"
#include "wire/net/testing_handlers.h"

namespace arrowport::wire::net::testing {

/// What a handler saw, shared with the test.
struct Seen {
  std::string body;
  int messages = 0;
  bool ended = false;
  arrow::Status body_error;
  std::optional<arrow::Status> done;
};

/// Calls by path: what was seen, waited for with a deadline. Thread-safe.
class Record {
 public:
  void Update(const std::string& path, const std::function<void(Seen&)>& change) {
    MutexLock lock(mutex_);
    change(seen_[path]);
    changed_.notify_all();
  }
  /// True once `holds`; false after 20 s.
  bool WaitFor(const std::string& path, const std::function<bool(const Seen&)>& holds) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    MutexLock lock(mutex_);
    while (!holds(seen_[path])) {
      if (lock.WaitUntil(changed_, deadline) == std::cv_status::timeout) {
        return holds(seen_[path]);
      }
    }
    return true;
  }
  bool WaitDone(const std::string& path) {
    return WaitFor(path, [](const Seen& seen) { return seen.done.has_value(); });
  }
  Seen Get(const std::string& path) {
    MutexLock lock(mutex_);
    return seen_[path];
  }
  void Hold(std::shared_ptr<Call> call) {
    MutexLock lock(mutex_);
    held_.push_back(std::move(call));
    changed_.notify_all();
  }
  size_t held() {
    MutexLock lock(mutex_);
    return held_.size();
  }
  bool WaitHeld(size_t count) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    MutexLock lock(mutex_);
    while (held_.size() < count) {
      if (lock.WaitUntil(changed_, deadline) == std::cv_status::timeout) return false;
    }
    return true;
  }
  std::vector<std::shared_ptr<Call>> TakeHeld() {
    MutexLock lock(mutex_);
    return std::exchange(held_, {});
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Seen> seen_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Call>> held_ GUARDED_BY(mutex_);
};

/// Records everything; what it answers depends on the path:
///   /echo...  every message comes back at once        /count  the number of bytes
///   /hold...  keeps the call open until the test ends it
///   /pause    stops reading after the first message   /big?N  N bytes, with
///   back-pressure
class TestHandler : public CallHandler {
 public:
  TestHandler(std::shared_ptr<Call> call, Record* record)
      : call_(std::move(call)), record_(record), path_(call_->head().path) {}

  void OnMessage(Message message) override {
    std::string text = message.body ? message.body->ToString() : std::string();
    bytes_ += message.bytes();
    record_->Update(path_, [&](Seen& seen) {
      ++seen.messages;
      if (seen.body.size() < (1 << 20)) seen.body += text;
    });
    if (path_.starts_with("/echo") || path_.starts_with("/test.Echo")) {
      call_->Write({message.body});
    }
    if (path_ == "/pause") {
      call_->PauseReading();
      record_->Hold(call_);
    }
  }
  void OnEnd() override {
    record_->Update(path_, [](Seen& seen) { seen.ended = true; });
    if (path_.starts_with("/hold") || path_.ends_with("Hold")) {
      record_->Hold(call_);
    } else if (path_ == "/big") {
      left_ = std::stoll(call_->head().query);
      OnWritable();
    } else if (path_ == "/abort") {
      call_->Write({arrow::Buffer::FromString(std::string(1000, 'x'))});
      call_->Abort();
    } else if (path_.starts_with("/echo") || path_.starts_with("/test.Echo")) {
      call_->Finish({});
    } else {
      Answer(200, std::to_string(bytes_));
    }
  }
  void OnBodyError(arrow::Status status) override {
    record_->Update(path_, [&](Seen& seen) { seen.body_error = status; });
    if (call_->head().protocol == Protocol::kGrpc) {
      ErrorCode code = CodeOf(status);
      bool resources = code == ErrorCode::kTooLarge || code == ErrorCode::kOverloaded;
      call_->Finish({resources ? 8 : 3, status.message(), {}});
    } else {
      Answer(CodeOf(status) == ErrorCode::kTooLarge ? 413 : 400, status.message());
    }
  }
  void OnWritable() override {
    if (path_ != "/big") return;
    auto piece = arrow::Buffer::FromString(std::string(64 * 1024, 'b'));
    while (left_ > 0) {
      int64_t size = std::min<int64_t>(left_, piece->size());
      left_ -= size;
      if (!call_->Write({arrow::SliceBuffer(piece, 0, size)})) return;
    }
    call_->Finish({});
  }
  void OnDone(const arrow::Status& status) override {
    record_->Update(path_, [&](Seen& seen) { seen.done = status; });
  }

 private:
  void Answer(int status, std::string text) {
    ResponseHead head;
    head.status = status;
    head.headers.emplace_back("content-type", "text/plain");
    head.content_length = text.size();
    call_->SendHead(std::move(head));
    call_->Write({arrow::Buffer::FromString(std::move(text))});
    call_->Finish({});
  }

  const std::shared_ptr<Call> call_;
  Record* const record_;
  const std::string path_;
  int64_t bytes_ = 0;
  int64_t left_ = 0;
};

class TestRouter : public Router {
 public:
  explicit TestRouter(Record* record) : record_(record) {}
  Admission AdmissionOf(const RequestHead& head) override {
    return head.path == "/health" ? Admission::kExempt : Admission::kCounted;
  }
  Route OnRequest(const RequestHead& head, const std::shared_ptr<Call>& call) override {
    Route route;
    if (head.path.starts_with("/none")) return route;
    if (head.path.starts_with(kFlightService)) {
      route.format = MessageFormat::kFlightData;
      if (head.path.ends_with("DoPut")) {
        route.handler = std::make_unique<PutSink>(call);
      } else if (head.path.ends_with("DoGet")) {
        route.format = MessageFormat::kRaw;
        route.handler = std::make_unique<GetSource>(
            call,
            std::vector<std::shared_ptr<arrow::RecordBatch>>(20, MakeBatch(10'000)));
      }
      return route;
    }
    route.handler = std::make_unique<TestHandler>(call, record_);
    if (head.path == "/small") route.body_bytes_max = 1000;
    return route;
  }

 private:
  Record* const record_;
};

class CountingObserver : public Observer {
 public:
  void OnConnection(Protocol, int change) override { open += change; }
  void OnRejected(std::string_view reason) override {
    MutexLock lock(mutex_);
    ++rejected_[std::string(reason)];
  }
  int rejected(const std::string& reason) {
    MutexLock lock(mutex_);
    return rejected_[reason];
  }
  std::atomic<int> open{0};

 private:
  Mutex mutex_;
  std::map<std::string, int> rejected_ GUARDED_BY(mutex_);
};

/// Polls until `holds`, at most 20 s.
inline bool Eventually(const std::function<bool()>& holds) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

class TestServer {
 public:
  explicit TestServer(const std::function<void(ListenerOptions&)>& change = {}) {
    ListenerOptions options;
    options.router = std::make_shared<TestRouter>(&record);
    options.observer = observer;
    if (change) change(options);
    listener = *Listener::Make(options);
    port = *listener->Bind("127.0.0.1", 0);
    (void)listener->Start();
  }
  ~TestServer() {
    auto held = record.TakeHeld();
    held.clear();
    listener->Stop(std::chrono::milliseconds(0));
  }

  /// One request on a connection of its own, answer to the end of the stream.
  std::string Ask(std::string_view request) {
    RawSocket socket(port);
    socket.Send(request);
    return socket.ReceiveAll();
  }

  Record record;
  std::shared_ptr<CountingObserver> observer = std::make_shared<CountingObserver>();
  std::unique_ptr<Listener> listener;
  uint16_t port = 0;
};

}  // namespace arrowport::wire::net::testing
