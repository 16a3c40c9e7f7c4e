#include "runtime/store/catalogue.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace espalier::runtime {
namespace {

using Json = nlohmann::json;

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// A plain file name: no way out of the store's folder.
bool is_file_name(const std::string& text) {
  return !text.empty() && text.front() != '.' && text.find('/') == std::string::npos &&
         text.find('\0') == std::string::npos;
}

CatalogueEntry read_entry(const Json& model) {
  CatalogueEntry entry;
  entry.name = model.at("name").get<std::string>();
  entry.aliases = model.at("aliases").get<std::vector<std::string>>();
  entry.about = model.at("about").get<std::string>();
  entry.file = model.at("file").get<std::string>();
  entry.bytes = model.at("bytes").get<std::uint64_t>();
  entry.sha256 = model.at("sha256").get<std::string>();
  for (const auto& part : model.at("parts")) {
    entry.parts.push_back({part.at("package").get<std::string>(),
                           part.at("version").get<std::string>(),
                           part.at("member").get<std::string>()});
  }
  return entry;
}

}  // namespace

Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view json) {
  std::vector<CatalogueEntry> entries;
  try {
    const Json parsed = Json::parse(json);
    for (const auto& model : parsed.at("models")) entries.push_back(read_entry(model));
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kInvalid,
                "catalogue: model " + std::to_string(entries.size()) + ": " + error.what());
  }
  for (const auto& entry : entries) {
    const std::string where = "catalogue: model '" + entry.name + "': ";
    if (!is_sha256(entry.sha256))
      return fail(ErrorCode::kInvalid, where + "'sha256' is not a SHA-256");
    if (!is_file_name(entry.file))
      return fail(ErrorCode::kInvalid, where + "'file' is not a file name");
    if (entry.parts.empty()) return fail(ErrorCode::kInvalid, where + "'parts' is empty");
    for (const auto& part : entry.parts) {
      if (!is_file_name(part.package) || !is_file_name(part.version)) {
        return fail(ErrorCode::kInvalid, where + "a part's package or version is not a name");
      }
    }
  }
  return entries;
}

std::span<const CatalogueEntry> catalogue() {
  static const auto entries = [] {
    auto parsed = parse_catalogue(internal::kCatalogueJson);
    ESP_CHECK(parsed.has_value());  // compiled in, and a test reads it
    return std::move(*parsed);
  }();
  return entries;
}

}  // namespace espalier::runtime
