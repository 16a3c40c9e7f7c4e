#include "grammar/tables_file.h"

#include <algorithm>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "grammar/code_digest.h"
#include "grammar/json_schema.h"
#include "grammar/per_vocabulary.h"
#include "grammar/stored_form.h"

namespace espalier::grammar {
namespace {

constexpr std::string_view kSuffix = ".tables";
constexpr std::string_view kBegun = ".begun";

// Where the tables of a vocabulary are kept; nowhere: no system.
struct Place {
  std::string folder;
  System* system = nullptr;
};

// What was said first, or is said now.
std::shared_ptr<const Place> place_of(const VocabularyRef& vocabulary, const Place& said = {}) {
  return per_vocabulary<const Place>(vocabulary,
                                     [&] { return std::make_shared<const Place>(said); });
}

}  // namespace

void keep_tables(const VocabularyRef& vocabulary, std::string folder, System& system) {
  static_cast<void>(place_of(vocabulary, {std::move(folder), &system}));
}

void keep_tables_beside(const VocabularyRef& other, const VocabularyRef& vocabulary) {
  const auto place = place_of(other);
  if (place->system != nullptr) keep_tables(vocabulary, place->folder, *place->system);
}

std::optional<TablesFile> TablesFile::of(const VocabularyRef& vocabulary,
                                         std::uint64_t decided_by) {
  const auto place = place_of(vocabulary);
  if (place->system == nullptr) return std::nullopt;
  Digest digest;
  digest.add(decided_by);
  digest.add(code_digest());
  char name[24];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(digest.value()));
  return TablesFile(place->folder, name + std::string(kSuffix), *place->system);
}

std::optional<std::string> TablesFile::read() const {
  auto form = system_->read(path_, kMostBytes);
  if (!form) return std::nullopt;
  static_cast<void>(system_->touch(path_));  // what cannot be marked as used goes the sooner
  return std::move(*form);
}

std::unique_ptr<FileLock> TablesFile::begin() const {
  if (!system_->make_directories(folder_)) return nullptr;
  if (const auto there = system_->info(path_); there && !there->is_regular) return nullptr;
  auto lock = system_->try_lock(folder_ + "/lock");
  if (!lock || *lock == nullptr) return nullptr;
  if (!system_->open(begun(), OpenMode::kTruncate)) return nullptr;
  return std::move(*lock);
}

void TablesFile::write(std::string_view form) const {
  const auto put = [&]() -> Status {
    if (form.size() > kMostBytes) return fail(ErrorCode::kLimit, "tables: too many to be kept");
    ESP_ASSIGN(const auto file, system_->open(begun(), OpenMode::kTruncate));
    ESP_TRY(file->append(std::as_bytes(std::span(form))));
    return system_->rename(begun(), path_);
  };
  if (put()) {
    remove_oldest();
  } else {
    static_cast<void>(system_->remove(begun()));
  }
}

// And what a writer that died left.
void TablesFile::remove_oldest() const {
  const auto names = system_->list(folder_);
  if (!names) return;
  std::vector<std::pair<std::int64_t, std::string>> files;  // when used, path
  for (const std::string& name : *names) {
    const std::string path = folder_ + "/" + name;
    if (name.ends_with(kBegun)) static_cast<void>(system_->remove(path));
    if (!name.ends_with(kSuffix)) continue;
    if (const auto there = system_->info(path); there && there->is_regular) {
      files.emplace_back(there->modified_ns, path);
    }
  }
  if (files.size() <= kMostFiles) return;
  std::sort(files.begin(), files.end());
  files.resize(files.size() - kMostFiles);
  for (const auto& [used, path] : files) static_cast<void>(system_->remove(path));
}

}  // namespace espalier::grammar
