// Names of debug files (docs/formats/zerobus-debug.md): active <stem><extension>, rotated
// <stem>_YYYYMMDD_HHMMSS_<sequence><extension>, and which descriptor goes with which rows.
#pragma once

#include <arrow/result.h>

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace arrowport::zerobus {

inline constexpr std::string_view kArrowExtension = ".arrow";
inline constexpr std::string_view kProtoExtension = ".proto";
inline constexpr std::string_view kDescriptorExtension = ".pb";

/// When a file was rotated. Stamps of a table grow, even where the clock does not.
struct DebugStamp {
  std::string second;  ///< YYYYMMDD_HHMMSS, UTC
  int64_t sequence = 0;
  auto operator<=>(const DebugStamp&) const = default;
};

struct RotatedFile {
  DebugStamp stamp;
  std::filesystem::path path;
};

/// The table's name with dots and slashes as underscores. Errors: Configuration, for
/// other characters than ASCII letters, digits, '_' and '-', and more than 200 of them.
arrow::Result<std::string> DebugFileStem(std::string_view table);

std::string RotatedName(std::string_view stem, const DebugStamp& stamp,
                        std::string_view extension);
/// Of a name of exactly that pattern.
std::optional<DebugStamp> ParseRotatedName(std::string_view name, std::string_view stem,
                                           std::string_view extension);

/// The stamp after `newest`.
DebugStamp NextStamp(Clock::Wall now, const DebugStamp& newest);

/// Where the lock of a table's files is, below the folder `zerobus`.
std::filesystem::path LockPath(const std::filesystem::path& zerobus_folder,
                               std::string_view stem);

/// Rotated files of `stem`, the oldest first; empty when the folder cannot be read. What
/// is the active file of a table with such a name (it has a lock of its own) is left out.
std::vector<RotatedFile> ListRotated(const std::filesystem::path& folder,
                                     std::string_view stem, std::string_view extension);

/// The descriptor of a file of rows: beside it under its own name, or in
/// ../descriptors: the first that was rotated with or after it, else the active one.
/// Errors: kNotFound naming the place.
arrow::Result<std::filesystem::path> FindDescriptor(const std::filesystem::path& rows);

/// Removes rotated descriptors that no rotated file of rows needs.
std::error_code PruneDescriptors(const std::filesystem::path& zerobus_folder,
                                 std::string_view stem);

}  // namespace arrowport::zerobus
