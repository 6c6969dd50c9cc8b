#include "zerobus/rpc/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/error.h"

namespace arrowport::zerobus::rpc {
namespace {

// ALPN protocol list: one entry, length first.
constexpr unsigned char kAlpn[] = {2, 'h', '2'};

std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "no detail";
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

}  // namespace

arrow::Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const TlsFiles& files) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return Error(ErrorCode::kInternal, "TLS: ", LastError());
  std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_default_verify_paths(raw) != 1) {
    return Error(ErrorCode::kBadConfig, "the system's certificates: ", LastError());
  }
  if (!files.ca_file.empty() &&
      SSL_CTX_load_verify_locations(raw, files.ca_file.c_str(), nullptr) != 1) {
    return Error(ErrorCode::kBadConfig, "CA file ", files.ca_file, ": ", LastError());
  }
  if (files.cert_file.empty() != files.key_file.empty()) {
    return Error(ErrorCode::kBadConfig,
                 "a client certificate needs both its certificate and its key file");
  }
  if (!files.cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, files.cert_file.c_str()) != 1) {
      return Error(ErrorCode::kBadConfig, "certificate file ", files.cert_file, ": ",
                   LastError());
    }
    if (SSL_CTX_use_PrivateKey_file(raw, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1) {
      return Error(ErrorCode::kBadConfig, "key file ", files.key_file, ": ", LastError());
    }
  }
  if (SSL_CTX_set_alpn_protos(raw, kAlpn, sizeof(kAlpn)) != 0) {
    return Error(ErrorCode::kInternal, "TLS: ", LastError());
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

arrow::Result<std::unique_ptr<TlsEngine>> TlsEngine::Make(
    std::shared_ptr<const TlsContext> context, const std::string& server_name) {
  ERR_clear_error();
  SSL* session = SSL_new(context->get());
  if (session == nullptr) return Error(ErrorCode::kInternal, "TLS: ", LastError());
  std::unique_ptr<TlsEngine> engine(new TlsEngine(std::move(context), session));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return Error(ErrorCode::kInternal, "TLS: ", LastError());
  }
  SSL_set_bio(session, in, out);
  SSL_set_connect_state(session);
  unsigned char address[sizeof(in6_addr)];
  const bool is_address = inet_pton(AF_INET, server_name.c_str(), address) == 1 ||
                          inet_pton(AF_INET6, server_name.c_str(), address) == 1;
  // An address is no server name (RFC 6066, section 3).
  const int named =
      is_address
          ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), server_name.c_str())
          : (SSL_set1_host(session, server_name.c_str()) == 1 &&
             SSL_set_tlsext_host_name(session, server_name.c_str()) == 1);
  if (named != 1) {
    return Error(ErrorCode::kBadConfig, "not a server name: ", server_name);
  }
  return engine;
}

TlsEngine::~TlsEngine() { SSL_free(session_); }

arrow::Status TlsEngine::HandshakeError() {
  const long verified = SSL_get_verify_result(session_);
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return Error(ErrorCode::kBadConfig, "the service's certificate was refused: ",
                 X509_verify_cert_error_string(verified));
  }
  const unsigned long code = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(code);
  // Alerts of the peer about our certificate come as reasons of 1000 + alert number.
  const bool refused_ours = reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                            reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
                            reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA;
  return Error(refused_ours ? ErrorCode::kBadConfig : ErrorCode::kUnreachable,
               "TLS handshake: ", LastError());
}

arrow::Status TlsEngine::Advance() {
  if (established_) return {};
  ERR_clear_error();
  const int result = SSL_do_handshake(session_);
  if (result != 1) {
    const int error = SSL_get_error(session_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};
    return HandshakeError();
  }
  const unsigned char* chosen = nullptr;
  unsigned chosen_size = 0;
  SSL_get0_alpn_selected(session_, &chosen, &chosen_size);
  if (chosen_size != 2 || chosen[0] != 'h' || chosen[1] != '2') {
    return Error(ErrorCode::kBadConfig, "the endpoint does not speak HTTP/2 over TLS");
  }
  established_ = true;
  return {};
}

arrow::Status TlsEngine::Receive(std::span<const uint8_t> bytes, std::string* plain) {
  BIO* in = SSL_get_rbio(session_);
  if (!bytes.empty() && BIO_write(in, bytes.data(), static_cast<int>(bytes.size())) !=
                            static_cast<int>(bytes.size())) {
    return Error(ErrorCode::kOutOfMemory, "TLS: ", LastError());
  }
  if (!established_) ARROW_RETURN_NOT_OK(Advance());
  while (established_ && !ended_) {
    ERR_clear_error();
    char buffer[16 * 1024];
    const int size = SSL_read(session_, buffer, sizeof(buffer));
    if (size > 0) {
      plain->append(buffer, static_cast<size_t>(size));
      continue;
    }
    const int error = SSL_get_error(session_, size);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) break;
    if (error != SSL_ERROR_ZERO_RETURN) return HandshakeError();
    ended_ = true;
  }
  return {};
}

arrow::Status TlsEngine::Send(std::string_view plain) {
  ERR_clear_error();
  // The output is memory: a write is whole or fails.
  const int size = SSL_write(session_, plain.data(), static_cast<int>(plain.size()));
  if (size == static_cast<int>(plain.size())) return {};
  return Error(ErrorCode::kUnreachable, "TLS: ", LastError());
}

void TlsEngine::TakeOutput(std::string* out) {
  BIO* bio = SSL_get_wbio(session_);
  char buffer[16 * 1024];
  int size = 0;
  while ((size = BIO_read(bio, buffer, sizeof(buffer))) > 0) {
    out->append(buffer, static_cast<size_t>(size));
  }
}

}  // namespace arrowport::zerobus::rpc
