#include <yaml-cpp/yaml.h>

#include <fstream>
#include <sstream>

#include "config/source.h"

namespace arrowport::config {
namespace {

constexpr size_t kFileBytesMax = 16 << 20;
constexpr size_t kDepthMax = 16;
constexpr size_t kEntriesMax = 200000;

class Flattener {
 public:
  Flattener(std::string shown_name, std::vector<Entry>* entries, Problems* problems)
      : shown_name_(std::move(shown_name)), entries_(entries), problems_(problems) {}

  void Flatten(const YAML::Node& node, std::vector<std::string> path) {
    if (full_) return;
    // Aliases can make a small file endless.
    if (path.size() > kDepthMax || entries_->size() >= kEntriesMax) {
      full_ = true;
      problems_->Add(Place(node), "is nested too deeply or holds too many values");
      return;
    }
    if (node.IsMap()) {
      FlattenMap(node, path);
    } else if (node.IsSequence() && node.size() > 0 && node[0].IsMap()) {
      for (size_t i = 0; i < node.size(); ++i) Flatten(node[i], Below(path, i));
    } else if (node.IsSequence()) {
      FlattenList(node, std::move(path));
    } else if (node.IsScalar()) {
      Add(node, std::move(path), {{node.Scalar()}, RawValue::Shape::kScalar});
    } else {
      Add(node, std::move(path), {{}, RawValue::Shape::kNull});
      entries_->back().is_group = true;
    }
  }

  std::string Place(const YAML::Node& node) const {
    return shown_name_ + ":" + std::to_string(node.Mark().line + 1);
  }

 private:
  static std::vector<std::string> Below(std::vector<std::string> path, size_t index) {
    path.push_back(std::to_string(index));
    return path;
  }

  void FlattenMap(const YAML::Node& node, const std::vector<std::string>& path) {
    if (node.size() == 0) {
      Add(node, path, {{}, RawValue::Shape::kNull});
      entries_->back().is_group = true;
    }
    for (const auto& item : node) {
      if (!item.first.IsScalar()) {
        problems_->Add(Place(item.first), "a key must be plain text");
        continue;
      }
      std::vector<std::string> below = path;
      below.push_back(item.first.Scalar());
      const size_t before = entries_->size();
      Flatten(item.second, std::move(below));
      // A null has no place of its own.
      for (size_t i = before; i < entries_->size(); ++i) {
        if ((*entries_)[i].is_group) (*entries_)[i].origin = Place(item.first);
      }
    }
  }

  void FlattenList(const YAML::Node& node, std::vector<std::string> path) {
    RawValue list{{}, RawValue::Shape::kList};
    for (const auto& item : node) {
      if (!item.IsScalar()) {
        problems_->Add(Place(item), "'" + JoinKey(path) + "' needs plain items");
        return;
      }
      list.items.push_back(item.Scalar());
    }
    Add(node, std::move(path), std::move(list));
  }

  void Add(const YAML::Node& node, std::vector<std::string> path, RawValue raw) {
    entries_->push_back(
        {std::move(path), std::move(raw), OriginKind::kFile, Place(node), false});
  }

  const std::string shown_name_;
  std::vector<Entry>* const entries_;
  Problems* const problems_;
  bool full_ = false;
};

bool ReadText(const std::string& file, const std::string& shown_name, std::string* text,
              Problems* problems) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream buffer;
  if (!stream || !(buffer << stream.rdbuf() || stream.eof())) {
    // An empty file sets the stream's fail bit, which is no failure to read.
    if (stream.is_open() && stream.peek() == std::ifstream::traits_type::eof()) {
      text->clear();
      return true;
    }
    problems->Add(shown_name, "cannot be read: check that the file exists and its rights");
    return false;
  }
  *text = std::move(buffer).str();
  if (text->size() > kFileBytesMax) {
    problems->Add(shown_name, "is larger than 16 MiB");
    return false;
  }
  return true;
}

}  // namespace

void ReadYamlFile(const std::string& file, const std::string& shown_name,
                  const std::vector<std::string>& prefix, std::vector<Entry>* entries,
                  Problems* problems) {
  std::string text;
  if (!ReadText(file, shown_name, &text, problems)) return;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty() || (documents.size() == 1 && documents[0].IsNull())) return;
    Flattener flattener(shown_name, entries, problems);
    if (documents.size() > 1) {
      problems->Add(flattener.Place(documents[1]), "only one YAML document is allowed");
      return;
    }
    YAML::Node root = documents[0];
    if (!root.IsMap()) {
      problems->Add(shown_name, "must be a YAML mapping of settings");
      return;
    }
    if (!prefix.empty() && root.size() == 1 && root[prefix[0]]) root = root[prefix[0]];
    if (root.IsMap() && root.size() > 0) flattener.Flatten(root, prefix);
  } catch (const YAML::Exception& error) {
    problems->Add(shown_name + ":" + std::to_string(error.mark.line + 1),
                  "is not valid YAML: " + error.msg);
  }
}

}  // namespace arrowport::config
