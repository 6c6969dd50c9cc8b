// The reference page docs/reference/settings.md, made from the table.
#pragma once

#include <string>

namespace arrowport::config {

/// The whole page as Markdown, with a line end at its end. Depends on nothing but the
/// table: a test checks that the file in the repository is current.
std::string ReferencePage();

}  // namespace arrowport::config
