// Request targets and answer heads of HTTP/1.1 (RFC 9112). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/net/call.h"

namespace arrowport::wire::net {

std::string LowerCase(std::string_view text);

/// Fills path and query from a request target in origin, absolute or asterisk form.
/// False when it is none of these.
bool SplitTarget(std::string_view target, RequestHead* head);

enum class AnswerFraming {
  kNone,    ///< no body is sent, whatever is written
  kLength,  ///< Content-Length
  kChunked,
  kUntilClose,  ///< HTTP/1.0
};

struct AnswerHeadContext {
  unsigned version = 11;  ///< of the request: 10 or 11
  bool head_request = false;
  std::optional<int64_t> whole_bytes;  ///< size of the body when all of it is here
  bool keep_alive = true;
  std::string_view request_id;
};

/// Appends status line and header fields to `text`. Field values are made harmless: no
/// line break of a handler's gets out. May set head->content_length.
AnswerFraming AppendAnswerHead(const AnswerHeadContext& context, ResponseHead* head,
                               std::string* text);

/// Size line of a chunk.
std::string ChunkHead(size_t bytes);

}  // namespace arrowport::wire::net
