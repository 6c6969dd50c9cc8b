// From the outside world to one Settings value: default < file < environment < flag.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/settings.h"

namespace arrowport::config {

/// A reload must not take a file that an editor has just emptied for "all defaults".
enum class EmptyFile { kAccept, kRefuse };

struct LoadRequest {
  /// Flags of `serve` only: "--host", "0.0.0.0", "--set", "api.port=0", "--config", ...
  std::vector<std::string> args;
  std::map<std::string, std::string> environment;
  std::string working_directory = ".";
  int64_t memory_bytes = 0;  ///< what percentages are of; 0: ask the machine
  EmptyFile empty_file = EmptyFile::kAccept;
};

/// The file is the first of `--config`, ARROWPORT_CONFIG (either must exist),
/// ./arrowport.yaml, ./config.yaml. Errors: kBadConfig naming every problem with its
/// place. Paths inside the settings stay as written, relative to the working directory.
arrow::Result<Settings> LoadSettings(const LoadRequest& request);

/// The real environment; the one place of the program that reads it.
std::map<std::string, std::string> ProcessEnvironment();

struct Change {
  std::string key;
  bool reloadable = false;
};

/// Keys whose effective values differ, for a reload: what is not reloadable needs a
/// restart and keeps its running value.
std::vector<Change> CompareSettings(const Settings& running, const Settings& loaded);

/// Creates the missing parent folders of every local path the server writes to. Errors:
/// kBadConfig naming the folder.
arrow::Status CreateParentFolders(const Settings& settings);

}  // namespace arrowport::config
