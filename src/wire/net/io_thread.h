// One event loop with its thread, its connections and its receive buffer.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>
#include <vector>

#include "wire/net/connection.h"

namespace arrowport::wire::net {

/// Collects notes from any thread; one wake-up for each burst. Outlives its I/O thread.
class NoteQueue : public NoteSink {
 public:
  explicit NoteQueue(std::function<void()> wake) : wake_(std::move(wake)) {}
  void Note(std::shared_ptr<CallState> call) override;
  std::vector<std::shared_ptr<CallState>> Take();
  /// Later notes are dropped; `wake` is not called any more.
  void Close();

 private:
  Mutex mutex_;
  std::function<void()> wake_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<CallState>> notes_ GUARDED_BY(mutex_);
};

/// Start, Stop, Post and assigned are thread-safe; the rest is for the thread itself.
class IoThread {
 public:
  static constexpr size_t kScratchBytes = 512 * 1024;

  explicit IoThread(std::shared_ptr<ListenerContext> context);
  ~IoThread();

  void Start();
  /// Ends the loop and joins. Connections must have been closed before.
  void Stop();

  void Post(std::function<void()> task);

  boost::asio::io_context& loop() { return loop_; }
  const std::shared_ptr<ListenerContext>& context() { return context_; }
  const std::shared_ptr<const CallEnvironment>& environment() const {
    return environment_;
  }
  /// Shared by all connections of this thread; nothing in it outlives a read.
  std::span<uint8_t> scratch() { return {scratch_.get(), kScratchBytes}; }

  void Adopt(boost::asio::ip::tcp::socket socket, Peer peer);
  void Remove(const std::shared_ptr<Connection>& connection);
  /// Runs Connection::Update once, soon, however often it is asked.
  void UpdateSoon(std::shared_ptr<Connection> connection);
  void DrainConnections();
  /// Closes all connections; returns how many calls were cut.
  int CutConnections(const arrow::Status& status);

  int64_t assigned() const { return assigned_.load(std::memory_order_relaxed); }
  void CountAssigned() { assigned_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void Run();
  void TakeNotes();
  void RunUpdates();
  void ArmTick();

  const std::shared_ptr<ListenerContext> context_;
  std::shared_ptr<const CallEnvironment> environment_;
  boost::asio::io_context loop_;
  boost::asio::steady_timer tick_;
  std::chrono::milliseconds tick_interval_;
  const std::unique_ptr<uint8_t[]> scratch_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> updates_;
  bool updates_posted_ = false;
  std::atomic<int64_t> assigned_{0};
  std::thread thread_;
  std::shared_ptr<NoteQueue> notes_;
};

}  // namespace arrowport::wire::net
