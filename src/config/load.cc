#include "config/load.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "config/source.h"
#include "config/value.h"

extern char** environ;

namespace arrowport::config {
namespace {

namespace fs = std::filesystem;

using Path = std::vector<std::string>;

/// One setting's winning value, checked.
struct Resolved {
  Match match;
  Value value;
  std::string text;
  std::string origin;
  OriginKind kind = OriginKind::kDefault;
};

class Loader {
 public:
  explicit Loader(const LoadRequest& request)
      : request_(request),
        memory_bytes_(request.memory_bytes > 0 ? request.memory_bytes
                                               : MemoryGrantedBytes()) {}

  arrow::Result<Settings> Load() {
    std::vector<Entry> flags;
    std::string config_file;
    ReadFlags(request_.args, &flags, &config_file, &problems_);
    std::vector<Entry> file;
    ReadMainFile(config_file, &file);
    std::vector<Entry> environment;
    ReadEnvironment(request_.environment, file, &environment, &settings_.warnings,
                    &problems_);
    ReadStreamFiles({&file, &environment, &flags}, &file);
    Merge(file, Repeats::kRefuse);
    Merge(environment, Repeats::kLastWins);
    Merge(flags, Repeats::kLastWins);
    ARROW_RETURN_NOT_OK(problems_.ToStatus());
    Apply();
    CheckTogether();
    ARROW_RETURN_NOT_OK(problems_.ToStatus());
    return std::move(settings_);
  }

 private:
  enum class Repeats { kRefuse, kLastWins };

  std::string InWorkingDirectory(const std::string& file) const {
    return fs::absolute(fs::path(request_.working_directory) / file)
        .lexically_normal()
        .string();
  }

  std::string EnvironmentText(const std::string& name) const {
    const auto found = request_.environment.find(name);
    return found == request_.environment.end() ? "" : found->second;
  }

  void ReadMainFile(std::string file, std::vector<Entry>* entries) {
    if (file.empty()) file = EnvironmentText("ARROWPORT_CONFIG");
    for (const char* usual : {"arrowport.yaml", "config.yaml"}) {
      std::error_code ignored;
      if (file.empty() && fs::exists(InWorkingDirectory(usual), ignored)) file = usual;
    }
    if (file.empty()) return;
    const std::string absolute = InWorkingDirectory(file);
    settings_.files.push_back(absolute);
    ReadYamlFile(absolute, file, {}, entries, &problems_);
    if (entries->empty() && problems_.empty() &&
        request_.empty_file == EmptyFile::kRefuse) {
      problems_.Add(file, "is empty");
    }
  }

  void ReadStreamFiles(std::initializer_list<const std::vector<Entry>*> layers,
                       std::vector<Entry>* entries) {
    std::string place;
    for (const auto* layer : layers) {
      for (const Entry& entry : *layer) {
        if (entry.path == Path{"streams_path"} && entry.raw.items.size() == 1)
          place = entry.raw.items[0];
      }
    }
    if (place.empty() || place == "none") return;
    const std::string absolute = InWorkingDirectory(place);
    settings_.files.push_back(absolute);
    std::error_code failed;
    if (!fs::is_directory(absolute, failed)) {
      ReadYamlFile(absolute, place, {"streams"}, entries, &problems_);
      return;
    }
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(absolute, failed)) {
      const std::string extension = file.path().extension().string();
      if (extension == ".yaml" || extension == ".yml")
        names.push_back(file.path().filename().string());
    }
    if (failed) problems_.Add(place, "cannot be listed: " + failed.message());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      ReadYamlFile(absolute + "/" + name, (fs::path(place) / name).string(), {"streams"},
                   entries, &problems_);
    }
  }

  void Merge(const std::vector<Entry>& entries, Repeats repeats) {
    std::map<Path, std::string> places;
    for (const Entry& entry : entries) {
      if (problems_.full()) return;
      if (IsCompressionKey(entry.path) && entry.raw.shape == RawValue::Shape::kScalar) {
        MergeCompression(entry, repeats, &places);
      } else {
        MergeOne(entry, repeats, &places);
      }
    }
  }

