#include "dsl/mcp/request_headers.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/ascii.h"

namespace espalier::dsl::mcp {
namespace {

constexpr const char* kAnnotation = "x-mcp-header";
constexpr std::size_t kMaxSchemaNodes = 100'000;
constexpr std::size_t kMaxPath = 64;
constexpr std::int64_t kMaxSafe = (std::int64_t{1} << 53) - 1;

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j <= bytes.size() ? kDigits[three >> (18 - 6 * j) & 63U] : '=';
  }
  return out;
}

// RFC 9110, 5.6.2.
bool is_field_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_letter(c) || is_ascii_digit(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string lower(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

struct Annotated {
  std::string name;
  std::vector<std::string> path;
};

// Depth first with a stack of our own: a server's schema may be as deep as it likes.
Result<std::vector<Annotated>> annotated(const Json& schema) {
  struct Place {
    const Json* at;
    std::vector<std::string> path;
    bool properties;  // the members of `at` are properties, no keywords
    bool reachable;   // by `properties` alone
  };
  const auto refuse = [](const std::string& why) {
    return fail(ErrorCode::kUnsupported, std::string("the tool's `") + kAnnotation + "` " + why);
  };
  std::vector<Annotated> out;
  std::set<std::string> names;
  std::vector<Place> open{{&schema, {}, false, true}};
  std::size_t nodes = 0;
  while (!open.empty()) {
    const Place place = std::move(open.back());
    open.pop_back();
    if (++nodes > kMaxSchemaNodes)
      return fail(ErrorCode::kLimit,
                  "the tool's schema has more than " + std::to_string(kMaxSchemaNodes) + " values");
    if (place.at->is_array()) {
      for (const Json& item : *place.at) open.push_back({&item, {}, false, false});
    }
    if (!place.at->is_object()) continue;
    if (!place.properties) {
      if (const auto mark = place.at->find(kAnnotation); mark != place.at->end()) {
        const auto type = place.at->find("type");
        const std::string kind =
            type != place.at->end() && type->is_string() ? type->get<std::string>() : "";
        if (!mark->is_string() || !is_field_name(mark->get<std::string>()))
          return refuse("is no name of a header");
        if (!place.reachable || place.path.empty())
          return refuse("stands where no property of the arguments is");
        if (kind != "string" && kind != "integer" && kind != "boolean")
          return refuse("stands at what is no string, integer or boolean");
        if (!names.insert(lower(mark->get<std::string>())).second)
          return refuse("names one header twice");
        out.push_back({mark->get<std::string>(), place.path});
      }
    }
    for (const auto& [key, value] : place.at->items()) {
      Place inner{&value, {}, false, false};
      if (place.properties) {
        inner.path = place.path;
        inner.path.push_back(key);
        inner.reachable = place.reachable && inner.path.size() <= kMaxPath;
      } else if (key == "properties") {
        inner.path = place.path;
        inner.properties = true;
        inner.reachable = place.reachable;
      }
      open.push_back(std::move(inner));
    }
  }
  return out;
}

}  // namespace

std::string header_value(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(),
                                 [](char c) { return c == '\t' || (c >= 0x20 && c < 0x7F); });
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const bool padded = !text.empty() && (blank(text.front()) || blank(text.back()));
  const bool sentinel = text.starts_with("=?base64?") && text.ends_with("?=");
  if (plain && !padded && !sentinel) return std::string(text);
  return "=?base64?" + base64(text) + "?=";
}

Result<Headers> parameter_headers(const Json& tool, const Json& arguments) {
  Headers out;
  const auto schema = tool.is_object() ? tool.find("inputSchema") : tool.end();
  if (!tool.is_object() || schema == tool.end()) return out;
  ESP_ASSIGN(const auto marks, annotated(*schema));
  for (const Annotated& one : marks) {
    const Json* value = &arguments;
    for (const std::string& key : one.path) {
      const auto next = value->is_object() ? value->find(key) : value->end();
      value = value->is_object() && next != value->end() ? &*next : nullptr;
      if (value == nullptr) break;
    }
    if (value == nullptr || value->is_null()) continue;
    std::string text;
    if (value->is_string()) {
      text = value->get<std::string>();
    } else if (value->is_boolean()) {
      text = value->get<bool>() ? "true" : "false";
    } else if (value->is_number_integer() && value->get<std::int64_t>() <= kMaxSafe &&
               value->get<std::int64_t>() >= -kMaxSafe) {
      text = std::to_string(value->get<std::int64_t>());
    } else {
      return fail(ErrorCode::kInvalid, "the argument for the header `Mcp-Param-" + one.name +
                                           "` is no string, boolean or integer below 2^53");
    }
    out.emplace_back("Mcp-Param-" + one.name, header_value(text));
  }
  return out;
}

}  // namespace espalier::dsl::mcp
