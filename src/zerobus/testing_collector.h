// An OTLP collector inside a test: keeps what it is sent, and misbehaves on request. Not
// part of the library.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "zerobus/otlp/arrowport_otlp.pb.h"

namespace arrowport::zerobus::testing {

/// Thread-safe. One request a connection.
class FakeCollector {
 public:
  struct Request {
    std::string path;
    std::string head;  ///< request line and headers, lower case
    std::string body;
  };

  FakeCollector() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeCollector() {
    ending_ = true;
    thread_.join();
    close(listener_);
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// Answers from now on; 0: never.
  void set_status(int status, std::string more_headers = "") {
    std::lock_guard<std::mutex> lock(mutex_);
    more_headers_ = std::move(more_headers);
    status_ = status;
    changed_.notify_all();
  }
  std::vector<Request> requests(const std::string& path = "") {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Request> found;
    for (const Request& request : requests_) {
      if (path.empty() || request.path == path) found.push_back(request);
    }
    return found;
  }
  template <typename Predicate>
  bool WaitFor(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::unique_lock<std::mutex> lock(wait_mutex_);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return true;
  }

  /// Of every request, accepted or not.
  std::vector<otlp::Span> spans() {
    std::vector<otlp::Span> spans;
    for (const Request& request : requests("/v1/traces")) {
      otlp::ExportTraceServiceRequest message;
      EXPECT_TRUE(message.ParseFromString(request.body));
      for (const auto& resource : message.resource_spans()) {
        for (const auto& scope : resource.scope_spans()) {
          spans.insert(spans.end(), scope.spans().begin(), scope.spans().end());
        }
      }
    }
    return spans;
  }
  /// Values of the newest export: "name" or "name{label}".
  std::map<std::string, int64_t> sums() {
    std::map<std::string, int64_t> values;
    ForEachMetric([&](const otlp::Metric& metric) {
      for (const auto& point : metric.sum().data_points()) {
        values[metric.name() + Label(point.attributes())] = point.as_int();
      }
      for (const auto& point : metric.histogram().data_points()) {
        values[metric.name() + Label(point.attributes())] =
            static_cast<int64_t>(point.count());
      }
    });
    return values;
  }
  otlp::ExportMetricsServiceRequest newest_metrics() {
    otlp::ExportMetricsServiceRequest message;
    const auto all = requests("/v1/metrics");
    if (!all.empty()) {
      EXPECT_TRUE(message.ParseFromString(all.back().body));
    }
    return message;
  }

 private:
  template <typename Visit>
  void ForEachMetric(Visit visit) {
    const auto message = newest_metrics();
    for (const auto& resource : message.resource_metrics()) {
      for (const auto& scope : resource.scope_metrics()) {
        for (const auto& metric : scope.metrics()) visit(metric);
      }
    }
  }
  /// The instrument's own attribute comes last.
  static std::string Label(
      const google::protobuf::RepeatedPtrField<otlp::KeyValue>& attributes) {
    const auto& last = attributes[attributes.size() - 1];
    const bool common =
        last.key() == "server.address" || last.key() == "arrowport.zerobus.mode";
    return common ? "" : "{" + last.value().string_value() + "}";
  }

  void Serve() {
    while (!ending_) {
      pollfd ready{listener_, POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) continue;
      Answer(peer);
      close(peer);
    }
  }

  void Answer(int peer) {
    std::string bytes;
    size_t head_end = std::string::npos;
    size_t wanted = 0;
    char buffer[65536];
    while (!ending_ && (head_end == std::string::npos || bytes.size() < wanted)) {
      pollfd ready{peer, POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      const ssize_t count = recv(peer, buffer, sizeof(buffer), 0);
      if (count <= 0) return;
      bytes.append(buffer, static_cast<size_t>(count));
      if (head_end != std::string::npos) continue;
      head_end = bytes.find("\r\n\r\n");
      if (head_end == std::string::npos) continue;
      std::string head = Lower(bytes.substr(0, head_end));
      const size_t length = head.find("content-length: ");
      wanted = head_end + 4 +
               (length == std::string::npos ? 0 : std::stoul(head.substr(length + 16)));
    }
    if (ending_) return;
    const size_t path = bytes.find(' ') + 1;
    Request request{bytes.substr(path, bytes.find(' ', path) - path),
                    Lower(bytes.substr(0, head_end)), bytes.substr(head_end + 4)};
    std::unique_lock<std::mutex> lock(mutex_);
    requests_.push_back(std::move(request));
    changed_.notify_all();
    while (status_ == 0 && !ending_) {
      changed_.wait_for(lock, std::chrono::milliseconds(20));
    }
    const std::string answer = "HTTP/1.1 " + std::to_string(status_) + " X\r\n" +
                               more_headers_ +
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    lock.unlock();
    static_cast<void>(send(peer, answer.data(), answer.size(), MSG_NOSIGNAL));
  }

  static std::string Lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::mutex wait_mutex_;
  std::condition_variable changed_;
  int status_ = 200;
  std::string more_headers_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace arrowport::zerobus::testing
