#include "wire/net/io_thread.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/error.h"
#include "base/log.h"

namespace arrowport::wire::net {
namespace {

constexpr std::chrono::milliseconds kTickMax{250};
constexpr std::chrono::milliseconds kTickMin{5};

// Time limits are checked by one timer for all connections, at a quarter of the shortest.
std::chrono::milliseconds TickInterval(const ListenerOptions& options) {
  auto shortest = std::min({options.queue_wait, options.header_timeout,
                            options.body_rate_window, options.idle_timeout,
                            options.write_stall_timeout, options.keepalive_interval});
  return std::clamp(shortest / 4, kTickMin, kTickMax);
}

}  // namespace

void NoteQueue::Note(std::shared_ptr<CallState> call) {
  MutexLock lock(mutex_);
  if (!wake_) return;
  notes_.push_back(std::move(call));
  if (notes_.size() == 1) wake_();
}

std::vector<std::shared_ptr<CallState>> NoteQueue::Take() {
  std::vector<std::shared_ptr<CallState>> notes;
  MutexLock lock(mutex_);
  notes.swap(notes_);
  return notes;
}

void NoteQueue::Close() {
  std::vector<std::shared_ptr<CallState>> dropped;
  MutexLock lock(mutex_);
  wake_ = nullptr;
  dropped.swap(notes_);
}

IoThread::IoThread(std::shared_ptr<ListenerContext> context)
    : context_(std::move(context)),
      loop_(1),
      tick_(loop_),
      tick_interval_(TickInterval(context_->options)),
      scratch_(new uint8_t[kScratchBytes]) {
  notes_ = std::make_shared<NoteQueue>(
      [this] { boost::asio::post(loop_, [this] { TakeNotes(); }); });
  const ListenerOptions& options = context_->options;
  auto environment = std::make_shared<CallEnvironment>();
  environment->workers = context_->workers;
  environment->notes = notes_;
  environment->pool = context_->pool;
  environment->message_bytes_max = options.message_bytes_max;
  environment->write_high_bytes = options.write_high_bytes;
  environment->write_low_bytes = options.write_low_bytes;
  environment_ = std::move(environment);
}

IoThread::~IoThread() { Stop(); }

void IoThread::Start() {
  ArmTick();
  thread_ = std::thread([this] { Run(); });
}

void IoThread::Stop() {
  notes_->Close();
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
  updates_.clear();
  connections_.clear();
}

void IoThread::Run() {
  while (!loop_.stopped()) {
    try {
      loop_.run();
    } catch (const std::exception& error) {
      LogError("exception in the event loop", {{"error", error.what()}});
    }
  }
}

void IoThread::Post(std::function<void()> task) {
  boost::asio::post(loop_, std::move(task));
}

void IoThread::TakeNotes() {
  bool posted = std::exchange(updates_posted_, true);  // RunUpdates follows anyway
  for (auto& call : notes_->Take()) {
    if (auto connection = call->connection.lock()) connection->OnNote(*call);
  }
  updates_posted_ = posted;
  RunUpdates();
}

void IoThread::UpdateSoon(std::shared_ptr<Connection> connection) {
  if (connection->update_pending) return;
  connection->update_pending = true;
  updates_.push_back(std::move(connection));
  if (updates_posted_) return;
  updates_posted_ = true;
  boost::asio::post(loop_, [this] {
    updates_posted_ = false;
    RunUpdates();
  });
}

void IoThread::RunUpdates() {
  std::vector<std::shared_ptr<Connection>> updates;
  updates.swap(updates_);
  for (auto& connection : updates) {
    connection->update_pending = false;
    connection->Update();
  }
}

void IoThread::Adopt(boost::asio::ip::tcp::socket socket, Peer peer) {
  auto connection =
      std::make_shared<Connection>(this, std::move(socket), std::move(peer));
  connections_.insert(connection);
  connection->Start();
}

void IoThread::Remove(const std::shared_ptr<Connection>& connection) {
  if (connections_.erase(connection) > 0) {
    assigned_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void IoThread::DrainConnections() {
  std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
  for (auto& connection : all) connection->Drain();
}

int IoThread::CutConnections(const arrow::Status& status) {
  int cut = 0;
  std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
  for (auto& connection : all) cut += connection->Close(status);
  return cut;
}

void IoThread::ArmTick() {
  tick_.expires_after(tick_interval_);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    TimePoint now = std::chrono::steady_clock::now();
    std::vector<std::shared_ptr<Connection>> all(connections_.begin(),
                                                 connections_.end());
    for (auto& connection : all) connection->OnTick(now);
    ArmTick();
  });
}

}  // namespace arrowport::wire::net
