// HTTP for tools: one request, bounded in every way, through libcurl.
//
// Nothing happens that the caller did not ask for: http and https only; no redirect is followed; no
// proxy, cookie, .netrc or other variable of the environment is used (but for the certificates:
// SSL_CERT_FILE or CURL_CA_BUNDLE in place of the system's); nothing is unpacked. Time is bounded
// as a whole, bytes of body and headers are counted as they come, and a raised flag ends the
// transfer within some milliseconds. Errors never hold a URL's user name, password, query or
// fragment. Thread-safe: a request has a connection of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace espalier::dsl {

struct HttpResponse {
  long status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  /// The value of the first header of that name (lower case), or empty.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  /// The content type without its parameters, in lower case: "application/json".
  [[nodiscard]] std::string content_type() const;
};

struct HttpRequest {
  std::string method;  // "GET", "POST", …
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // sent where the method is not GET, HEAD or DELETE
  std::chrono::milliseconds timeout{30'000};
  std::size_t limit = 16u << 20;                 // bytes of the body
  const std::atomic<bool>* cancelled = nullptr;  // optional
  /// Looked at after each piece of the body: true ends the transfer, which then counts as whole.
  std::function<bool(const HttpResponse& so_far)> enough;
};

/// Any status is a response. kIo (no connection, a broken transfer), kTimeout, kLimit, kCancelled,
/// kInvalid (what is no http or https URL).
[[nodiscard]] Result<HttpResponse> http_request(const HttpRequest& request);

struct HttpUrl {
  std::string scheme;  // "http", "https"
  std::string host;    // lower case; an IPv6 address without its brackets
  std::string port;    // always: the scheme's own where none was written
  bool has_user = false;
  std::string shown;  // without user, password, query, fragment
};
/// The parts of an absolute http or https URL; kInvalid says what is wrong with it.
[[nodiscard]] Result<HttpUrl> parse_url(const std::string& url);

/// `text` with everything but letters, digits and `-._~` as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace espalier::dsl
