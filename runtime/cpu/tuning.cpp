#include "runtime/cpu/tuning.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace espalier::runtime::cpu {
namespace {

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

std::vector<std::string> Tuning::names() {
  std::vector<std::string> out;
  for (const auto& [name, field] : kFields) out.emplace_back(name);
  return out;
}

std::vector<std::uint32_t> Tuning::numbers() const {
  std::vector<std::uint32_t> out;
  for (const auto& [name, field] : kFields) out.push_back(this->*field);
  return out;
}

std::optional<Tuning> Tuning::of(std::span<const std::uint32_t> numbers) {
  if (numbers.size() != std::size(kFields)) return std::nullopt;
  Tuning out;
  for (std::size_t i = 0; i < numbers.size(); ++i) out.*kFields[i].second = numbers[i];
  if (!out.valid()) return std::nullopt;
  return out;
}

std::optional<TuningFile<Tuning>> tuning_file(const std::string& what, System& system) {
  return TuningFile<Tuning>::open(processor(system) + what, system);
}

}  // namespace espalier::runtime::cpu
