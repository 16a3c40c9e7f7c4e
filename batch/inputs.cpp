#include "batch/inputs.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "grammar/json_text.h"

namespace espalier::batch {
namespace {

bool is_pattern(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

bool ends_with_jsonl(const std::string& path) {
  constexpr std::string_view kEnding = ".jsonl";
  return path.size() > kEnding.size() && path.ends_with(kEnding);
}

std::string join_path(const std::string& folder, const std::string& name) {
  if (folder.empty() || folder.ends_with('/')) return folder + name;
  return folder + "/" + name;
}

std::string normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

// A missing file, or a name used as a folder, is simply no match.
bool is_absence(const Error& error) { return error.code == ErrorCode::kNotFound; }

// Extends each of `folders` by one part of the pattern.
Status expand(std::vector<std::string>& paths, const std::string& part, bool last, System& system) {
  std::vector<std::string> found;
  for (const std::string& folder : paths) {
    std::vector<std::string> names;
    if (is_pattern(part)) {
      auto listed = system.list(folder.empty() ? "." : folder);
      if (!listed && is_absence(listed.error())) continue;
      if (!listed) return fail(std::move(listed).error());
      for (std::string& name : *listed) {
        if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD | FNM_NOESCAPE) == 0) {
          names.push_back(std::move(name));
        }
      }
    } else {
      names.push_back(part);
    }
    for (const std::string& name : names) {
      std::string path = join_path(folder, name);
      auto info = system.info(path);
      if (!info && is_absence(info.error())) {
        // A name that was listed and leads nowhere is an input that fails, not one that is missed.
        if (last && is_pattern(part)) found.push_back(std::move(path));
        continue;
      }
      if (!info) return fail(std::move(info).error());
      if (info->is_directory != last) found.push_back(std::move(path));
    }
  }
  paths = std::move(found);
  return {};
}

Error bad_row(ErrorCode code, const std::string& what) { return {code, what}; }

}  // namespace

Result<std::vector<std::string>> glob(const std::string& pattern, System& system) {
  std::vector<std::string> paths{pattern.starts_with('/') ? "/" : ""};
  std::size_t begin = 0;
  while (begin < pattern.size()) {
    std::size_t end = pattern.find('/', begin);
    if (end == std::string::npos) end = pattern.size();
    const std::string part = pattern.substr(begin, end - begin);
    const std::size_t next = pattern.find_first_not_of('/', end);
    const bool last = next == std::string::npos;
    if (!part.empty()) ESP_TRY(expand(paths, part, last, system));
    begin = last ? pattern.size() : next;
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<Inputs> Inputs::open(const std::string& pattern, System& system) {
  if (pattern.empty()) return fail(ErrorCode::kInvalid, "the input pattern is empty");
  if (!is_pattern(pattern) && ends_with_jsonl(pattern)) return open_rows(pattern, system);

  std::vector<std::string> paths;
  const auto info = system.info(pattern);
  if (info && info->is_directory) {
    ESP_ASSIGN(paths, glob(join_path(pattern, "*"), system));
    if (paths.empty()) {
      return fail(ErrorCode::kNotFound, "the folder '" + pattern + "' has no files");
    }
  } else if (info) {
    paths = {pattern};
  } else if (!is_absence(info.error()) && !is_pattern(pattern)) {
    return fail(info.error());
  } else {
    ESP_ASSIGN(paths, glob(pattern, system));
    if (paths.empty()) {
      return fail(ErrorCode::kNotFound, is_pattern(pattern) ? "no file matches '" + pattern + "'"
                                                            : "there is no '" + pattern + "'");
    }
  }
  Inputs inputs;
  inputs.found_ = !info || info->is_directory;
  for (std::string& path : paths) {
    if (ends_with_jsonl(path) && paths.size() > 1) {
      return fail(ErrorCode::kInvalid,
                  "'" + pattern + "' matches '" + path +
                      "' among others: the rows of a .jsonl file are a job of their own; "
                      "name that file alone, or narrow the pattern");
    }
    // Ids stand in JSON: a file name in another encoding has none.
    if (utf8::find_malformed(path) != std::string_view::npos) {
      return fail(ErrorCode::kInvalid,
                  "'" + pattern + "' matches a file whose name is not UTF-8; rename it");
    }
    inputs.entries_.push_back({Json(path), path, {}});
  }
  return inputs;
}

Result<Inputs> Inputs::open_rows(const std::string& path, System& system) {
  ESP_ASSIGN(std::shared_ptr<const Mapping> mapping, system.map(path));
  Inputs inputs;
  inputs.rows_path_ = path;
  const auto bytes = mapping->bytes();
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);

  std::unordered_map<std::string, std::uint64_t> seen;  // id as JSON -> line
  std::uint64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;

    Json id = number;
    // A line that does not parse keeps its number as id, and fails when it is read.
    if (const auto row = read_json(line); row && row->is_object() && row->contains("id")) {
      id = (*row)["id"];
      if (!id.is_string() && !id.is_number_integer()) {
        return fail(ErrorCode::kInvalid, path + ":" + std::to_string(number) +
                                             ": \"id\" must be a string or an integer, not " +
                                             write_json(id).substr(0, 40));
      }
    }
    const auto [place, fresh] = seen.emplace(write_json(id), number);
    if (!fresh) {
      return fail(ErrorCode::kInvalid, path + ":" + std::to_string(number) + ": the id " +
                                           place->first + " stands on line " +
                                           std::to_string(place->second) +
                                           " already; each row needs its own");
    }
    inputs.entries_.push_back({std::move(id), {}, line});
  }
  if (inputs.entries_.empty()) return fail(ErrorCode::kNotFound, "'" + path + "' has no rows");
  inputs.rows_ = std::move(mapping);
  return inputs;
}

bool Inputs::reads(const std::string& path) const {
  const std::string wanted = normal(path);
  if (rows_ != nullptr) return normal(rows_path_) == wanted;
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return normal(entry.path) == wanted; });
}

Result<Row> Inputs::read(std::size_t index, System& system) const {
  const Entry& entry = entries_[index];
  Row row;
  if (rows_ != nullptr) {
    if (entry.line.size() > kMaxDocumentBytes) {
      return fail(bad_row(ErrorCode::kLimit, "the row has " + std::to_string(entry.line.size()) +
                                                 " bytes; at most " +
                                                 std::to_string(kMaxDocumentBytes) + " are read"));
    }
    ESP_ASSIGN(row.fields, read_json(entry.line));
    if (!row.fields.is_object()) {
      return fail(bad_row(ErrorCode::kInvalid,
                          std::string("the row is not an object but ") + row.fields.type_name()));
    }
    return row;
  }
  row.is_document = true;
  if (found_) {  // whoever names a pipe wants it read; one that was found may never end
    ESP_ASSIGN(const FileInfo info, system.info(entry.path));
    if (!info.is_regular) {
      return fail(bad_row(ErrorCode::kInvalid,
                          "'" + entry.path + "' is a pipe, a socket or a device, not a file"));
    }
  }
  ESP_ASSIGN(row.document, system.read(entry.path, kMaxDocumentBytes));
  if (row.document.starts_with("\xEF\xBB\xBF")) row.document.erase(0, 3);
  if (const auto at = utf8::find_malformed(row.document); at != std::string_view::npos) {
    return fail(bad_row(ErrorCode::kInvalid, "'" + entry.path + "' is not UTF-8: byte " +
                                                 std::to_string(at) + " is malformed"));
  }
  return row;
}

}  // namespace espalier::batch
