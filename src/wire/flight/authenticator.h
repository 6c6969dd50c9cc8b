// Who is calling. The decision stands behind an interface, so that users, tokens and
// roles come without a change to the handlers.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// What a call presented. `scheme` kNone: nothing.
struct Credentials {
  enum class Scheme { kNone, kBasic, kBearer };
  Scheme scheme = Scheme::kNone;
  std::string user;      ///< kBasic
  std::string password;  ///< kBasic
  std::string token;     ///< kBearer
};

/// The outcome of a successful check.
struct Grant {
  std::string user;   ///< empty: anonymous
  std::string token;  ///< to present on later calls; empty when none was made
};

/// Thread-safe. Called on workers: may take its time.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// Errors: kUnauthenticated, kPermissionDenied.
  virtual arrow::Result<Grant> Check(const Credentials& credentials,
                                     const net::Peer& peer) = 0;
};

/// Reads an `authorization` header: Basic (padded or not; the password may hold colons)
/// or Bearer. No header is Scheme::kNone. Errors: kUnauthenticated for a malformed one.
arrow::Result<Credentials> ParseAuthorization(const std::string* header);

/// Bytes of base64 text, padded or not; nothing for other text.
std::optional<std::string> DecodeBase64(std::string_view text);

enum class OpenTo { kLoopback, kEveryPeer };

/// For a server without users: every credential is accepted, Basic ones are answered
/// with a token. Peers outside `open_to` are refused with a message that says how to
/// configure users.
std::shared_ptr<Authenticator> MakeOpenAuthenticator(OpenTo open_to);

}  // namespace arrowport::wire::flight
