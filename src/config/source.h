// Where settings come from: YAML files, the environment, flags. Each source yields plain
// entries (a path of names, an unchecked value, an origin); load.cc merges and checks them.
#pragma once

#include <arrow/result.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting_table.h"
#include "config/settings.h"
#include "config/value.h"

namespace arrowport::config {

struct Entry {
  std::vector<std::string> path;
  RawValue raw;
  OriginKind kind = OriginKind::kFile;
  std::string origin;     ///< "arrowport.yaml:3", "ARROWPORT_PORT", "--port"
  bool is_group = false;  ///< an empty mapping or a null
};

/// Everything wrong with a configuration, to be reported at once.
class Problems {
 public:
  void Add(std::string_view origin, std::string_view what);
  bool empty() const { return lines_.empty(); }
  /// Enough has been found: looking further helps nobody.
  bool full() const { return lines_.size() >= 100; }
  /// OK when empty, else kBadConfig with one problem per line, the first 20.
  arrow::Status ToStatus() const;

 private:
  std::vector<std::string> lines_;
};

/// A setting and what stood for its wildcards.
struct Match {
  const Setting* setting = nullptr;  ///< null: no such setting
  std::vector<std::string> names;
};

/// Exact match of a path, by key or alias; each wildcard takes one part.
Match FindSetting(const std::vector<std::string>& path);
/// True when settings exist below `path`: "api", "streams.events".
bool IsGroup(const std::vector<std::string>& path);
/// True for a compression key written as one scalar.
bool IsCompressionKey(const std::vector<std::string>& path);
/// "unknown key 'api.prot'; did you mean 'api.port'?"
std::string UnknownKeyText(const std::vector<std::string>& path);

/// Key text from a path and back; a name holding dots is quoted: streams."a.b".mode. The
/// way back also takes such a name unquoted where only one reading makes sense.
std::string JoinKey(const std::vector<std::string>& path);
std::vector<std::string> PathOfKey(std::string_view key);

/// A flag of `serve`; all of them take a value unless `type` is kBoolean.
struct FlagSpec {
  std::string_view flag;  ///< "--host"
  std::string key;
  Type type = Type::kText;
  std::string_view doc;
};
const std::vector<FlagSpec>& Flags();

/// Reads a file into entries; `shown_name` is what origins say. Refused: not one YAML
/// mapping, more than 16 MiB, 16 levels or 200,000 values. `prefix` stands before every
/// path; a file that holds only the key `prefix[0]` is taken as its content.
void ReadYamlFile(const std::string& file, const std::string& shown_name,
                  const std::vector<std::string>& prefix, std::vector<Entry>* entries,
                  Problems* problems);

/// `file_entries` tell which names exist, since a variable's name has lost their case.
void ReadEnvironment(const std::map<std::string, std::string>& environment,
                     const std::vector<Entry>& file_entries, std::vector<Entry>* entries,
                     std::vector<std::string>* warnings, Problems* problems);

/// `--flag value`, `--flag=value`, `--set key=value`; `--config` goes to `config_file`.
void ReadFlags(const std::vector<std::string>& args, std::vector<Entry>* entries,
               std::string* config_file, Problems* problems);

}  // namespace arrowport::config
