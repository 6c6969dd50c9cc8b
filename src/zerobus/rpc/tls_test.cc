// TLS and proxy tunnels: a relay that terminates both in front of the plain test server.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <filesystem>
#include <future>

#include "zerobus/rpc/connection.h"
#include "zerobus/rpc/testing_server.h"

namespace arrowport::zerobus::rpc {
namespace {

using std::chrono::seconds;
using testing::ServerCall;
using testing::ServerScript;
using testing::TestServer;

enum class Front { kTls, kProxyThenTls };

// One connection at a time: takes it, answers CONNECT if asked, speaks TLS as
// `localhost`, and passes bytes on.
class Relay {
 public:
  Relay(uint16_t target_port, Front front) : target_port_(target_port), front_(front) {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
    MakeCertificate();
    listener_ = Listen(&port_);
    thread_ = std::thread([this] { Run(); });
  }
  ~Relay() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    SSL_CTX_free(context_);
    std::filesystem::remove(ca_file_);
  }
  uint16_t port() const { return port_; }
  std::string ca_file() const { return ca_file_; }
  std::string connect_request() const { return connect_request_; }

 private:
  static int Listen(uint16_t* port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(socket, 8);
    socklen_t size = sizeof(address);
    getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    *port = ntohs(address.sin_port);
    return socket;
  }
  void MakeCertificate() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1,
                               -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, key, EVP_sha256());
    ca_file_ = std::filesystem::temp_directory_path() /
               ("arrowport_tls_" + std::to_string(getpid()) + ".pem");
    FILE* file = fopen(ca_file_.c_str(), "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context_, certificate);
    SSL_CTX_use_PrivateKey(context_, key);
    SSL_CTX_set_alpn_select_cb(
        context_,
        [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
           unsigned, void*) {
          *out = in + 1;
          *size = in[0];
          return SSL_TLSEXT_ERR_OK;
        },
        nullptr);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  void Run() {
    while (!stopping_) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      Serve(client);
      close(client);
    }
  }
  void Serve(int client) {
    if (front_ == Front::kProxyThenTls) {
      char c;
      while (!connect_request_.ends_with("\r\n\r\n")) {
        if (read(client, &c, 1) != 1) return;
        connect_request_ += c;
      }
      const std::string_view reply = "HTTP/1.1 200 Connection established\r\n\r\n";
      if (write(client, reply.data(), reply.size()) < 0) return;
    }
    SSL* tls = SSL_new(context_);
    SSL_set_fd(tls, client);
    if (SSL_accept(tls) == 1) Pass(tls, client);
    SSL_free(tls);
  }
  void Pass(SSL* tls, int client) {
    const int target = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(target_port_);
    connect(target, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    char buffer[16 * 1024];
    while (!stopping_) {
      pollfd polled[2] = {{client, POLLIN, 0}, {target, POLLIN, 0}};
      if (SSL_pending(tls) == 0 && poll(polled, 2, 20) == 0) continue;
      if (SSL_pending(tls) > 0 || polled[0].revents) {
        const int size = SSL_read(tls, buffer, sizeof(buffer));
        if (size <= 0 ||
            send(target, buffer, static_cast<size_t>(size), MSG_NOSIGNAL) < 0) {
          break;
        }
      }
      if (polled[1].revents) {
        const ssize_t size = recv(target, buffer, sizeof(buffer), 0);
        if (size <= 0 || SSL_write(tls, buffer, static_cast<int>(size)) <= 0) break;
      }
    }
    close(target);
  }

  const uint16_t target_port_;
  const Front front_;
  int listener_ = -1;
  uint16_t port_ = 0;
  SSL_CTX* context_ = nullptr;
  std::string ca_file_;
  std::string connect_request_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

struct EndWaiter final : CallHandler {
  void OnMessage(std::string_view message) override { received += message; }
  void OnWritable() override {}
  void OnEnd(const RpcStatus& status) override { end.set_value(status); }
  std::string received;
  std::promise<RpcStatus> end;
};

RpcStatus RunCall(const ConnectionOptions& options, std::string* received) {
  TaskPool tasks(2);
  auto reactor = Reactor::Start().ValueOrDie();
  EndWaiter waiter;
  auto ended = waiter.end.get_future();
  std::shared_ptr<Call> call;
  reactor->Post([&] {
    auto connection = Connection::Open(reactor.get(), &tasks, options);
    call = connection->StartCall("/a.B/C", {}, &waiter).ValueOrDie();
    call->Write({arrow::Buffer::FromString(std::string(200'000, 'x'))});
    call->HalfClose();
  });
  RpcStatus status;
  if (ended.wait_for(seconds(20)) == std::future_status::ready) status = ended.get();
  std::promise<void> done;
  reactor->Post([&] {
    call.reset();
    done.set_value();
  });
  done.get_future().wait();
  *received = waiter.received;
  return status;
}

class TlsTest : public ::testing::Test {
 protected:
  static ServerScript Echo() {
    ServerScript script;
    script.on_message = [](ServerCall& call, const std::string& message) {
      call.SendMessage(message);
    };
    script.on_half_close = [](ServerCall& call) { call.Finish(0, "bye"); };
    return script;
  }
  ConnectionOptions OptionsFor(const Relay& relay, const std::string& ca_file) {
    ConnectionOptions options;
    options.link.endpoint = {true, "localhost", relay.port()};
    options.link.tls = TlsContext::Make({ca_file, "", ""}).ValueOrDie();
    return options;
  }
  TestServer server_{Echo()};
  std::string received_;
};

TEST_F(TlsTest, CallOverTls) {
  Relay relay(server_.port(), Front::kTls);
  const RpcStatus status = RunCall(OptionsFor(relay, relay.ca_file()), &received_);
  EXPECT_EQ(status.code, StatusCode::kOk) << status.message;
  EXPECT_EQ(status.message, "bye");
  EXPECT_EQ(received_.size(), 200'000U);
}

TEST_F(TlsTest, UnknownCertificateIsAConfigurationError) {
  Relay relay(server_.port(), Front::kTls);
  const RpcStatus status = RunCall(OptionsFor(relay, ""), &received_);
  EXPECT_EQ(status.code, StatusCode::kUnavailable);
  EXPECT_TRUE(status.configuration) << status.message;
}

TEST_F(TlsTest, NameIsCheckedAndCanBeOverridden) {
  Relay relay(server_.port(), Front::kTls);
  ConnectionOptions options = OptionsFor(relay, relay.ca_file());
  options.link.server_name = "elsewhere.example";
  EXPECT_TRUE(RunCall(options, &received_).configuration);
  options = OptionsFor(relay, relay.ca_file());
  options.link.endpoint.host = "127.0.0.1";
  EXPECT_TRUE(RunCall(options, &received_).configuration);
  options.link.server_name = "localhost";
  EXPECT_EQ(RunCall(options, &received_).code, StatusCode::kOk);
}

TEST_F(TlsTest, TunnelThroughAProxy) {
  Relay relay(server_.port(), Front::kProxyThenTls);
  ConnectionOptions options = OptionsFor(relay, relay.ca_file());
  options.link.proxy = Proxy{"127.0.0.1", relay.port(), "me:secret"};
  options.link.endpoint = {true, "localhost", 443};
  const RpcStatus status = RunCall(options, &received_);
  EXPECT_EQ(status.code, StatusCode::kOk) << status.message;
  EXPECT_EQ(received_.size(), 200'000U);
  EXPECT_TRUE(relay.connect_request().starts_with(
      "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n"));
  EXPECT_NE(relay.connect_request().find("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
            std::string::npos);
}

TEST(TlsContext, BadFilesAreConfigurationErrors) {
  EXPECT_FALSE(TlsContext::Make({"/nowhere/ca.pem", "", ""}).ok());
  EXPECT_FALSE(TlsContext::Make({"", "/nowhere/cert.pem", "/nowhere/key.pem"}).ok());
  EXPECT_FALSE(TlsContext::Make({"", "cert.pem", ""}).ok());
}

}  // namespace
}  // namespace arrowport::zerobus::rpc
