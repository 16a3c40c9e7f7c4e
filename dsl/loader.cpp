#include "dsl/loader.h"

#include <filesystem>
#include <iterator>
#include <optional>

#include "dsl/edition.h"
#include "dsl/parser.h"

namespace espalier::dsl {
namespace {

class Loader {
 public:
  Loader(Program& program, const ReadFile& read, Diagnostics& diagnostics)
      : program_(program), read_(read), diagnostics_(diagnostics) {}

  Loaded run(std::string name, std::string text) {
    add(std::move(name), std::move(text));
    loaded_.complete = files_[0].complete;
    // Depth first: a file's uses are looked at once it is parsed, those of what it uses before its
    // next one.
    open_.emplace_back(0, 0);
    while (!open_.empty()) {
      const std::uint32_t file = open_.back().first;
      if (open_.back().second == files_[file].uses.size()) {
        open_.pop_back();
        continue;
      }
      const Use use = files_[file].uses[open_.back().second++];
      if (const auto target = reach(file, use))
        loaded_.uses.emplace(std::pair(use.decl.file, use.decl.begin), *target);
    }
    if (later_.size() > 0) {
      diagnostics_ = std::move(later_);  // what else is wrong may be right there
      loaded_.complete = false;
    }
    return std::move(loaded_);
  }

 private:
  struct Use {
    std::string path;
    Span span;  // of the path
    Span decl;
  };
  struct ParsedFile {
    std::vector<Use> uses;
    bool complete = true;
  };

  void add(std::string name, std::string text) {
    const auto index = static_cast<std::uint32_t>(program_.sources.size());
    bytes_ += text.size();
    by_name_.emplace(name, index);
    program_.sources.emplace_back(std::move(name), std::move(text));
    Parsed parsed = parse(program_.sources.back(), index, diagnostics_, program_.file);
    loaded_.skipped.insert(loaded_.skipped.end(), parsed.skipped.begin(), parsed.skipped.end());
    refuse_later(edition_of(parsed.file, index, diagnostics_), later_);
    ParsedFile file;
    file.complete = parsed.complete;
    for (const Decl& decl : parsed.file.declarations) {
      if (const auto* use = std::get_if<UseDecl>(&decl))
        file.uses.push_back({use->path.value, use->path.span, use->span});
    }
    files_.push_back(std::move(file));
    File& all = program_.file;
    std::move(parsed.file.declarations.begin(), parsed.file.declarations.end(),
              std::back_inserter(all.declarations));
    all.expressions = parsed.file.expressions;
    all.holes = parsed.file.holes;
    all.patterns = parsed.file.patterns;
  }

  // The source that a `use` names; read if it was not yet.
  std::optional<std::uint32_t> reach(std::uint32_t from, const Use& use) {
    const auto refuse = [&](const std::string& message) {
      diagnostics_.error("E0117", use.span, message);
      return std::nullopt;
    };
    if (use.path.empty()) return refuse("`use` names no file");
    const std::string path = path_beside(program_.sources[from].name(), use.path);
    if (const auto known = by_name_.find(path); known != by_name_.end()) {
      for (std::size_t i = 0; i < open_.size(); ++i) {
        if (open_[i].first != known->second) continue;
        std::string circle;
        for (std::size_t k = i; k < open_.size(); ++k)
          circle += program_.sources[open_[k].first].name() + " -> ";
        diagnostics_
            .error("E0118", use.span, "files use each other in a circle: " + circle + path,
                   "closes the circle")
            .help = "put what both need into a third file";
        return std::nullopt;
      }
      return known->second;
    }
    if (read_ == nullptr)
      return refuse("\"" + use.path + "\" cannot be read: no files are at hand");
    if (files_.size() >= kMaxFiles)
      return refuse("more than " + std::to_string(kMaxFiles) + " files in one program");
    auto text = read_(path);
    if (!text) return refuse(text.error().message);
    if (bytes_ + text->size() > kMaxSource) {
      return refuse("the program's files have more than " + std::to_string(kMaxSource) +
                    " bytes together");
    }
    add(path, std::move(*text));
    const auto index = static_cast<std::uint32_t>(files_.size() - 1);
    open_.emplace_back(index, 0);
    return index;
  }

  Program& program_;
  const ReadFile& read_;
  Diagnostics& diagnostics_;
  Diagnostics later_;  // files of a later edition
  Loaded loaded_;
  std::vector<ParsedFile> files_;  // by source
  std::map<std::string, std::uint32_t> by_name_;
  std::vector<std::pair<std::uint32_t, std::size_t>> open_;  // files on the way, and their next use
  std::size_t bytes_ = 0;
};

}  // namespace

Loaded load(Program& program, std::string name, std::string text, const ReadFile& read,
            Diagnostics& diagnostics) {
  return Loader(program, read, diagnostics).run(std::move(name), std::move(text));
}

std::string path_beside(const std::string& from, const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(from).parent_path();
  return (folder / path).lexically_normal().string();
}

}  // namespace espalier::dsl
