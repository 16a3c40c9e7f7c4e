#include "batch/inputs.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "batch/csv.h"
#include "grammar/json_text.h"

namespace espalier::batch {
namespace {

bool is_pattern(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

bool has_ending(const std::string& path, std::string_view ending) {
  return path.size() > ending.size() && path.ends_with(ending);
}

bool is_rows(const std::string& path) { return has_ending(path, ".jsonl"); }
bool is_table(const std::string& path) {
  return has_ending(path, ".csv") || has_ending(path, ".tsv");
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

// A name that is not UTF-8, as a shell's $'…' has it.
std::string with_escapes(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (auto at = utf8::find_malformed(name); at != std::string_view::npos;
       at = utf8::find_malformed(name)) {
    const auto byte = static_cast<unsigned char>(name[at]);
    out += name.substr(0, at);
    out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    name.remove_prefix(at + 1);
  }
  return out.append(name);
}

// Extends `paths` by all folders below each of them, at any depth; hidden ones and links are left
// out.
Status descend(std::vector<std::string>& paths, System& system) {
  std::vector<std::pair<std::string, std::size_t>> open;  // with the folders above, since a **
  for (std::string& path : paths) open.emplace_back(std::move(path), 0);
  paths.clear();
  while (!open.empty()) {
    auto [folder, above] = std::move(open.back());
    open.pop_back();
    if (above > kMaxFolders) {
      return fail(ErrorCode::kLimit, "'" + folder + "': folders more than " +
                                         std::to_string(kMaxFolders) + " deep below a **");
    }
    auto names = system.list(folder.empty() ? "." : folder);
    if (!names && is_absence(names.error())) continue;
    if (!names) return fail(std::move(names).error());
    for (const std::string& name : *names) {
      if (name.starts_with('.')) continue;
      std::string path = join_path(folder, name);
      auto info = system.info(path);
      if (!info && is_absence(info.error())) continue;  // expand() sees to what leads nowhere
      if (!info) return fail(std::move(info).error());
      if (info->is_directory && !info->is_link) open.emplace_back(std::move(path), above + 1);
    }
    paths.push_back(std::move(folder));
  }
  return {};
}

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

// The fields of a table's record, which are texts.
Result<std::vector<std::string>> read_fields(std::string_view record, char separator) {
  if (const auto at = utf8::find_malformed(record); at != std::string_view::npos) {
    return fail(bad_row(ErrorCode::kInvalid,
                        "not UTF-8: its byte " + std::to_string(at) + " is malformed"));
  }
  return csv_fields(record, separator);
}

// The ids of a file's rows, each of which stands once.
class UniqueIds {
 public:
  explicit UniqueIds(const std::string& path) : path_(path) {}
  Status add(const Json& id, std::uint64_t line) {
    const auto [place, fresh] = seen_.emplace(write_json(id), line);
    if (fresh) return {};
    return fail(ErrorCode::kInvalid, path_ + ":" + std::to_string(line) + ": the id " +
                                         place->first + " stands on line " +
                                         std::to_string(place->second) +
                                         " already; each row needs its own");
  }

 private:
  const std::string& path_;
  std::unordered_map<std::string, std::uint64_t> seen_;  // id as JSON -> line
};

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
    if (part == "**") {
      ESP_TRY(descend(paths, system));
      if (last) ESP_TRY(expand(paths, "*", last, system));
    } else if (!part.empty()) {
      ESP_TRY(expand(paths, part, last, system));
    }
    begin = last ? pattern.size() : next;
  }
  std::sort(paths.begin(), paths.end());
  // Two of ** reach a file by several ways.
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

Result<Inputs> Inputs::open(const std::string& pattern, System& system) {
  if (pattern.empty()) return fail(ErrorCode::kInvalid, "the input pattern is empty");
  if (!is_pattern(pattern) && is_rows(pattern)) return open_rows(pattern, system);
  if (!is_pattern(pattern) && is_table(pattern)) return open_table(pattern, system);

  std::vector<std::string> paths;
  const auto info = system.info(pattern);
  if (info && info->is_directory) {
    ESP_ASSIGN(paths, glob(join_path(pattern, "*"), system));
    if (paths.empty()) {
      return fail(ErrorCode::kNotFound, "the folder '" + pattern + "' has no files of its own; '" +
                                            join_path(pattern, "**") +
                                            "' is those of its folders as well");
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
    if (is_rows(path) && paths.size() > 1) {
      return fail(ErrorCode::kInvalid,
                  "'" + pattern + "' matches '" + path +
                      "' among others: the rows of a .jsonl file are a job of their own; "
                      "name that file alone, or narrow the pattern");
    }
    // Ids stand in JSON: a file name in another encoding has none.
    if (utf8::find_malformed(path) != std::string_view::npos) {
      return fail(ErrorCode::kInvalid, "'" + pattern +
                                           "' matches a file whose name is not UTF-8: '" +
                                           with_escapes(path) + "'; rename it");
    }
    inputs.entries_.push_back({Json(path), path, {}});
  }
  return inputs;
}

Result<std::string_view> Inputs::map_rows(const std::string& path, System& system) {
  ESP_ASSIGN(rows_, system.map(path));
  rows_path_ = path;
  const auto bytes = rows_->bytes();
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

Result<Inputs> Inputs::open_rows(const std::string& path, System& system) {
  Inputs inputs;
  ESP_ASSIGN(const std::string_view text, inputs.map_rows(path, system));
  UniqueIds ids(path);
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
    ESP_TRY(ids.add(id, number));
    inputs.entries_.push_back({std::move(id), {}, line});
  }
  if (inputs.entries_.empty()) return fail(ErrorCode::kNotFound, "'" + path + "' has no rows");
  return inputs;
}

Result<Inputs> Inputs::open_table(const std::string& path, System& system) {
  Inputs inputs;
  ESP_ASSIGN(const std::string_view text, inputs.map_rows(path, system));
  inputs.separator_ = has_ending(path, ".tsv") ? '\t' : csv_separator(text);
  const std::vector<CsvRecord> records = csv_records(text, inputs.separator_);
  if (records.size() < 2) return fail(ErrorCode::kNotFound, "'" + path + "' has no rows");
  auto header = read_fields(records[0].text, inputs.separator_);
  if (!header) return fail(std::move(header).error().within("the header of '" + path + "'"));
  inputs.columns_ = std::move(*header);
  for (std::size_t i = 0; i < inputs.columns_.size(); ++i) {
    std::string& name = inputs.columns_[i];
    if (name.empty()) name = "column " + std::to_string(i + 1);
    if (std::find(inputs.columns_.begin(), inputs.columns_.begin() + i, name) !=
        inputs.columns_.begin() + i)
      return fail(ErrorCode::kInvalid, "'" + path + "' has two columns \"" + name + "\"");
  }
  UniqueIds ids(path);
  const bool named =
      std::find(inputs.columns_.begin(), inputs.columns_.end(), "id") != inputs.columns_.end();
  for (std::size_t i = 1; i < records.size(); ++i) {
    Json id = records[i].line;
    // A record that cannot be read keeps its line as id, and fails when it is read.
    if (named) {
      if (auto row = inputs.read_record(records[i].text)) id = std::move(row->fields["id"]);
    }
    ESP_TRY(ids.add(id, records[i].line));
    inputs.entries_.push_back({std::move(id), {}, records[i].text});
  }
  return inputs;
}

Result<Row> Inputs::read_record(std::string_view record) const {
  ESP_ASSIGN(std::vector<std::string> fields, read_fields(record, separator_));
  if (fields.size() != columns_.size()) {
    return fail(bad_row(ErrorCode::kInvalid, "the row has " + std::to_string(fields.size()) +
                                                 (fields.size() == 1 ? " field" : " fields") +
                                                 ", the header " +
                                                 std::to_string(columns_.size())));
  }
  Row row;
  row.of_table = true;
  row.fields = Json::object();
  for (std::size_t i = 0; i < fields.size(); ++i) row.fields[columns_[i]] = std::move(fields[i]);
  return row;
}

bool Inputs::reads(const std::string& path) const {
  const std::string wanted = normal(path);
  if (rows_ != nullptr) return normal(rows_path_) == wanted;
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return normal(entry.path) == wanted; });
}

Result<Row> Inputs::read(std::size_t index, System& system, const std::atomic<bool>* stop) const {
  const Entry& entry = entries_[index];
  Row row;
  if (rows_ != nullptr) {
    // Bytes that were cut off are no longer there to be looked at: the process would die of it.
    if (const auto now = system.info(rows_path_); now && now->size < rows_->bytes().size()) {
      return fail(bad_row(ErrorCode::kInvalid, "'" + rows_path_ + "' had " +
                                                   std::to_string(rows_->bytes().size()) +
                                                   " bytes when the job began and has " +
                                                   std::to_string(now->size) + " now"));
    }
    if (entry.line.size() > kMaxDocumentBytes) {
      return fail(bad_row(ErrorCode::kLimit, "the row has " + std::to_string(entry.line.size()) +
                                                 " bytes; at most " +
                                                 std::to_string(kMaxDocumentBytes) + " are read"));
    }
    if (!columns_.empty()) return read_record(entry.line);
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
  ESP_ASSIGN(row.document, found_ ? system.read(entry.path, kMaxDocumentBytes)
                                  : system.read_named(entry.path, kMaxDocumentBytes, stop));
  if (row.document.starts_with("\xEF\xBB\xBF")) row.document.erase(0, 3);
  if (const auto at = utf8::find_malformed(row.document); at != std::string_view::npos) {
    return fail(bad_row(ErrorCode::kInvalid, "'" + entry.path + "' is not UTF-8: byte " +
                                                 std::to_string(at) + " is malformed"));
  }
  return row;
}

}  // namespace espalier::batch
