#include <curl/curl.h>

#include <array>
#include <charconv>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/store/http.h"

namespace espalier::runtime {
namespace {

using Easy = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Url = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

Url new_url() { return {curl_url(), &curl_url_cleanup}; }

std::string url_text(CURLU* url) {
  char* text = nullptr;
  if (curl_url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

struct Transfer {
  const Http::Start& start;
  const Http::Sink& sink;
  CURL* easy = nullptr;
  std::uint64_t from = 0;
  std::uint64_t limit = 0;
  std::uint64_t received = 0;
  std::optional<std::uint64_t> range_start;  // from Content-Range
  std::uint64_t range_total = 0;
  bool started = false;
  Status failure;
};

// "Content-Range: bytes 100-199/200"
void read_content_range(std::string_view value, Transfer& transfer) {
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error != std::errc() || end == digits.data()) return std::nullopt;
    return out;
  };
  const auto digits = value.find_first_of("0123456789");
  const auto slash = value.find('/');
  if (digits == std::string_view::npos || slash == std::string_view::npos) return;
  transfer.range_start = number(value.substr(digits));
  transfer.range_total = number(value.substr(slash + 1)).value_or(0);
}

std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(bytes, count);
  static constexpr std::string_view kName = "content-range:";
  if (line.starts_with("HTTP/")) transfer.range_start.reset();  // a redirect's headers do not count
  if (line.size() > kName.size() && curl_strnequal(bytes, kName.data(), kName.size()) != 0) {
    read_content_range(line.substr(kName.size()), transfer);
  }
  return count;
}

Status begin(Transfer& transfer) {
  transfer.started = true;
  curl_off_t length = -1;
  long code = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &code);
  if (code != 206) return transfer.start(0, length > 0 ? static_cast<std::uint64_t>(length) : 0);
  if (transfer.range_start != transfer.from)
    return fail(ErrorCode::kIo, "the server sent another range than asked");
  return transfer.start(transfer.from, transfer.range_total);
}

std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.received += count;
  if (!transfer.started) transfer.failure = begin(transfer);
  if (transfer.failure && transfer.received > transfer.limit) {
    transfer.failure =
        fail(ErrorCode::kLimit, "more than " + std::to_string(transfer.limit) + " bytes");
  }
  if (transfer.failure) transfer.failure = transfer.sink(std::as_bytes(std::span(bytes, count)));
  return transfer.failure ? count : 0;  // another number than `count` ends the transfer
}

class CurlHttp final : public Http {
 public:
  explicit CurlHttp(System& system) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    for (const char* variable : {"PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
      if (certificates_.empty()) certificates_ = system.environment(variable).value_or("");
    }
  }

  Result<std::string> get(const std::string& url, const std::string& accept,
                          std::uint64_t limit) override {
    std::string body;
    ESP_TRY(transfer(
        url, accept, 0, limit, [](std::uint64_t, std::uint64_t) { return Status(); },
        [&](std::span<const std::byte> bytes) {
          body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return Status();
        }));
    return body;
  }

  Status download(const std::string& url, std::uint64_t from, std::uint64_t limit,
                  const Start& start, const Sink& sink) override {
    return transfer(url, "*/*", from, limit, start, sink);
  }

 private:
  Status transfer(const std::string& url, const std::string& accept, std::uint64_t from,
                  std::uint64_t limit, const Start& start, const Sink& sink) {
    const Easy easy(curl_easy_init(), &curl_easy_cleanup);
    if (easy == nullptr) return fail(ErrorCode::kExhausted, "cannot start a transfer");
    Transfer state{start, sink, easy.get(), from, limit, 0, {}, 0, false, {}};
    const auto set = [&](auto option, auto value) { curl_easy_setopt(easy.get(), option, value); };
    std::array<char, CURL_ERROR_SIZE> detail{};
    const std::string header = "Accept: " + accept;
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        curl_slist_append(nullptr, header.c_str()), &curl_slist_free_all);
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_USERAGENT, "espalier/0.1");
#if LIBCURL_VERSION_NUM >= 0x075500
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 5L);
    set(CURLOPT_CONNECTTIMEOUT, 30L);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_ERRORBUFFER, detail.data());
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, &state);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, &state);
    if (!certificates_.empty()) set(CURLOPT_CAINFO, certificates_.c_str());
    if (from > 0) set(CURLOPT_RANGE, (std::to_string(from) + "-").c_str());

    const CURLcode code = curl_easy_perform(easy.get());
    if (!state.failure) return fail(std::move(state.failure).error().within(shown_url(url)));
    if (code != CURLE_OK) {
      long status = 0;
      curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
      // The range starts at or past the end: what is there already is of no use.
      if (status == 416 && from > 0) return transfer(url, accept, 0, limit, start, sink);
      const bool absent = code == CURLE_HTTP_RETURNED_ERROR && (status == 404 || status == 410);
      const std::string why = detail[0] != '\0' ? detail.data() : curl_easy_strerror(code);
      return fail(absent ? ErrorCode::kNotFound : ErrorCode::kIo, shown_url(url) + ": " + why);
    }
    if (!state.started) return begin(state);  // an empty body
    return {};
  }

  std::string certificates_;
};

}  // namespace

std::unique_ptr<Http> curl_http(System& system) { return std::make_unique<CurlHttp>(system); }

std::string resolve_url(const std::string& base, const std::string& reference) {
  const Url url = new_url();
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) {
    return {};
  }
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return url_text(url.get());
}

std::string shown_url(const std::string& url) {
  const Url parsed = new_url();
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "(not a URL)";
  curl_url_set(parsed.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(parsed.get(), CURLUPART_PASSWORD, nullptr, 0);
  curl_url_set(parsed.get(), CURLUPART_QUERY, nullptr, 0);
  return url_text(parsed.get());
}

}  // namespace espalier::runtime
