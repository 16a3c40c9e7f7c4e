#include "bench/cache_replay/trace.h"

#include <lzma.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

namespace espalier::replay {
namespace {

constexpr std::size_t kLongestLine = std::size_t{16} << 20;
constexpr std::uint64_t kDecoderMemory = std::uint64_t{256} << 20;

/// Adds requests to a trace.
class Builder {
 public:
  void add(const std::vector<std::int64_t>& ids) {
    auto& blocks = trace_.requests.emplace_back();
    std::uint32_t before = Trace::kNone;
    for (const std::int64_t id : ids) {
      const auto [at, fresh] = known_[before].emplace(id, trace_.blocks());
      if (fresh) {
        trace_.parent.push_back(before);
        trace_.depth.push_back(static_cast<std::uint32_t>(blocks.size()));
      }
      blocks.push_back(before = at->second);
    }
    trace_.accesses += ids.size();
  }
  Trace take() { return std::move(trace_); }

 private:
  Trace trace_;
  std::unordered_map<std::uint32_t, std::unordered_map<std::int64_t, std::uint32_t>> known_;
};

/// The file's bytes, decompressed where its name ends in .xz.
class Bytes {
 public:
  explicit Bytes(std::string path) : path_(std::move(path)) {}
  ~Bytes() { lzma_end(&stream_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  Status open() {
    file_.reset(std::fopen(path_.c_str(), "rb"));
    if (!file_) return fail(ErrorCode::kNotFound, "cannot open '" + path_ + "'");
    compressed_ = path_.ends_with(".xz");
    if (compressed_ &&
        lzma_stream_decoder(&stream_, kDecoderMemory, LZMA_CONCATENATED) != LZMA_OK) {
      return fail(ErrorCode::kExhausted, "cannot start the xz decoder");
    }
    return {};
  }
  /// Appends some bytes; false at the end.
  Result<bool> more(std::string& out) {
    if (!compressed_) {
      const std::size_t got = std::fread(in_.data(), 1, in_.size(), file_.get());
      if (got == 0 && std::ferror(file_.get()) != 0) return unreadable();
      out.append(reinterpret_cast<const char*>(in_.data()), got);
      return got > 0;
    }
    if (ended_) return false;
    if (stream_.avail_in == 0) {
      stream_.next_in = in_.data();
      stream_.avail_in = std::fread(in_.data(), 1, in_.size(), file_.get());
      if (std::ferror(file_.get()) != 0) return unreadable();
    }
    std::array<std::uint8_t, 1 << 16> text{};
    stream_.next_out = text.data();
    stream_.avail_out = text.size();
    const lzma_ret got = lzma_code(&stream_, stream_.avail_in == 0 ? LZMA_FINISH : LZMA_RUN);
    if (got != LZMA_OK && got != LZMA_STREAM_END) {
      return fail(ErrorCode::kInvalid, "'" + path_ + "' is not a whole xz file");
    }
    ended_ = got == LZMA_STREAM_END;
    out.append(reinterpret_cast<const char*>(text.data()), text.size() - stream_.avail_out);
    return true;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[nodiscard]] tl::unexpected<Error> unreadable() const {
    return fail(ErrorCode::kIo, "cannot read '" + path_ + "'");
  }

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  bool compressed_ = false;
  bool ended_ = false;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  std::array<std::uint8_t, 1 << 16> in_{};
};

Result<std::vector<std::int64_t>> parse_line(std::string_view line, const std::string& where) {
  const auto value = nlohmann::json::parse(line, nullptr, false);
  if (value.is_discarded() || !value.is_object()) {
    return fail(ErrorCode::kInvalid, where + ": not a JSON object");
  }
  const auto ids = value.find("hash_ids");
  if (ids == value.end() || !ids->is_array()) {
    return fail(ErrorCode::kInvalid, where + ": no array \"hash_ids\"");
  }
  std::vector<std::int64_t> out;
  out.reserve(ids->size());
  for (const auto& id : *ids) {
    if (!id.is_number_integer()) {
      return fail(ErrorCode::kInvalid, where + ": \"hash_ids\" holds what is not an integer");
    }
    out.push_back(id.get<std::int64_t>());
  }
  return out;
}

}  // namespace

Result<Trace> read_trace(const std::string& path) {
  Bytes bytes(path);
  ESP_TRY(bytes.open());
  Builder builder;
  std::string text;
  std::size_t number = 0;
  const auto take = [&](std::string_view line) -> Status {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
    ESP_ASSIGN(const auto ids, parse_line(line, path + ":" + std::to_string(number)));
    builder.add(ids);
    return {};
  };
  for (bool more = true; more;) {
    ESP_ASSIGN(more, bytes.more(text));
    std::size_t at = 0;
    for (std::size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      ESP_TRY(take(std::string_view(text).substr(at, end - at)));
    }
    text.erase(0, at);
    if (text.size() > kLongestLine) {
      return fail(ErrorCode::kLimit, path + ":" + std::to_string(number + 1) + ": longer than " +
                                         std::to_string(kLongestLine) + " bytes");
    }
  }
  ESP_TRY(take(text));
  Trace trace = builder.take();
  if (trace.accesses == 0) return fail(ErrorCode::kInvalid, "'" + path + "' holds no blocks");
  return trace;
}

Trace part_of(const Trace& trace, std::size_t begin, std::size_t end) {
  Builder builder;
  std::vector<std::int64_t> ids;
  for (std::size_t r = begin; r < end && r < trace.requests.size(); ++r) {
    ids.assign(trace.requests[r].begin(), trace.requests[r].end());
    builder.add(ids);
  }
  return builder.take();
}

}  // namespace espalier::replay
