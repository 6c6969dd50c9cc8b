#include "zerobus/http_fetch.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <charconv>
#include <mutex>

#include "base/error.h"
#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

struct Received {
  std::string body;
  size_t bytes_max = 0;
};

size_t OnBody(char* bytes, size_t, size_t size, void* into) {
  auto* received = static_cast<Received*>(into);
  if (received->body.size() + size > received->bytes_max) return 0;
  received->body.append(bytes, size);
  return size;
}

int OnProgress(void* cancelled, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(cancelled)->load() ? 1 : 0;
}

CURLcode AddTrust(CURL*, void* context, void* ca_file) {
  const auto* path = static_cast<const char*>(ca_file);
  const int loaded =
      SSL_CTX_load_verify_locations(static_cast<SSL_CTX*>(context), path, nullptr);
  return loaded == 1 ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

bool IsConfigurationError(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return true;
    default:
      return false;
  }
}

class CurlFetcher final : public HttpFetcher {
 public:
  CurlFetcher(rpc::TlsFiles tls, rpc::ProxySettings proxy, std::string user_agent)
      : tls_(std::move(tls)),
        proxy_(std::move(proxy)),
        user_agent_(std::move(user_agent)) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  }

  arrow::Result<HttpReply> Fetch(const HttpRequest& request) override {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                             &curl_easy_cleanup);
    if (!curl) return Error(ErrorCode::kOutOfMemory, "no memory for an HTTP request");
    curl_slist* raw_headers = nullptr;
    for (const std::string& header : request.headers) {
      raw_headers = curl_slist_append(raw_headers, header.c_str());
    }
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        raw_headers, &curl_slist_free_all);
    Received received{.body = {}, .bytes_max = request.reply_bytes_max};
    SetOptions(curl.get(), request, headers.get(), &received);
    ARROW_RETURN_NOT_OK(SetProxy(curl.get(), request.url));
    const CURLcode code = curl_easy_perform(curl.get());
    if (code != CURLE_OK) {
      return MakeFailure(
          IsConfigurationError(code) ? ErrorKind::kConfiguration : ErrorKind::kConnection,
          "HTTP request to " + HostOf(request.url) +
              " failed: " + curl_easy_strerror(code));
    }
    HttpReply reply;
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &retry_after);
    reply.status = static_cast<int>(status);
    reply.body = std::move(received.body);
    if (retry_after > 0) {
      reply.retry_after_seconds =
          static_cast<int>(std::min<curl_off_t>(retry_after, 3600));
    }
    return reply;
  }

 private:
  static std::string HostOf(const std::string& url) {
    const auto endpoint = UrlEndpoint(url);
    return endpoint.ok() ? endpoint->host : "an address that is no URL";
  }
  static arrow::Result<rpc::Endpoint> UrlEndpoint(std::string_view url) {
    const size_t scheme = url.find("://");
    const size_t path = url.find('/', scheme == url.npos ? 0 : scheme + 3);
    return rpc::ParseEndpoint(url.substr(0, path));
  }

  void SetOptions(CURL* curl, const HttpRequest& request, curl_slist* headers,
                  Received* received) {
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     static_cast<long>(std::max<int64_t>(1, request.timeout.count())));
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, user_agent_.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &OnBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
    if (request.body) {
      curl_easy_setopt(curl, CURLOPT_POST, 1L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body->data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body->size()));
    }
    if (request.cancelled) {
      curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
      curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &OnProgress);
      curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request.cancelled);
    }
    if (!request.user.empty()) {
      curl_easy_setopt(curl, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      curl_easy_setopt(curl, CURLOPT_USERNAME, request.user.c_str());
      curl_easy_setopt(curl, CURLOPT_PASSWORD, request.password.c_str());
    }
    if (!tls_.ca_file.empty()) {
      curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, &AddTrust);
      curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, tls_.ca_file.c_str());
    }
    if (!tls_.cert_file.empty()) {
      curl_easy_setopt(curl, CURLOPT_SSLCERT, tls_.cert_file.c_str());
      curl_easy_setopt(curl, CURLOPT_SSLKEY, tls_.key_file.c_str());
    }
  }

  arrow::Status SetProxy(CURL* curl, const std::string& url) {
    auto endpoint = UrlEndpoint(url);
    if (!endpoint.ok()) return AsFailure(ErrorKind::kConfiguration, endpoint.status());
    auto proxy = rpc::ChooseProxy(proxy_, endpoint->host);
    if (!proxy.ok()) return AsFailure(ErrorKind::kConfiguration, proxy.status());
    // Set even when there is none: libcurl would look at the environment by itself.
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROXY, *proxy ? (*proxy)->host.c_str() : "");
    if (!*proxy) return {};
    curl_easy_setopt(curl, CURLOPT_PROXYPORT, static_cast<long>((*proxy)->port));
    curl_easy_setopt(curl, CURLOPT_PROXYTYPE, static_cast<long>(CURLPROXY_HTTP));
    curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
    const std::string& credentials = (*proxy)->credentials;
    if (credentials.empty()) return {};
    const size_t colon = credentials.find(':');
    curl_easy_setopt(curl, CURLOPT_PROXYUSERNAME, credentials.substr(0, colon).c_str());
    if (colon != std::string::npos) {
      curl_easy_setopt(curl, CURLOPT_PROXYPASSWORD,
                       credentials.substr(colon + 1).c_str());
    }
    return {};
  }

  const rpc::TlsFiles tls_;
  const rpc::ProxySettings proxy_;
  const std::string user_agent_;
};

}  // namespace

std::unique_ptr<HttpFetcher> MakeHttpFetcher(rpc::TlsFiles tls, rpc::ProxySettings proxy,
                                             std::string user_agent) {
  return std::make_unique<CurlFetcher>(std::move(tls), std::move(proxy),
                                       std::move(user_agent));
}

std::string EncodePercent(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                            c == '~';
    if (unreserved) {
      encoded += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

}  // namespace arrowport::zerobus
