// One call of the emulator without a network: the test is the peer. Not part of the
// library.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emulator/ingest_stream.h"
#include "emulator/service.h"
#include "wire/net/call.h"
#include "zerobus/protocol/zerobus.pb.h"

namespace arrowport::emulator::testing {

namespace net = wire::net;
using databricks::zerobus::EphemeralStreamRequest;
using databricks::zerobus::EphemeralStreamResponse;

constexpr std::chrono::seconds kPatience{10};

/// Tasks may be posted from any thread; the test runs them in Pump.
class FakeCall : public net::Call {
 public:
  FakeCall(std::string table, std::string token) {
    head_.protocol = net::Protocol::kGrpc;
    head_.method = "POST";
    if (!table.empty()) {
      head_.headers.emplace_back("x-databricks-zerobus-table-name", std::move(table));
    }
    if (!token.empty()) head_.headers.emplace_back("authorization", "Bearer " + token);
  }

  const net::RequestHead& head() const override { return head_; }
  const std::shared_ptr<BufferPool>& pool() const override { return pool_; }
  void SendHead(net::ResponseHead) override { ++heads; }
  bool Write(net::Slices slices) override {
    std::string message;
    for (const auto& slice : slices) message += slice->ToString();
    written.push_back(std::move(message));
    return writable;
  }
  int64_t queued_bytes() const override { return 0; }
  void Finish(net::Outcome given) override { outcome = std::move(given); }
  void Abort() override {}
  void PauseReading() override { paused = true; }
  void ResumeReading() override { paused = false; }
  void Post(std::function<void()> task) override {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_all();
  }
  bool cancelled() const override { return false; }
  net::PeerEnd peer_end() const override { return end; }
  void Break(const net::Breakage& given) override { broken.push_back(given); }

  /// Runs tasks until `done`; false after kPatience.
  bool Pump(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      std::function<void()> task;
      {
        MutexLock lock(mutex_);
        while (tasks_.empty()) {
          if (lock.WaitUntil(posted_, deadline) == std::cv_status::timeout) return done();
        }
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
    return true;
  }
  /// Drops what is posted, as a call that is over does.
  void DropTasks() {
    MutexLock lock(mutex_);
    tasks_.clear();
  }

  int heads = 0;
  bool writable = true;
  bool paused = false;
  net::PeerEnd end = net::PeerEnd::kNone;
  std::vector<std::string> written;
  std::optional<net::Outcome> outcome;
  std::vector<net::Breakage> broken;

 private:
  net::RequestHead head_;
  std::shared_ptr<BufferPool> pool_;
  Mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
};

/// A record-mode call and what came back.
class RecordCall {
 public:
  RecordCall(Service* service, const std::string& table, const std::string& token)
      : call_(std::make_shared<FakeCall>(table, token)),
        stream_(std::make_unique<IngestStream>(call_, service, Mode::kRecord)) {
    stream_->Begin();
  }
  ~RecordCall() {
    call_->DropTasks();
    stream_->OnDone(outcome() ? arrow::Status::OK() : arrow::Status::Cancelled("gone"));
  }

  FakeCall& call() { return *call_; }
  IngestStream& stream() { return *stream_; }
  const std::optional<net::Outcome>& outcome() const { return call_->outcome; }
  int status() const { return call_->outcome ? call_->outcome->grpc_status : -1; }
  std::string message() const { return call_->outcome ? call_->outcome->message : ""; }

  void Send(const std::string& bytes) {
    net::Message message;
    message.body = arrow::Buffer::FromString(bytes);
    stream_->OnMessage(std::move(message));
  }
  void Send(const EphemeralStreamRequest& request) { Send(request.SerializeAsString()); }

  void CreateJson(const std::string& table) {
    EphemeralStreamRequest request;
    request.mutable_create_stream()->set_table_name(table);
    request.mutable_create_stream()->set_record_type(databricks::zerobus::JSON);
    Send(request);
  }
  void SendJson(int64_t offset, const std::vector<std::string>& rows) {
    EphemeralStreamRequest request;
    auto* batch = request.mutable_ingest_record_batch();
    batch->set_offset_id(offset);
    for (const auto& row : rows) batch->mutable_json_batch()->add_records(row);
    Send(request);
  }

  std::vector<EphemeralStreamResponse> replies() const {
    std::vector<EphemeralStreamResponse> replies;
    for (const auto& bytes : call_->written) {
      replies.emplace_back();
      if (!replies.back().ParseFromString(bytes)) replies.back().Clear();
    }
    return replies;
  }
  /// Offsets of the acknowledgements so far.
  std::vector<int64_t> acks() const {
    std::vector<int64_t> offsets;
    for (const auto& reply : replies()) {
      if (!reply.has_ingest_record_response()) continue;
      offsets.push_back(reply.ingest_record_response().durability_ack_up_to_offset());
    }
    return offsets;
  }
  bool PumpAcks(size_t count) {
    return call_->Pump([&] { return acks().size() >= count; });
  }
  bool PumpAckOf(int64_t offset) {
    return call_->Pump([&] { return !acks().empty() && acks().back() == offset; });
  }
  bool PumpOutcome() {
    return call_->Pump([&] { return call_->outcome.has_value(); });
  }

 private:
  const std::shared_ptr<FakeCall> call_;
  const std::unique_ptr<IngestStream> stream_;
};

}  // namespace arrowport::emulator::testing
