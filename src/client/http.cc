#include "client/http.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "client/connection.h"

namespace arrowport::client {
namespace {

constexpr size_t kBodyBytesMax = 64 << 20;

size_t Append(char* data, size_t size, size_t count, void* body) {
  auto* text = static_cast<std::string*>(body);
  if (text->size() + size * count > kBodyBytesMax) return 0;
  text->append(data, size * count);
  return size * count;
}

arrow::Status ErrorOfReply(long status, const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  std::string message = "the server answered " + std::to_string(status);
  ErrorCode code = status == 404 ? ErrorCode::kNotFound : ErrorCode::kInternal;
  if (json.is_object()) {
    if (json.contains("message") && json["message"].is_string())
      message = json["message"].get<std::string>();
    const auto [infos, count] = AllErrors();
    for (size_t i = 0; i < count; ++i) {
      if (json.contains("code") && json["code"] == std::string(infos[i].name))
        code = infos[i].code;
    }
  }
  return MakeError(code, std::move(message));
}

/// `posted` null: GET.
arrow::Result<std::string> Send(const ServerAddress& address, const std::string& path,
                                const std::string* posted, const ClientOptions& options) {
  std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return Error(ErrorCode::kInternal, "cannot start an HTTP request");
  std::string body;
  const std::string url = address.HttpUrl() + path;
  curl_slist* list = nullptr;
  const std::string authorization = AuthorizationHeader(options);
  if (!authorization.empty())
    list = curl_slist_append(list, ("Authorization: " + authorization).c_str());
  if (posted != nullptr)
    list = curl_slist_append(list, "Content-Type: application/json");
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list,
                                                                   curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  if (posted != nullptr) {
    curl_easy_setopt(curl.get(), CURLOPT_POST, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, posted->data());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(posted->size()));
  }
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  if (!options.tls_ca_file.empty())
    curl_easy_setopt(curl.get(), CURLOPT_CAINFO, options.tls_ca_file.c_str());
  if (!options.tls_cert_file.empty())
    curl_easy_setopt(curl.get(), CURLOPT_SSLCERT, options.tls_cert_file.c_str());
  if (!options.tls_key_file.empty())
    curl_easy_setopt(curl.get(), CURLOPT_SSLKEY, options.tls_key_file.c_str());
  if (options.call_timeout)
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, long(options.call_timeout->count()));
  const CURLcode done = curl_easy_perform(curl.get());
  if (done == CURLE_WRITE_ERROR)
    return Error(ErrorCode::kTooLarge, "the server's answer is larger than 64 MiB");
  if (done != CURLE_OK) {
    return Error(ErrorCode::kUnreachable, "cannot reach ", url, ": ",
                 curl_easy_strerror(done));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 != 2) return ErrorOfReply(status, body);
  return body;
}

}  // namespace

arrow::Result<std::string> HttpGet(const ServerAddress& address, const std::string& path,
                                   const ClientOptions& options) {
  return Send(address, path, nullptr, options);
}

arrow::Result<std::string> HttpPost(const ServerAddress& address, const std::string& path,
                                    const std::string& body,
                                    const ClientOptions& options) {
  return Send(address, path, &body, options);
}

std::string PathSegment(const std::string& text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string segment;
  for (unsigned char c : text) {
    if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      segment += static_cast<char>(c);
    } else {
      segment.append({'%', kDigits[c >> 4], kDigits[c & 15]});
    }
  }
  return segment;
}

}  // namespace arrowport::client
