#include "zerobus/secrets.h"

namespace arrowport::zerobus {
namespace {

constexpr size_t kSecretBytesMin = 8;

}  // namespace

std::string SecretOf(std::string_view header_value) {
  const size_t blank = header_value.rfind(' ');
  return std::string(blank == header_value.npos ? header_value
                                                : header_value.substr(blank + 1));
}

void MaskSecrets(const std::vector<std::string>& secrets, std::string* text) {
  for (const std::string& secret : secrets) {
    if (secret.size() < kSecretBytesMin) continue;
    for (size_t at = 0; (at = text->find(secret, at)) != text->npos;
         at += secret.size()) {
      text->replace(at, secret.size(), secret.size(), '*');
    }
  }
}

std::string WithoutCredentials(std::string_view url) {
  const size_t at = url.rfind('@');
  if (at == url.npos) return std::string(url);
  const size_t scheme = url.find("://");
  const bool has_scheme = scheme != url.npos && scheme < at;
  return std::string(url.substr(0, has_scheme ? scheme + 3 : 0)) + "***" +
         std::string(url.substr(at));
}

}  // namespace arrowport::zerobus
