#include "wire/net/http1_head.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "wire/net/refusal.h"

namespace arrowport::wire::net {
namespace {

void AppendField(std::string_view name, std::string_view value, std::string* text) {
  auto harmless = [](char c) {
    return static_cast<uint8_t>(c) >= 0x20 && c != 0x7f ? c : ' ';
  };
  text->append(name);
  text->append(": ");
  for (char c : value) text->push_back(c == '\t' ? c : harmless(c));
  text->append("\r\n");
}

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
  });
}

std::string HttpDate() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char date[40];
  size_t size = std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {date, size};
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool SplitTarget(std::string_view target, RequestHead* head) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (LowerCase(target.substr(0, scheme.size())) != scheme) continue;
    target.remove_prefix(scheme.size());
    size_t slash = target.find_first_of("/?");
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
    break;
  }
  if (target.empty() || (target[0] != '/' && target[0] != '?' && target != "*")) {
    return false;
  }
  target = target.substr(0, target.find('#'));
  size_t mark = target.find('?');
  head->path = target.substr(0, mark);
  if (head->path.empty()) head->path = "/";
  if (mark != std::string_view::npos) head->query = target.substr(mark + 1);
  return true;
}

AnswerFraming AppendAnswerHead(const AnswerHeadContext& context, ResponseHead* head,
                               std::string* text) {
  text->append("HTTP/1.1 ");
  text->append(std::to_string(head->status));
  text->push_back(' ');
  text->append(ReasonPhrase(head->status));
  text->append("\r\n");
  bool has_date = false;
  bool has_id = false;
  for (const auto& [name, value] : head->headers) {
    std::string lower = LowerCase(name);
    // These are the transport's to say.
    if (lower == "content-length" || lower == "transfer-encoding" ||
        lower == "connection" || !IsToken(name)) {
      continue;
    }
    has_date |= lower == "date";
    has_id |= lower == "x-request-id";
    AppendField(name, value, text);
  }
  if (!has_date) AppendField("Date", HttpDate(), text);
  if (!has_id) AppendField("X-Request-Id", context.request_id, text);

  bool without_body = head->status < 200 || head->status == 204 || head->status == 304;
  AnswerFraming framing = AnswerFraming::kNone;
  if (!without_body) {
    if (!head->content_length && context.whole_bytes && !context.head_request) {
      head->content_length = static_cast<uint64_t>(*context.whole_bytes);
    }
    if (head->content_length) {
      AppendField("Content-Length", std::to_string(*head->content_length), text);
      framing = AnswerFraming::kLength;
    } else if (context.version >= 11) {
      if (!context.head_request || !context.whole_bytes) {
        AppendField("Transfer-Encoding", "chunked", text);
      }
      framing = AnswerFraming::kChunked;
    } else {
      framing = AnswerFraming::kUntilClose;
    }
  }
  bool keep_alive = context.keep_alive && framing != AnswerFraming::kUntilClose;
  AppendField("Connection", keep_alive ? "keep-alive" : "close", text);
  text->append("\r\n");
  return context.head_request ? AnswerFraming::kNone : framing;
}

std::string ChunkHead(size_t bytes) {
  char digits[20];
  auto end = std::to_chars(digits, digits + sizeof digits, bytes, 16).ptr;
  std::string head(digits, end);
  head += "\r\n";
  return head;
}

}  // namespace arrowport::wire::net
