#include <algorithm>

#include "config/source.h"

namespace arrowport::config {
namespace {

void AddSet(const std::string& text, std::vector<Entry>* entries, Problems* problems) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    problems->Add("--set", "needs key=value, not '" + text + "'");
    return;
  }
  entries->push_back({PathOfKey(std::string_view(text).substr(0, equals)),
                      {{text.substr(equals + 1)}, RawValue::Shape::kScalar},
                      OriginKind::kFlag, "--set", false});
}

std::string UnknownFlagText(const std::string& flag) {
  std::vector<std::string> candidates = {"--config", "--set"};
  for (const FlagSpec& spec : Flags()) candidates.emplace_back(spec.flag);
  const std::string nearest = Nearest(flag, candidates);
  return "unknown flag" + (nearest.empty() ? "" : "; did you mean " + nearest + "?");
}

}  // namespace

void ReadFlags(const std::vector<std::string>& args, std::vector<Entry>* entries,
               std::string* config_file, Problems* problems) {
  for (size_t i = 0; i < args.size(); ++i) {
    std::string flag = args[i];
    std::string value;
    const size_t equals = flag.find('=');
    const bool joined = flag.starts_with("--") && equals != std::string::npos;
    if (joined) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    }
    const auto spec = std::find_if(Flags().begin(), Flags().end(),
                                   [&](const FlagSpec& s) { return s.flag == flag; });
    const bool known = spec != Flags().end();
    if (!known && flag != "--config" && flag != "--set") {
      problems->Add(flag, UnknownFlagText(flag));
      continue;
    }
    if (known && spec->type == Type::kBoolean) {
      if (!joined) value = "true";
    } else if (!joined) {
      if (++i == args.size()) {
        problems->Add(flag, "needs a value");
        return;
      }
      value = args[i];
    }
    if (flag == "--config") {
      *config_file = value;
    } else if (flag == "--set") {
      AddSet(value, entries, problems);
    } else {
      entries->push_back({SplitKey(spec->key), {{value}, RawValue::Shape::kScalar},
                          OriginKind::kFlag, flag, false});
    }
  }
}

}  // namespace arrowport::config
