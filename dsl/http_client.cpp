#include "dsl/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/ascii.h"

namespace espalier::dsl {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kHeaderLimit = 256u << 10;
constexpr int kSliceMs = 10;  // how long a raised flag may go unnoticed

using Easy = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)>;
using List = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;
using Url = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

struct Transfer {
  const HttpRequest& request;
  HttpResponse response;
  std::size_t header_bytes = 0;
  CURL* easy = nullptr;
  bool enough = false;
  bool too_large = false;
  bool too_many_headers = false;
};

std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.header_bytes += count;
  if (transfer.header_bytes > kHeaderLimit) {
    transfer.too_many_headers = true;
    return 0;
  }
  const std::string_view line(bytes, count);
  if (line.starts_with("HTTP/")) {
    transfer.response.headers.clear();  // of a 100 Continue
    return count;
  }
  if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    transfer.response.headers.emplace_back(lower(trimmed(line.substr(0, colon))),
                                           trimmed(line.substr(colon + 1)));
  }
  return count;
}

std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (count > transfer.request.limit - transfer.response.body.size()) {
    transfer.too_large = true;
    return 0;
  }
  transfer.response.body.append(bytes, count);
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &transfer.response.status);
  if (transfer.request.enough && transfer.request.enough(transfer.response)) {
    transfer.enough = true;
    return 0;  // another number than `count` ends the transfer
  }
  return count;
}

std::string part(CURLU* url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, what, &text, flags) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

std::string why(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return "the host is not known";
    case CURLE_COULDNT_CONNECT:
      return "no connection";
    case CURLE_GOT_NOTHING:
      return "the server closed the connection without an answer";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
      return "the connection broke";
    default:
      return curl_easy_strerror(code);
  }
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string HttpResponse::content_type() const {
  const std::string_view whole = header("content-type");
  return lower(trimmed(whole.substr(0, whole.find(';'))));
}

Result<HttpUrl> parse_url(const std::string& url) {
  const Url parsed(curl_url(), &curl_url_cleanup);
  if (parsed == nullptr) return fail(ErrorCode::kExhausted, "no memory for a URL");
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK)
    return fail(ErrorCode::kInvalid, "it is not an http or https URL");
  HttpUrl out;
  out.scheme = lower(part(parsed.get(), CURLUPART_SCHEME));
  if (out.scheme != "http" && out.scheme != "https")
    return fail(ErrorCode::kInvalid, "only http and https URLs can be called");
  out.host = lower(part(parsed.get(), CURLUPART_HOST));
  if (out.host.size() > 2 && out.host.front() == '[')
    out.host = out.host.substr(1, out.host.size() - 2);
  out.port = part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.has_user = !part(parsed.get(), CURLUPART_USER).empty() ||
                 !part(parsed.get(), CURLUPART_PASSWORD).empty();
  for (const CURLUPart secret :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT})
    curl_url_set(parsed.get(), secret, nullptr, 0);
  out.shown = part(parsed.get(), CURLUPART_URL);
  return out;
}

std::string percent_encoded(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  return out;
}

Result<HttpResponse> http_request(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  ESP_ASSIGN(const HttpUrl url, parse_url(request.url));
  const auto failed = [&](ErrorCode code, const std::string& message) {
    return fail(code, url.shown + ": " + message);
  };
  const Multi multi(curl_multi_init(), &curl_multi_cleanup);
  const Easy easy(curl_easy_init(), &curl_easy_cleanup);
  if (multi == nullptr || easy == nullptr)
    return failed(ErrorCode::kExhausted, "cannot start a transfer");
  Transfer transfer{request, {}, 0, easy.get()};

  const auto set = [&](auto option, auto value) { curl_easy_setopt(easy.get(), option, value); };
  List headers(nullptr, &curl_slist_free_all);
  const auto add = [&](const std::string& line) {
    curl_slist* more = curl_slist_append(headers.get(), line.c_str());
    if (more == nullptr) return false;
    (void)headers.release();
    headers.reset(more);
    return true;
  };
  // Expect: curl would wait a second for a 100 Continue that few servers send.
  bool built = add("Expect:");
  for (const auto& [name, value] : request.headers) {
    if (name.find_first_of("\r\n:") != std::string::npos ||
        value.find_first_of("\r\n") != std::string::npos || value.find('\0') != std::string::npos)
      return failed(ErrorCode::kInvalid, "the header '" + name + "' holds a line break or a NUL");
    built = built && add(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!built) return failed(ErrorCode::kExhausted, "no memory for the headers");
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_USERAGENT, "espalier/0.1");
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  for (const char* variable : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
    if (const char* file = std::getenv(variable); file != nullptr && *file != '\0') {
      set(CURLOPT_CAINFO, file);
      break;
    }
  }
  if (request.method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  } else if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method == "DELETE") {
    set(CURLOPT_CUSTOMREQUEST, "DELETE");
  } else {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, request.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  // The transfer leaves the multi handle before either ends.
  struct Added {
    CURLM* multi;
    CURL* easy;
    ~Added() { curl_multi_remove_handle(multi, easy); }
  };
  if (curl_multi_add_handle(multi.get(), easy.get()) != CURLM_OK)
    return failed(ErrorCode::kExhausted, "cannot start a transfer");
  const Added added{multi.get(), easy.get()};
  const auto deadline = Clock::now() + request.timeout;
  CURLcode code = CURLE_OK;
  for (bool done = false; !done;) {
    int running = 0;
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK)
      return failed(ErrorCode::kIo, "the transfer cannot go on");
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      code = message->data.result;
      done = true;
    }
    if (done) break;
    if (request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed))
      return failed(ErrorCode::kCancelled, "the request was stopped");
    if (Clock::now() >= deadline) {
      return failed(ErrorCode::kTimeout,
                    "no answer within " + std::to_string(request.timeout.count()) + " ms");
    }
    curl_multi_poll(multi.get(), nullptr, 0, kSliceMs, nullptr);
  }
  if (transfer.too_large)
    return failed(ErrorCode::kLimit,
                  "the answer is longer than " + std::to_string(request.limit) + " bytes");
  if (transfer.too_many_headers)
    return failed(ErrorCode::kLimit,
                  "the answer has more than " + std::to_string(kHeaderLimit) + " bytes of headers");
  if (code != CURLE_OK && !transfer.enough) return failed(ErrorCode::kIo, why(code));
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &transfer.response.status);
  return std::move(transfer.response);
}

}  // namespace espalier::dsl
