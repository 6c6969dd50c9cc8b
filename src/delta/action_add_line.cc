#include "delta/action_add_line.h"

#include <charconv>
#include <string>
#include <utility>

namespace arrowport::delta {
namespace {

/// Takes JSON from the front of a text; whatever is unusual is left to the general parser.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  bool done() {
    Skip();
    return rest_.empty();
  }
  bool Accept(char c) {
    Skip();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word) {
    Skip();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool Boolean(bool* out) {
    *out = Word("true");
    return *out || Word("false");
  }
  bool Integer(int64_t* out) {
    Skip();
    const char* end_of_text = rest_.data() + rest_.size();
    const auto [end, error] = std::from_chars(rest_.data(), end_of_text, *out);
    if (error != std::errc() || end == end_of_text || (*end != ',' && *end != '}')) {
      return false;
    }
    // "01" and "-0" are numbers here and not (or not the same) in JSON.
    const char first = rest_[0];
    if (first == '-' || (first == '0' && end - rest_.data() > 1)) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }
  bool Text(std::string* out) {
    if (!Accept('"')) return false;
    out->clear();
    size_t plain = 0;
    for (size_t i = 0; i < rest_.size(); ++i) {
      const auto c = static_cast<unsigned char>(rest_[i]);
      if (c == '"') {
        out->append(rest_, plain, i - plain);
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (c < 0x20 || c >= 0x80) return false;
      if (c != '\\') continue;
      if (i + 1 == rest_.size() || (rest_[i + 1] != '"' && rest_[i + 1] != '\\')) {
        return false;
      }
      // The escaped character begins the next plain stretch.
      out->append(rest_, plain, i - plain);
      plain = ++i;
    }
    return false;
  }
  bool Values(PartitionValues* out) {
    out->clear();
    if (!Accept('{')) return false;
    if (Accept('}')) return true;
    std::string name, value;
    do {
      if (!Text(&name) || !Accept(':')) return false;
      auto& slot = (*out)[name];
      slot.reset();
      if (Word("null")) continue;
      if (!Text(&value)) return false;
      if (!value.empty()) slot = value;
    } while (Accept(','));
    return Accept('}');
  }

 private:
  void Skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }

  std::string_view rest_;
};

bool ParseMember(std::string_view name, Scanner* scanner, AddFile* add) {
  if (name == "path") return scanner->Text(&add->path);
  if (name == "partitionValues") return scanner->Values(&add->partition_values);
  if (name == "size") return scanner->Integer(&add->size);
  if (name == "modificationTime") return scanner->Integer(&add->modification_time_ms);
  if (name == "dataChange") return scanner->Boolean(&add->data_change);
  if (name == "stats") return scanner->Text(&add->stats);
  return false;
}

}  // namespace

bool ParsePlainAdd(std::string_view line, AddFile* add) {
  Scanner scanner(line);
  if (!scanner.Accept('{') || !scanner.Word("\"add\"") || !scanner.Accept(':') ||
      !scanner.Accept('{')) {
    return false;
  }
  bool has_path = false, has_size = false;
  std::string name;
  do {
    if (!scanner.Text(&name) || !scanner.Accept(':')) return false;
    if (!ParseMember(name, &scanner, add)) return false;
    has_path = has_path || name == "path";
    has_size = has_size || name == "size";
  } while (scanner.Accept(','));
  return scanner.Accept('}') && scanner.Accept('}') && scanner.done() && has_path &&
         has_size;
}

}  // namespace arrowport::delta
