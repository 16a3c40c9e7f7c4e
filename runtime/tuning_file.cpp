#include "runtime/tuning_file.h"

#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/cache_folder.h"

namespace espalier::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 10;  // of a file

std::uint64_t fnv(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

}  // namespace

std::optional<NumbersFile> NumbersFile::open(std::string key, System& system) {
  const auto folder = cache_folder("tuning", system);
  if (!folder || !system.make_directories(*folder)) return std::nullopt;
  char name[24];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(fnv(key)));
  return NumbersFile(*folder + "/" + name + ".json", std::move(key), system);
}

std::optional<std::vector<std::uint32_t>> NumbersFile::read(
    std::span<const std::string> names) const {
  const auto text = system_->read(path_, kMostBytes);
  if (!text) return std::nullopt;
  const Json kept = Json::parse(*text, nullptr, false);
  if (!kept.is_object() || kept.value("of", Json()) != key_) return std::nullopt;
  std::vector<std::uint32_t> out;
  for (const std::string& name : names) {
    const auto at = kept.find(name);
    if (at == kept.end() || !at->is_number_unsigned() ||
        *at > std::numeric_limits<std::uint32_t>::max()) {
      return std::nullopt;
    }
    out.push_back(at->get<std::uint32_t>());
  }
  return out;
}

Status NumbersFile::put(const std::string& path, std::span<const std::string> names,
                        std::span<const std::uint32_t> numbers) const {
  ESP_CHECK(names.size() == numbers.size());
  Json kept = {{"of", key_}};
  for (std::size_t i = 0; i < names.size(); ++i) kept[names[i]] = numbers[i];
  const std::string text = kept.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  ESP_ASSIGN(const auto file, system_->open(path, OpenMode::kTruncate));
  const Status status = file->append(std::as_bytes(std::span(text)));
  if (!status) (void)system_->remove(path);
  return status;
}

Status NumbersFile::begin(std::span<const std::string> names,
                          std::span<const std::uint32_t> numbers) const {
  if (const auto there = system_->info(path_); there && !there->is_regular)
    return fail(ErrorCode::kInvalid, "'" + path_ + "' is not a regular file");
  return put(begun(), names, numbers);
}

Status NumbersFile::write(std::span<const std::string> names,
                          std::span<const std::uint32_t> numbers) const {
  ESP_TRY(put(begun(), names, numbers));
  return system_->rename(begun(), path_);
}

}  // namespace espalier::runtime
