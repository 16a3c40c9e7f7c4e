// The little of HTTP that the store needs, behind a seam so that tests need no network.
//
// Errors: kIo (no connection, a broken transfer), kNotFound (404 and 410), kLimit (more bytes than
// allowed), kCancelled (the sink said stop). Messages name the URL without any user name or
// password in it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/system.h"

namespace espalier::runtime {

class Http {
 public:
  /// Told once before any bytes: where in the whole the first byte stands (0 where the server does
  /// not resume), and the whole's size (0 where it is not known). Its failure ends the transfer.
  using Start = std::function<Status(std::uint64_t offset, std::uint64_t total)>;
  using Sink = std::function<Status(std::span<const std::byte> bytes)>;

  virtual ~Http() = default;
  /// The body of `url`, at most `limit` bytes. `accept` is the Accept header.
  [[nodiscard]] virtual Result<std::string> get(const std::string& url, const std::string& accept,
                                                std::uint64_t limit) = 0;
  /// Streams `url` from byte `from` on, where the server can; at most `limit` bytes in all.
  [[nodiscard]] virtual Status download(const std::string& url, std::uint64_t from,
                                        std::uint64_t limit, const Start& start,
                                        const Sink& sink) = 0;

 protected:
  Http() = default;
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;
};

/// libcurl: HTTP and HTTPS only, at most 5 redirects, 30 s to connect, and a transfer that stands
/// still for 60 s fails. The certificates are the system's, or those of PIP_CERT, SSL_CERT_FILE or
/// CURL_CA_BUNDLE.
[[nodiscard]] std::unique_ptr<Http> curl_http(System& system);

/// `reference` (absolute or relative) as seen from the document at `base`; "" where it is not a
/// URL.
[[nodiscard]] std::string resolve_url(const std::string& base, const std::string& reference);
/// The URL without its user name and password, for messages.
[[nodiscard]] std::string shown_url(const std::string& url);

}  // namespace espalier::runtime
