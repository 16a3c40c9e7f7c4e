#include "runtime/cpu/tuning.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

namespace espalier::runtime::cpu {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostBytes = 4096;  // of a file

// The fields of a Tuning by the names that files have for them.
constexpr std::pair<const char*, std::uint32_t Tuning::*> kFields[] = {
    {"row_tile", &Tuning::row_tile},
    {"chunk_panels", &Tuning::chunk_panels},
    {"feed_forward_tile", &Tuning::feed_forward_tile},
    {"fewest_queries", &Tuning::fewest_queries},
    {"most_queries", &Tuning::most_queries},
};

// What /proc/cpuinfo says of the first processor's make.
std::string processor(System& system) {
  constexpr std::uint64_t kMostInfo = std::uint64_t{16} << 20;
  const auto info = system.read("/proc/cpuinfo", kMostInfo);
  if (!info) return "";
  std::string out;
  std::string_view rest = *info;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty()) break;  // the next processor
    for (const std::string_view field :
         {"vendor_id", "cpu family", "model", "stepping", "cache size", "CPU implementer",
          "CPU part", "CPU variant"}) {
      if (!line.starts_with(field)) continue;
      out += std::string(line) + "; ";
      break;
    }
  }
  return out;
}

std::uint64_t fnv(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

}  // namespace

bool Tuning::valid() const {
  const auto fits = [&](const auto& field) {
    return this->*field.second >= 1 && this->*field.second <= kMost;
  };
  return std::all_of(std::begin(kFields), std::end(kFields), fits) &&
         fewest_queries <= most_queries;
}

std::string Tuning::text() const {
  return "rows " + std::to_string(row_tile) + ", panels " + std::to_string(chunk_panels) +
         ", feed-forward " + std::to_string(feed_forward_tile) + ", queries " +
         std::to_string(fewest_queries) + ".." + std::to_string(most_queries);
}

std::optional<TuningFile> TuningFile::open(const std::string& what, System& system) {
  const auto home = system.environment("HOME");
  if (!home || home->empty()) return std::nullopt;
  const std::string folder = *home + "/.cache/espalier/tuning";
  if (!system.make_directories(folder)) return std::nullopt;
  std::string key = processor(system) + what;
  char name[24];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(fnv(key)));
  return TuningFile(folder + "/" + name + ".json", std::move(key), system);
}

std::optional<Tuning> TuningFile::read() const {
  const auto text = system_->read(path_, kMostBytes);
  if (!text) return std::nullopt;
  const Json kept = Json::parse(*text, nullptr, false);
  if (!kept.is_object() || kept.value("of", Json()) != key_) return std::nullopt;
  Tuning out;
  for (const auto& [name, field] : kFields) {
    const auto at = kept.find(name);
    if (at == kept.end() || !at->is_number_unsigned() || *at > Tuning::kMost) return std::nullopt;
    out.*field = at->get<std::uint32_t>();
  }
  if (!out.valid()) return std::nullopt;
  return out;
}

Status TuningFile::put(const std::string& path, const Tuning& tuning) const {
  Json kept = {{"of", key_}};
  for (const auto& [name, field] : kFields) kept[name] = tuning.*field;
  const std::string text = kept.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  ESP_ASSIGN(const auto file, system_->open(path, OpenMode::kTruncate));
  return file->append(std::as_bytes(std::span(text)));
}

Status TuningFile::begin() const { return put(begun(), {}); }

Status TuningFile::write(const Tuning& tuning) const {
  ESP_TRY(put(begun(), tuning));
  return system_->rename(begun(), path_);
}

}  // namespace espalier::runtime::cpu