  /// "zstd:3" stands for two settings.
  void MergeCompression(const Entry& entry, Repeats repeats,
                        std::map<Path, std::string>* places) {
    const std::string& text = entry.raw.items[0];
    const size_t colon = text.find(':');
    Entry part = entry;
    part.path.push_back("algorithm");
    part.raw.items = {text.substr(0, colon)};
    MergeOne(part, repeats, places);
    if (colon == std::string::npos) return;
    part.path.back() = "level";
    part.raw.items = {text.substr(colon + 1)};
    MergeOne(part, repeats, places);
  }

  void MergeOne(const Entry& entry, Repeats repeats, std::map<Path, std::string>* places) {
    Match match = FindSetting(entry.path);
    if (!match.setting) {
      AddGroupOrProblem(entry);
      return;
    }
    const Setting& setting = *match.setting;
    const Path path = CanonicalPath(match);
    if (!setting.in_files && entry.kind == OriginKind::kFile) {
      problems_.Add(entry.origin, "'" + JoinKey(path) + "' is a flag, not a setting");
      return;
    }
    const auto [place, is_new] = places->emplace(path, entry.origin);
    if (!is_new && repeats == Repeats::kRefuse) {
      problems_.Add(entry.origin, "'" + JoinKey(path) + "' was already given at " +
                                      place->second);
      return;
    }
    auto value = ParseValue(setting, entry.raw, memory_bytes_);
    if (!value.ok()) {
      problems_.Add(entry.origin,
                    "'" + JoinKey(path) + "' " + value.status().message());
      return;
    }
    Resolved& resolved = resolved_[path];
    resolved.text = CanonicalText(setting, *value);
    resolved.value = std::move(value).ValueOrDie();
    resolved.match = std::move(match);
    resolved.origin = entry.origin;
    resolved.kind = entry.kind;
  }

  void AddGroupOrProblem(const Entry& entry) {
    if (!IsGroup(entry.path)) {
      problems_.Add(entry.origin, UnknownKeyText(entry.path));
    } else if (entry.is_group) {
      if (entry.path.size() == 2) groups_.emplace(entry.path, entry.origin);
    } else if (entry.raw.shape != RawValue::Shape::kList || !entry.raw.items.empty()) {
      problems_.Add(entry.origin, "'" + JoinKey(entry.path) +
                                      "' is a group of settings, not one value");
    }
  }

  static Path CanonicalPath(const Match& match) {
    Path path = SplitKey(match.setting->key);
    size_t next = 0;
    for (std::string& part : path) {
      if (IsWildcard(part)) part = match.names[next++];
    }
    return path;
  }

  void ApplyOne(const Setting& setting, const Path& path, const Resolved& resolved) {
    setting.apply(settings_,
                  {setting, resolved.match.names, resolved.value, resolved.text});
    const bool hidden = !setting.in_files || setting.key.starts_with("zerobus.");
    if (hidden && resolved.kind == OriginKind::kDefault) return;
    const bool masked = setting.visibility == Visibility::kSecret &&
                        !std::holds_alternative<std::monostate>(resolved.value);
    settings_.effective.push_back({JoinKey(path), masked ? "***" : resolved.text,
                                   resolved.origin, resolved.kind,
                                   setting.reload == Reload::kLive,
                                   std::hash<std::string>{}(resolved.text)});
  }

  /// In the table's order, so that a group is seen whole by who reads the result.
  void Apply() {
    std::map<const Setting*, std::vector<const Path*>> given;
    for (const auto& [path, resolved] : resolved_)
      given[resolved.match.setting].push_back(&path);
    for (const Setting& setting : SettingTable()) {
      const auto found = given.find(&setting);
      if (found != given.end()) {
        for (const Path* path : found->second)
          ApplyOne(setting, *path, resolved_.at(*path));
      } else if (!HasWildcard(setting)) {
        Resolved resolved{{&setting, {}}, DefaultValue(setting, memory_bytes_), "", "default",
                          OriginKind::kDefault};
        resolved.text = CanonicalText(setting, resolved.value);
        ApplyOne(setting, SplitKey(setting.key), resolved);
      }
    }
    for (const auto& [path, origin] : groups_) ApplyGroup(path, origin);
    settings_.api.port_given = Given({"api", "port"});
    settings_.flight.port_given = Given({"flight", "port"});
    const auto parquet = resolved_.find({"datasets", "dataset"});
    settings_.parquet_path_given =
        parquet != resolved_.end() && parquet->second.origin == "--parquet-path";
    settings_.test_faults = EnvironmentText("ARROWPORT_TEST_FAULTS");
  }

