#include "config/reference.h"

#include "config/setting_table.h"
#include "config/source.h"

namespace arrowport::config {
namespace {

constexpr std::string_view kHead = R"(# Settings

This page is made from the table of settings in the source (`arrowport config reference`).

Settings come from a YAML file, the environment and flags; later wins: default, file,
environment, flag. The file is the first of `--config FILE`, `ARROWPORT_CONFIG`,
`./arrowport.yaml`, `./config.yaml`. Unknown keys and bad values are errors that name file,
line and the nearest valid key. `arrowport config show` prints what is in effect and where
each value comes from; `arrowport config check` only checks.

- Every key can be set with `--set key=value` and by `ARROWPORT_` and the key in upper case
  with `_` for the dots. Keys with a `<name>` take that name in lower case from a variable,
  or as the file spells it.
- Sizes take `64MiB`, `10GB` or plain bytes; times `250ms`, `30s`, `5m`, `12h`, `7d`; sizes
  of memory also `25%` of what the machine or container grants; lists `[a, b]` in YAML and
  `a,b` elsewhere; `none` where a value may be absent.
- "live": takes effect when the file changes or on SIGHUP, without a restart.
- A name that holds a dot is quoted in a key: `streams."sales.orders".mode`.
)";

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string Code(std::string_view text) {
  return "`" + Escaped(text) + "`";
}

std::string GroupOf(const Setting& setting) {
  const std::string group = SplitKey(setting.key)[0];
  if (!setting.in_files) return "Flags only";
  return SplitKey(setting.key).size() == 1 ? "Top level" : group;
}

std::string DefaultText(const Setting& setting) {
  if (!setting.default_note.empty()) return Escaped(setting.default_note);
  if (!setting.default_text.empty()) return Code(setting.default_text);
  return setting.presence == Presence::kOptional ? "none" : "";
}

std::string ChoicesText(const Setting& setting) {
  if (setting.allowed.empty()) return std::string(TypeName(setting.type));
  std::string text;
  for (std::string_view choice : setting.allowed) {
    text += (text.empty() ? "" : ", ") + Code(choice);
  }
  return text;
}

std::string OtherNames(const Setting& setting) {
  std::string text;
  const auto add = [&](std::string_view name) {
    text += (text.empty() ? "" : ", ") + Code(name);
  };
  if (!setting.flag.empty()) add(setting.flag);
  if (setting.key == "datasets.<name>") add("--parquet-path");
  for (std::string_view name : setting.environment) add(name);
  if (setting.key == "compression.algorithm") add("ARROWPORT_COMPRESSION");
  for (std::string_view name : setting.aliases) add(name);
  return text;
}

}  // namespace

std::string ReferencePage() {
  std::vector<std::string> order;
  std::map<std::string, std::string> rows;
  for (const Setting& setting : SettingTable()) {
    const std::string group = GroupOf(setting);
    if (!rows.contains(group)) order.push_back(group);
    const std::string key =
        setting.in_files ? std::string(setting.key) : std::string(setting.flag);
    const std::string others = setting.in_files ? OtherNames(setting) : "";
    rows[group] += "| " + Code(key) + " | " + ChoicesText(setting) + " | " +
                   DefaultText(setting) + " | " +
                   (setting.reload == Reload::kLive ? "live" : "") + " | " + others +
                   " | " + Escaped(setting.doc) + " |\n";
  }
  std::string page(kHead);
  for (const std::string& group : order) {
    page += "\n## " + group + "\n\n| key | value | default | reload | other names | |\n" +
            "|---|---|---|---|---|---|\n" + rows[group];
  }
  return page;
}

}  // namespace arrowport::config
