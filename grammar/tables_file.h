// A file that a vocabulary's tables are kept in between runs: what is in it is the business of
// whoever makes the tables (schema/kept_formats.h).
//
// Its name is a digest of what decides them and of the code; what it holds has to say both again.
// It is written beside and renamed, by one process at a time. Whatever fails, nothing is read or
// nothing written, and no more: the tables are made as where there is no file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/system.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class TablesFile {
 public:
  static constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 20;
  static constexpr std::size_t kMostFiles =
      16;  // in a folder: past it, those used the longest ago go

  /// That of tables which `decided_by` is a digest of all that decides, where keep_tables()
  /// (json_schema.h) says for this vocabulary; nothing where it says nothing.
  static std::optional<TablesFile> of(const VocabularyRef& vocabulary, std::uint64_t decided_by);

  /// What is in it; counts as a use.
  [[nodiscard]] std::optional<std::string> read() const;
  /// Leave to write it, kept as long as this lives; null where there is none, so that nothing need
  /// be made which cannot be kept.
  [[nodiscard]] std::unique_ptr<FileLock> begin() const;
  /// After begin(). Of more than kMostBytes nothing is written.
  void write(std::string_view form) const;
  void remove() const { static_cast<void>(system_->remove(path_)); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TablesFile(std::string folder, const std::string& name, System& system)
      : folder_(std::move(folder)), path_(folder_ + "/" + name), system_(&system) {}
  [[nodiscard]] std::string begun() const { return path_ + ".begun"; }
  void remove_oldest() const;

  std::string folder_, path_;
  System* system_;
};

}  // namespace espalier::grammar
