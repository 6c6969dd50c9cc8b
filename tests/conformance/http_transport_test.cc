// The HTTP routes over real sockets: our listener in front of fake services, libcurl as
// the client.
#include <arpa/inet.h>
#include <arrow/ipc/reader.h>
#include <curl/curl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "wire/http/http_fakes.h"
#include "wire/http/router.h"
#include "wire/net/listener.h"

namespace arrowport::wire::http {
namespace {

using namespace arrowport::wire::http::testing;
using nlohmann::json;

struct Answer {
  CURLcode result = CURLE_OK;
  long status = 0;
  std::string body;
  std::string head;
};

enum class Framing { kSized, kChunked };

size_t Collect(char* data, size_t size, size_t count, void* out) {
  static_cast<std::string*>(out)->append(data, size * count);
  return size * count;
}

size_t Supply(char* data, size_t size, size_t count, void* from) {
  auto* rest = static_cast<std::string_view*>(from);
  const size_t given = std::min({size * count, rest->size(), size_t{60000}});
  std::copy_n(rest->data(), given, data);
  rest->remove_prefix(given);
  return given;
}

class HttpTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpOptions http;
    http.ingest = ingest_;
    http.query = query_;
    http.metrics = std::make_shared<observe::Registry>();
    http.server_version = "1";
    net::ListenerOptions options;
    options.io_threads = 1;
    options.router = std::make_shared<HttpRouter>(std::move(http));
    auto listener = net::Listener::Make(std::move(options));
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = std::move(*listener);
    auto port = listener_->Bind("127.0.0.1", 0);
    ASSERT_TRUE(port.ok()) << port.status();
    port_ = *port;
    ASSERT_TRUE(listener_->Start().ok());
  }
  void TearDown() override { listener_->Stop(std::chrono::seconds(5)); }

  Answer Send(const std::string& target, std::string_view body = {},
              std::vector<std::string> headers = {}, Framing framing = Framing::kSized) {
    Answer answer;
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                             curl_easy_cleanup);
    const std::string url = "http://127.0.0.1:" + std::to_string(port_) + target;
    std::string_view rest = body;
    curl_slist* list = nullptr;
    if (framing == Framing::kChunked) headers.push_back("Transfer-Encoding: chunked");
    for (const auto& header : headers) list = curl_slist_append(list, header.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, Collect);
    curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &answer.head);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    if (!body.empty()) {
      curl_easy_setopt(curl.get(), CURLOPT_POST, 1L);
      curl_easy_setopt(curl.get(), CURLOPT_READFUNCTION, Supply);
      curl_easy_setopt(curl.get(), CURLOPT_READDATA, &rest);
      const auto size = static_cast<curl_off_t>(body.size());
      if (framing == Framing::kSized) {
        curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, size);
      }
    }
    answer.result = curl_easy_perform(curl.get());
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    curl_slist_free_all(list);
    return answer;
  }

  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::shared_ptr<FakeQuery> query_ = std::make_shared<FakeQuery>();
  std::unique_ptr<net::Listener> listener_;
  uint16_t port_ = 0;
};

TEST_F(HttpTransportTest, IngestSizedAndChunked) {
  const std::string body = ToIpc({MakeBatch(100000), MakeBatch(50000)});
  for (Framing framing : {Framing::kSized, Framing::kChunked}) {
    ingest_->batches.clear();
    Answer answer = Send("/ingest/s", body, {"X-Request-Id: mine"}, framing);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(json::parse(answer.body)["rows_processed"], 150000);
    EXPECT_EQ(json::parse(answer.body)["request_id"], "mine");
    EXPECT_NE(answer.head.find("x-request-id: mine"), std::string::npos) << answer.head;
  }
}

TEST_F(HttpTransportTest, AnEarlyRefusalReachesAClientThatIsStillSending) {
  ingest_->open_status = Error(ErrorCode::kInvalidName, "bad name");
  const std::string body = ToIpc({MakeBatch(300000)});
  Answer answer = Send("/ingest/s", body, {}, Framing::kChunked);
  EXPECT_EQ(answer.status, 400) << curl_easy_strerror(answer.result);
  EXPECT_EQ(json::parse(answer.body, nullptr, false)["code"], "INVALID_NAME");
  EXPECT_EQ(Send("/health/live").status, 200);
}

TEST_F(HttpTransportTest, ADeadClientIsRolledBack) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string body = ToIpc({MakeBatch(1000)});
  const std::string sent = "POST /ingest/s HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" +
                           body.substr(0, body.size() / 2);
  ASSERT_EQ(send(client, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  close(client);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (listener_->open_calls() > 0 && std::chrono::steady_clock::now() < deadline) {
    EXPECT_EQ(Send("/health/live").status, 200);
  }
  EXPECT_FALSE(ingest_->finished);
}

TEST_F(HttpTransportTest, QueriesStreamAndFailuresBehindTheFirstByteAreCut) {
  for (int i = 0; i < 20; ++i) query_->results.push_back(MakeBatch(60000, i * 60000));
  query_->schema = query_->results[0]->schema();
  Answer answer = Send("/query?sql=SELECT%201");
  ASSERT_EQ(answer.status, 200) << curl_easy_strerror(answer.result);
  auto reader = *arrow::ipc::RecordBatchStreamReader::Open(
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(answer.body)));
  EXPECT_EQ((*reader->ToTable())->num_rows(), 1200000);
  Answer csv = Send("/query", "SELECT 1", {"Accept: text/csv"});
  EXPECT_EQ(std::count(csv.body.begin(), csv.body.end(), '\n'), 1200001);
  query_->end_status = Error(ErrorCode::kOutOfMemory, "late");
  Answer cut = Send("/query", "SELECT 1");
  EXPECT_EQ(cut.status, 200);
  EXPECT_NE(cut.result, CURLE_OK);
  query_->results.clear();
  Answer early = Send("/query", "SELECT 1");
  EXPECT_EQ(early.status, 503);
  EXPECT_NE(early.head.find("retry-after: "), std::string::npos);
}

TEST_F(HttpTransportTest, ErrorsHaveTheirForm) {
  EXPECT_EQ(Send("/none").status, 404);
  Answer method = Send("/version", "x");
  EXPECT_EQ(method.status, 405);
  EXPECT_NE(method.head.find("allow: GET"), std::string::npos) << method.head;
  EXPECT_EQ(Send("/delta").status, 501);
  EXPECT_EQ(Send("/stream/s", "{\"batch\": {\"data\": \"!\"}}").status, 400);
  EXPECT_NE(Send("/metrics").body.find("arrowport_requests_total{route=\"unknown\""),
            std::string::npos);
}

}  // namespace
}  // namespace arrowport::wire::http
