// TLS for connections: trust, client certificate, and a byte engine without a socket.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

using SSL_CTX = struct ssl_ctx_st;
using SSL = struct ssl_st;

namespace arrowport::zerobus::rpc {

struct TlsFiles {
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
};

/// Trust and identity, read once. Immutable, shared by connections.
class TlsContext {
 public:
  /// The system's roots, `ca_file` besides, and the client certificate if any. TLS 1.2 or
  /// newer. Errors: kBadConfig naming the file.
  static arrow::Result<std::shared_ptr<const TlsContext>> Make(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  SSL_CTX* get() const { return context_; }

 private:
  explicit TlsContext(SSL_CTX* context) : context_(context) {}
  SSL_CTX* const context_;
};

/// One TLS client session over memory: bytes in, bytes out. Not thread-safe.
class TlsEngine {
 public:
  /// `server_name`: DNS name or IP address that the certificate must hold.
  static arrow::Result<std::unique_ptr<TlsEngine>> Make(
      std::shared_ptr<const TlsContext> context, const std::string& server_name);
  ~TlsEngine();

  /// Takes bytes from the peer; decrypted ones are appended to `plain`.
  /// Errors: kUnreachable; kBadConfig when the peer's certificate is refused, when it
  /// refuses ours, or speaks no HTTP/2.
  arrow::Status Receive(std::span<const uint8_t> bytes, std::string* plain);
  /// Encrypts. REQUIRES: established().
  arrow::Status Send(std::string_view plain);
  /// Begins the handshake, or moves it on.
  arrow::Status Advance();
  bool established() const { return established_; }
  /// The peer said that no more comes.
  bool ended() const { return ended_; }
  /// Appends what is to be sent to the peer.
  void TakeOutput(std::string* out);

 private:
  TlsEngine(std::shared_ptr<const TlsContext> context, SSL* session)
      : context_(std::move(context)), session_(session) {}
  arrow::Status HandshakeError();

  const std::shared_ptr<const TlsContext> context_;
  SSL* const session_;
  bool established_ = false;
  bool ended_ = false;
};

}  // namespace arrowport::zerobus::rpc
