// A router over fakes, driven as the transport would. Not part of the library.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "wire/http/http_fakes.h"
#include "wire/http/router.h"

namespace arrowport::wire::http::testing {

using nlohmann::json;

struct Answer {
  int status = 0;
  std::string body;
  bool finished = false;
  bool aborted = false;
  net::Headers headers;
  std::string Header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
  json Json() const { return json::parse(body, nullptr, false); }
  std::string code() const { return Json().value("code", ""); }
};

class HttpRouterTest : public ::testing::Test {
 protected:
  HttpRouterTest() {
    Configure([](HttpOptions&) {});
  }

  void Configure(const std::function<void(HttpOptions&)>& change) {
    HttpOptions options;
    options.ingest = ingest_;
    options.query = query_;
    options.metrics = metrics_;
    options.server_version = "1.2.3";
    change(options);
    router_ = std::make_unique<HttpRouter>(std::move(options));
  }

  net::RequestHead Head(std::string method, std::string target,
                        net::Headers headers = {}) {
    net::RequestHead head;
    head.method = std::move(method);
    const size_t mark = target.find('?');
    head.path = target.substr(0, mark);
    if (mark != std::string::npos) head.query = target.substr(mark + 1);
    head.headers = std::move(headers);
    head.peer.loopback = true;
    head.request_id = "r1";
    return head;
  }

  /// Sends the body in pieces of `piece` bytes as the transport would, to its end.
  Answer Send(net::RequestHead head, std::string_view body = {}, size_t piece = 1000) {
    auto call = std::make_shared<FakeCall>(std::move(head));
    call->high_water = high_water_;
    net::Route route = router_->OnRequest(call->head(), call);
    if (!route.parser) route.parser = net::MakePieceParser(call->pool());
    arrow::Status status;
    for (size_t at = 0; at < body.size() && status.ok(); at += piece) {
      std::vector<net::Message> messages;
      auto part = body.substr(at, piece);
      status = route.parser->Consume(
          {reinterpret_cast<const uint8_t*>(part.data()), part.size()}, &messages);
      for (auto& message : messages) {
        route.handler->OnMessage(std::move(message));
        call->RunTasks();
      }
    }
    std::vector<net::Message> messages;
    if (status.ok()) status = route.parser->End(&messages);
    for (auto& message : messages) route.handler->OnMessage(std::move(message));
    if (status.ok()) {
      route.handler->OnEnd();
    } else {
      route.handler->OnBodyError(status);
    }
    call->RunTasks();
    for (int i = 0; i < 100000 && !call->finished && !call->aborted; ++i) {
      call->queued = 0;
      route.handler->OnWritable();
      call->RunTasks();
    }
    Answer answer;
    if (call->sent) answer.headers = call->sent->headers;
    answer.status = call->sent ? call->sent->status : 0;
    answer.body = call->body;
    answer.finished = call->finished;
    answer.aborted = call->aborted;
    write_bytes_max_ = call->write_bytes_max;
    route.handler->OnDone({});
    EXPECT_EQ(answer.Header("x-request-id"), "r1");
    return answer;
  }

  int64_t IngestedRows() const {
    int64_t rows = 0;
    for (const auto& batch : ingest_->batches) rows += batch->num_rows();
    return rows;
  }

  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::shared_ptr<FakeQuery> query_ = std::make_shared<FakeQuery>();
  std::shared_ptr<observe::Registry> metrics_ = std::make_shared<observe::Registry>();
  std::unique_ptr<HttpRouter> router_;
  int64_t high_water_ = int64_t{1} << 40;
  int64_t write_bytes_max_ = 0;
};

}  // namespace arrowport::wire::http::testing