  /// A stream without settings is still a stream; a user without any is a mistake.
  void ApplyGroup(const Path& path, const std::string& origin) {
    if (path[0] == "streams" && settings_.streams.try_emplace(path[1]).second) {
      settings_.effective.push_back(
          {JoinKey(path), "{}", origin, OriginKind::kFile, true, 0});
    }
  }

  bool Given(const Path& path) const { return resolved_.contains(path); }

  void CheckGrants(const std::string& whose, const std::vector<Grant>& grants) {
    for (const Grant& grant : grants) {
      if (grant.on.empty() || grant.abilities.empty())
        problems_.Add("", whose + " has a grant that lacks `on` or `do`");
    }
  }

  void CheckTogether() {
    const Auth& auth = settings_.auth;
    if (auth.flag_user.empty() != auth.password_file.empty())
      problems_.Add("", "--user and --password-file go together: one is missing");
    for (const auto& [name, user] : auth.users) {
      const std::string whose = "'auth.users." + name + "'";
      if (user.password_hash.empty()) problems_.Add("", whose + " needs a password_hash");
      CheckGrants(whose, user.grants);
    }
    for (size_t i = 0; i < auth.tokens.size(); ++i) {
      const std::string whose = "'auth.tokens." + std::to_string(i) + "'";
      if (auth.tokens[i].hash.empty()) problems_.Add("", whose + " needs a hash");
      CheckGrants(whose, auth.tokens[i].grants);
    }
    if (settings_.tls.cert.empty() != settings_.tls.key.empty())
      problems_.Add("", "tls.cert and tls.key go together: one is missing");
    if (!settings_.tls.client_ca.empty() && settings_.tls.cert.empty())
      problems_.Add("", "tls.client_ca needs tls.cert and tls.key");
    if (settings_.duckdb.checkpoint_wal_bytes > settings_.duckdb.wal_bytes_max)
      problems_.Add("", "duckdb.checkpoint_wal_bytes must not exceed duckdb.wal_bytes_max");
  }

  const LoadRequest& request_;
  const int64_t memory_bytes_;
  Settings settings_;
  Problems problems_;
  std::map<Path, Resolved> resolved_;
  std::map<Path, std::string> groups_;
};

}  // namespace

arrow::Result<Settings> LoadSettings(const LoadRequest& request) {
  try {
    return Loader(request).Load();
  } catch (const std::exception& error) {
    return Error(ErrorCode::kBadConfig, "configuration cannot be read: ", error.what());
  }
}

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** variable = environ; variable && *variable; ++variable) {
    const std::string_view text(*variable);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

std::vector<Change> CompareSettings(const Settings& running, const Settings& loaded) {
  std::map<std::string, const EffectiveValue*> before;
  for (const EffectiveValue& value : running.effective) before[value.key] = &value;
  std::vector<Change> changes;
  for (const EffectiveValue& value : loaded.effective) {
    const auto found = before.find(value.key);
    if (found == before.end() || found->second->fingerprint != value.fingerprint)
      changes.push_back({value.key, value.reloadable});
    if (found != before.end()) before.erase(found);
  }
  for (const auto& [key, value] : before) changes.push_back({key, value->reloadable});
  return changes;
}

arrow::Status CreateParentFolders(const Settings& settings) {
  std::vector<fs::path> folders;
  const auto add_parent = [&](const std::string& file) {
    if (!file.empty() && file[0] != ':' && file.find(':') == std::string::npos)
      folders.push_back(fs::path(file).parent_path());
  };
  add_parent(settings.duckdb.path);
  add_parent(settings.ready_file);
  if (settings.storage_backend == "ducklake") add_parent(settings.ducklake.catalog);
  for (const fs::path& folder : folders) {
    std::error_code failed;
    if (!folder.empty()) fs::create_directories(folder, failed);
    if (failed) {
      return Error(ErrorCode::kBadConfig, "cannot create the folder ", folder.string(),
                   ": ", failed.message());
    }
  }
  return {};
}

}  // namespace arrowport::config
