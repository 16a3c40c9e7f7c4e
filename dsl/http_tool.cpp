#include "dsl/http_tool.h"

#include <algorithm>

#include "base/utf8.h"
#include "dsl/http_client.h"
#include "dsl/tool_answer.h"
#include "dsl/tool_permissions.h"
#include "grammar/json_text.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kShownAnswer = 300;  // bytes of a failure's body

std::string text_or_json(const Json& value) {
  return value.is_string() ? value.get<std::string>() : write_json(value);
}

// The beginning of an answer as part of a message: well-formed, on one line.
std::string shown_answer(std::string_view body) {
  std::string out;
  for (const char c : body.substr(0, kShownAnswer)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u != 0x7F) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (!out.empty() && utf8::find_malformed(out) != std::string::npos)
    out.resize(utf8::find_malformed(out));
  return out;
}

Result<std::string> url_for(const HttpTarget& target, Json& arguments) {
  std::string out;
  const std::size_t query = std::min(target.url.find('?'), target.url.size());
  for (std::size_t at = 0; at < target.url.size();) {
    if (target.url[at] != '{') {
      out += target.url[at++];
      continue;
    }
    const std::size_t end = target.url.find('}', at);
    const std::string name = target.url.substr(at + 1, end - at - 1);
    const std::string text =
        arguments.contains(name) && !arguments[name].is_null() ? text_or_json(arguments[name]) : "";
    if (at < query && (text.empty() || text == "." || text == "..")) {
      return fail(ErrorCode::kTool, "the argument `" + name + "` is \"" + text +
                                        "\", which cannot stand in the URL's path");
    }
    out += percent_encoded(text);
    at = end + 1;
  }
  for (const std::string& name : target.placeholders) arguments.erase(name);
  if (target.method != "GET" && target.method != "DELETE") return out;
  char separator = out.find('?') == std::string::npos ? '?' : '&';
  const auto add = [&](const std::string& name, const Json& value) {
    if (value.is_null()) return;
    out += separator;
    out += percent_encoded(name) + "=" + percent_encoded(text_or_json(value));
    separator = '&';
  };
  for (const auto& [name, value] : arguments.items()) {
    if (value.is_array()) {
      for (const Json& item : value) add(name, item);
    } else {
      add(name, value);
    }
  }
  return out;
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// Of "Bearer TOKEN" the token.
std::string_view secret_of(std::string_view header) {
  return header.substr(std::min(header.size(), header.rfind(' ') + 1));
}

void blot_out(std::string& text, std::string_view secret) {
  constexpr std::string_view kBlot = "***";
  if (secret.empty()) return;
  std::string out;
  std::size_t at = 0;
  for (std::size_t next = 0; (next = text.find(secret, at)) != std::string::npos;) {
    out.append(text, at, next - at).append(kBlot);
    at = next + secret.size();
  }
  if (at > 0) text = out.append(text, at);
}

}  // namespace

Result<Json> call_http(const ToolRequest& request, std::size_t limit,
                       const std::optional<std::pair<std::string, std::string>>& credential) {
  ESP_ASSIGN(const HttpTarget target, parse_http_target(request.tool->target));
  HttpRequest http;
  http.method = target.method;
  Json arguments = request.arguments.is_object() ? request.arguments : Json::object();
  ESP_ASSIGN(http.url, url_for(target, arguments));
  // Wherever the arguments stand, the call goes where the permission was given for.
  ESP_ASSIGN(const HttpUrl url, parse_url(http.url));
  if (url.scheme != target.scheme || url.host != target.host || url.port != target.port)
    return fail(ErrorCode::kTool, "its arguments would lead the call to another host");
  http.headers = {{"Accept", "application/json, text/plain;q=0.9, */*;q=0.1"}};
  if (credential) {
    if (url.scheme != "https" && !is_this_machine(url.host))
      return fail(ErrorCode::kTool, "its calls are signed, which is not sent over plain http");
    http.headers.push_back(*credential);
  }
  if (target.method != "GET" && target.method != "DELETE") {
    http.headers.emplace_back("Content-Type", "application/json");
    http.body = write_json(arguments);
  }
  http.timeout = request.timeout;
  http.limit = limit;
  http.cancelled = request.cancelled;
  ESP_ASSIGN(HttpResponse response, http_request(http));
  if (credential) blot_out(response.body, secret_of(credential->second));

  const std::string status = "HTTP " + std::to_string(response.status);
  if (response.status >= 300 && response.status < 400) {
    // Only where to, never a query or password that stands in it.
    const auto to = parse_url(std::string(response.header("location")));
    return fail(ErrorCode::kTool, status + ": it redirects" + (to ? " to " + to->shown : "") +
                                      "; redirects are not followed");
  }
  if (response.status < 200 || response.status >= 300) {
    const std::string said = shown_answer(response.body);
    return fail(ErrorCode::kTool, status + (said.empty() ? "" : ": " + said));
  }
  if (response.body.find_first_not_of(" \t\r\n") == std::string::npos) return Json();
  const std::string type = response.content_type();
  const bool is_json = type == "application/json" || type.ends_with("+json");
  if (is_json || type.empty()) {
    auto json = read_answer(response.body);
    if (json || is_json) return json;
  }
  if (utf8::find_malformed(response.body) != std::string::npos)
    return fail(ErrorCode::kTool, "its answer is neither JSON nor well-formed UTF-8");
  return Json(std::move(response.body));
}

}  // namespace espalier::dsl
