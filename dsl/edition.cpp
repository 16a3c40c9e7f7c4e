#include "dsl/edition.h"

#include <algorithm>
#include <variant>

namespace espalier::dsl {
namespace {

const ConfigDecl* config_of(const File& file, std::uint32_t index) {
  for (const Decl& decl : file.declarations) {
    const auto* config = std::get_if<ConfigDecl>(&decl);
    if (config != nullptr && config->span.file == index) return config;
  }
  return nullptr;
}

// Where the block behind `config` begins: comments may stand between.
std::size_t open_brace(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] != '{') {
    if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      at = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
    } else {
      ++at;
    }
  }
  return at;
}

}  // namespace

Edition edition_of(const File& file, std::uint32_t index, Diagnostics& diagnostics) {
  const ConfigDecl* config = config_of(file, index);
  if (config == nullptr) return {};
  const auto entry = std::find_if(config->entries.begin(), config->entries.end(),
                                  [](const ConfigEntry& one) { return one.key.text == "edition"; });
  if (entry == config->entries.end() || entry->value == nullptr) return {};
  const auto* number = std::get_if<NumberExpr>(&entry->value->node);
  if (number == nullptr || !number->number.integer || number->number.int_value < kFirstEdition) {
    diagnostics.error("E0211", entry->value->span,
                      "an edition is a whole number from " + std::to_string(kFirstEdition) + " up");
    return {};
  }
  return {number->number.int_value, entry->value->span};
}

bool refuse_later(const Edition& edition, Diagnostics& diagnostics) {
  if (edition.number <= kLastEdition) return false;
  diagnostics
      .error("E0119", *edition.span,
             "this file is written in edition " + std::to_string(edition.number) +
                 "; this espalier knows editions up to " + std::to_string(kLastEdition))
      .help = "a newer espalier reads it";
  return true;
}

std::string with_edition(std::string_view text, const File& file, const Edition& before,
                         std::int64_t edition) {
  std::string out(text);
  const std::string number = std::to_string(edition);
  const ConfigDecl* config = config_of(file, 0);
  if (before.span)
    return out.replace(before.span->begin, before.span->end - before.span->begin, number);
  if (config == nullptr) return "config { edition: " + number + " }\n\n" + out;
  const std::size_t inside = open_brace(text, config->span.begin) + 1;
  const std::size_t next = text.find_first_not_of(" \t\r", inside);
  const bool own_line = next != std::string_view::npos && text[next] == '\n';
  const std::string_view end = config->entries.empty() || own_line ? " " : ", ";
  return out.insert(inside, (own_line ? "\n" : " ") + ("edition: " + number) + std::string(end));
}

}  // namespace espalier::dsl
