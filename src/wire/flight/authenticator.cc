#include "wire/flight/authenticator.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "base/ids.h"

namespace arrowport::wire::flight {
namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

class OpenAuthenticator : public Authenticator {
 public:
  explicit OpenAuthenticator(OpenTo open_to) : open_to_(open_to) {}

  arrow::Result<Grant> Check(const Credentials& credentials,
                             const net::Peer& peer) override {
    if (open_to_ == OpenTo::kLoopback && !peer.loopback) {
      return Error(ErrorCode::kUnauthenticated,
                   "protected mode: no users are configured, so only local clients are "
                   "served; configure auth.users or set auth.allow_anonymous: true");
    }
    Grant grant;
    if (credentials.scheme == Credentials::Scheme::kBasic) {
      grant.user = credentials.user;
      grant.token = NewRandomId();
    }
    return grant;
  }

 private:
  const OpenTo open_to_;
};

}  // namespace

std::optional<std::string> DecodeBase64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : text) {
    const int digit = Base64Digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes.push_back(static_cast<char>(bits >> bit_count));
    }
  }
  return bytes;
}

arrow::Result<Credentials> ParseAuthorization(const std::string* header) {
  Credentials credentials;
  if (!header) return credentials;
  const std::string_view text = *header;
  const size_t space = text.find(' ');
  const std::string_view scheme = text.substr(0, space);
  const std::string_view value =
      space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  if (EqualsIgnoringCase(scheme, "bearer") && !value.empty()) {
    credentials.scheme = Credentials::Scheme::kBearer;
    credentials.token = value;
    return credentials;
  }
  if (EqualsIgnoringCase(scheme, "basic")) {
    const auto pair = DecodeBase64(value);
    const size_t colon = pair ? pair->find(':') : std::string::npos;
    if (colon != std::string::npos) {
      credentials.scheme = Credentials::Scheme::kBasic;
      credentials.user = pair->substr(0, colon);
      credentials.password = pair->substr(colon + 1);
      return credentials;
    }
  }
  return Error(ErrorCode::kUnauthenticated,
               "malformed authorization header: expected Basic or Bearer credentials");
}

std::shared_ptr<Authenticator> MakeOpenAuthenticator(OpenTo open_to) {
  return std::make_shared<OpenAuthenticator>(open_to);
}

}  // namespace arrowport::wire::flight
