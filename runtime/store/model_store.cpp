#include "runtime/store/model_store.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "base/cache_folder.h"
#include "runtime/model/gguf.h"
#include "runtime/model/split.h"
#include "runtime/store/pull.h"

namespace espalier::runtime {
namespace {

// Levenshtein's distance; names are short.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

bool is_model_file(std::string_view name) { return name.ends_with(".gguf"); }

}  // namespace

Result<ModelStore> ModelStore::open(System& system) {
  if (auto folder = system.environment("ESPALIER_MODELS"); folder && !folder->empty()) {
    return ModelStore(system, std::move(*folder), catalogue());
  }
  auto folder = cache_folder("models", system);
  if (!folder) {
    return fail(ErrorCode::kInvalid,
                "where models are kept is not known: set ESPALIER_MODELS or HOME");
  }
  return ModelStore(system, std::move(*folder), catalogue());
}

ModelStore::ModelStore(System& system, std::string folder, std::span<const CatalogueEntry> known)
    : system_(&system), folder_(std::move(folder)), known_(known) {}

const CatalogueEntry* ModelStore::find(std::string_view name) const {
  for (const CatalogueEntry& entry : known_) {
    if (entry.name == name ||
        std::find(entry.aliases.begin(), entry.aliases.end(), name) != entry.aliases.end()) {
      return &entry;
    }
  }
  return nullptr;
}

Error ModelStore::unknown(std::string_view name) const {
  std::string names;
  std::string_view nearest;
  std::size_t least = 3;  // more edits than two are another word
  for (const CatalogueEntry& entry : known_) {
    names += (names.empty() ? "" : ", ") + entry.name;
    for (const std::string& alias : entry.aliases) {
      if (name.size() < 64 && edit_distance(name, alias) < least) {
        least = edit_distance(name, alias);
        nearest = alias;
      }
    }
    if (name.size() < 64 && edit_distance(name, entry.name) < least) {
      least = edit_distance(name, entry.name);
      nearest = entry.name;
    }
  }
  std::string message = "no model is called " + shown(name);
  if (!nearest.empty()) message += "; did you mean '" + std::string(nearest) + "'?";
  message += " (known: " + names + "; or give the path of a .gguf file)";
  return {ErrorCode::kNotFound, std::move(message)};
}

Result<std::string> ModelStore::resolve(std::string_view name_or_path) const {
  const std::string name(name_or_path);
  const auto is_file = [&](const std::string& path) {
    const auto info = system_->info(path);
    return info && !info->is_directory;
  };
  if (const CatalogueEntry* entry = find(name)) {
    if (is_file(path_of(entry->file))) return path_of(entry->file);
    return fail(ErrorCode::kNotFound, "model '" + entry->name + "' is not in the store (" +
                                          folder_ + "); fetch it with: espalier pull " +
                                          entry->name);
  }
  if (!name.empty() && is_file(name)) return name;
  const bool is_path = name.find('/') != std::string::npos;
  if (!is_path && is_model_file(name)) {
    if (is_file(path_of(name))) return path_of(name);
    return fail(ErrorCode::kNotFound,
                "there is no file " + shown(name) + ", neither here nor in " + folder_);
  }
  if (is_path) {
    // info() says why: missing, no permission, or a folder.
    ESP_TRY(system_->info(name));
    return fail(ErrorCode::kInvalid, shown(name) + " is a folder; a .gguf file is needed");
  }
  return fail(unknown(name));
}

Result<std::string> ModelStore::pull(std::string_view name, const PullCallback& progress) const {
  const auto http = curl_http(*system_);
  return pull(name, *http, progress);
}

Result<std::string> ModelStore::pull(std::string_view name, Http& http,
                                     const PullCallback& progress) const {
  const CatalogueEntry* entry = find(name);
  if (entry == nullptr) return fail(unknown(name));
  return pull_model(*system_, http, folder_, *entry, progress);
}

std::vector<ModelStore::Listed> ModelStore::list() const {
  std::vector<Listed> out;
  // A folder that does not exist yet is an empty store.
  auto files = system_->list(folder_).value_or(std::vector<std::string>());
  for (const CatalogueEntry& entry : known_) {
    const bool present = std::erase(files, entry.file) > 0;
    out.push_back({entry.name, entry.about, entry.file, entry.bytes, present});
  }
  std::map<std::string, std::size_t> splits;  // name of the first file: index in `out`
  for (const std::string& file : files) {
    if (!is_model_file(file)) continue;
    const auto info = system_->info(path_of(file));
    if (!info || info->is_directory) continue;
    // The files of a split model are one model, under the first one's name.
    if (const auto split = split_name(file)) {
      const auto [at, first] = splits.try_emplace(split->file(1), out.size());
      if (!first) {
        out[at->second].bytes += info->size;
        continue;
      }
    }
    out.push_back({file, "", file, info->size, true});
  }
  return out;
}

}  // namespace espalier::runtime
