#include "grammar/span_source.h"

#include <algorithm>

#include "base/utf8.h"
#include "grammar/unicode_tables.h"

namespace espalier::grammar {
namespace {

enum class Class : std::uint8_t { kSpace, kLetter, kDigit, kAlone, kMark };

bool within(std::span<const CodePointRange> ranges, char32_t c) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t value, const CodePointRange& r) { return value < r.first; });
  return after != ranges.begin() && c <= std::prev(after)->second;
}

std::span<const CodePointRange> property(std::string_view name, unicode::Kind kind) {
  return unicode::find(name, kind).value_or(std::span<const CodePointRange>());
}

Class class_of(char32_t c) {
  using unicode::Kind;
  if (c < 0x80) {
    const auto byte = static_cast<char>(c);
    if (byte <= ' ' || byte == 0x7F) return Class::kSpace;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) return Class::kLetter;
    return byte >= '0' && byte <= '9' ? Class::kDigit : Class::kAlone;
  }
  static const auto spaces = property("Z", Kind::kCategory);
  static const auto controls = property("Cc", Kind::kCategory);
  static const auto marks = property("M", Kind::kCategory);
  static const auto digits = property("N", Kind::kCategory);
  static const auto letters = property("L", Kind::kCategory);
  static const auto unspaced = [] {
    std::vector<std::span<const CodePointRange>> out;
    for (const char* script : {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"})
      out.push_back(property(script, Kind::kScript));
    return out;
  }();
  if (within(spaces, c) || within(controls, c)) return Class::kSpace;
  if (within(marks, c)) return Class::kMark;
  if (within(digits, c)) return Class::kDigit;
  if (!within(letters, c)) return Class::kAlone;
  const bool alone = std::any_of(unspaced.begin(), unspaced.end(),
                                 [&](const auto& script) { return within(script, c); });
  return alone ? Class::kAlone : Class::kLetter;
}

}  // namespace

SourceWords::SourceWords(std::string bytes, std::vector<std::uint32_t> begins,
                         const std::vector<std::uint32_t>& ends)
    : bytes_(std::move(bytes)), begins_(std::move(begins)) {
  next_end_.assign(bytes_.size() + 1, kNever);
  std::size_t end = ends.size();
  for (std::size_t at = bytes_.size() + 1; at-- > 0;) {
    while (end > 0 && ends[end - 1] >= at) --end;
    if (end < ends.size()) next_end_[at] = ends[end];
  }
  for (const char c : bytes_) alphabet_.add(static_cast<unsigned char>(c));
  // No span ends on a word that is longer than a span.
  std::erase_if(begins_, [&](std::uint32_t b) {
    return next_end_[b + 1] == kNever || next_end_[b + 1] - b > SpanSource::kLongestSpan;
  });
  const std::string_view text(bytes_);
  std::sort(begins_.begin(), begins_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const int order =
        text.substr(a, SpanSource::kLongestSpan).compare(text.substr(b, SpanSource::kLongestSpan));
    return order != 0 ? order < 0 : a < b;
  });
}

// The first of the place's words whose end is nearest, and how far that is.
std::pair<std::uint32_t, std::uint32_t> SourceWords::nearest(const Place& at) const {
  std::uint32_t best = kNever;
  std::uint32_t word = at.first;
  for (std::uint32_t i = at.first; i < at.last && best != 0; ++i) {
    const std::uint32_t here = begins_[i] + at.depth;
    // Nothing has been read before the first byte: the empty text is no span.
    const std::uint32_t from = at.depth == 0 ? here + 1 : here;
    if (from > bytes_.size() || next_end_[from] == kNever) continue;
    if (next_end_[from] - begins_[i] > SpanSource::kLongestSpan) continue;
    if (next_end_[from] - here < best) best = next_end_[from] - here, word = i;
  }
  return {word, best};
}

std::string_view SourceWords::closing(const Place& at) const {
  const auto [word, size] = nearest(at);
  return size == kNever ? std::string_view()
                        : std::string_view(bytes_).substr(begins_[word] + at.depth, size);
}

std::optional<SourceWords::Place> SourceWords::step(const Place& from, unsigned char byte) const {
  // The text's end sorts before every byte.
  const auto byte_at = [&](std::uint32_t begin) {
    const std::size_t at = std::size_t{begin} + from.depth;
    return at < bytes_.size() ? static_cast<int>(static_cast<unsigned char>(bytes_[at])) : -1;
  };
  if (from.depth >= SpanSource::kLongestSpan) return std::nullopt;
  const auto begin = begins_.begin() + from.first;
  const auto end = begins_.begin() + from.last;
  const auto low = std::lower_bound(begin, end, static_cast<int>(byte),
                                    [&](std::uint32_t b, int c) { return byte_at(b) < c; });
  const auto high = std::upper_bound(low, end, static_cast<int>(byte),
                                     [&](int c, std::uint32_t b) { return c < byte_at(b); });
  const Place next{static_cast<std::uint32_t>(low - begins_.begin()),
                   static_cast<std::uint32_t>(high - begins_.begin()), from.depth + 1};
  if (low == high || closing_size(next) == kNever) return std::nullopt;
  return next;
}

ByteSet SourceWords::next_bytes(const Place& at) const {
  ByteSet out;
  for (std::uint32_t i = at.first; i < at.last;) {
    const std::size_t place = std::size_t{begins_[i]} + at.depth;
    if (place >= bytes_.size()) {
      ++i;
      continue;
    }
    const auto byte = static_cast<unsigned char>(bytes_[place]);
    if (step(at, byte)) out.add(byte);
    // The words of one byte stand together: jump over them.
    std::uint32_t low = i + 1;
    std::uint32_t high = at.last;
    while (low < high) {
      const std::uint32_t middle = low + (high - low) / 2;
      const std::size_t there = std::size_t{begins_[middle]} + at.depth;
      if (static_cast<unsigned char>(bytes_[there]) == byte) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    i = low;
  }
  return out;
}

Result<std::shared_ptr<const SpanSource>> SpanSource::create(std::string_view text) {
  if (text.size() > kLongestText) {
    return fail(ErrorCode::kLimit, "a text that spans copy from has " +
                                       std::to_string(text.size()) + " bytes; the limit is " +
                                       std::to_string(kLongestText));
  }
  std::shared_ptr<SpanSource> source(new SpanSource());
  struct Spelling {
    std::string bytes;
    std::vector<std::uint32_t> begins, ends;
    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(bytes.size()); }
  };
  Spelling plain, json;
  Class before = Class::kSpace;
  const auto end_word = [&] {
    plain.ends.push_back(plain.size());
    json.ends.push_back(json.size());
  };
  std::uint32_t character = 0;
  for (std::size_t at = 0; at < text.size(); ++character) {
    const utf8::Decoded one = utf8::decode(text, at);
    if (one.length == 0) {
      return fail(ErrorCode::kInvalid,
                  "a text that spans copy from is not UTF-8 at byte " + std::to_string(at));
    }
    const std::string_view bytes = text.substr(at, one.length);
    at += one.length;
    Class now = class_of(one.code_point);
    if (now == Class::kSpace) {
      if (before != Class::kSpace) end_word();
      before = now;
      continue;
    }
    if (now == Class::kMark && before != Class::kSpace) {
      now = before;  // stays with what it stands on
    } else {
      if (now == Class::kMark) now = Class::kAlone;
      if (before == Class::kSpace) {
        if (!plain.bytes.empty()) {
          // The space is counted to the character before the word.
          plain.bytes += ' ';
          json.bytes += ' ';
          source->origin_.push_back(character - 1);
        }
      } else if (now != before || now == Class::kAlone) {
        end_word();
      }
      if (before == Class::kSpace || now != before || now == Class::kAlone) {
        plain.begins.push_back(plain.size());
        json.begins.push_back(json.size());
      }
    }
    source->origin_.insert(source->origin_.end(), bytes.size(), character);
    plain.bytes += bytes;
    if (one.code_point == '"' || one.code_point == '\\') json.bytes += '\\';
    json.bytes += bytes;
    before = now;
  }
  if (before != Class::kSpace) end_word();
  source->plain_ = std::make_shared<const SourceWords>(std::move(plain.bytes),
                                                       std::move(plain.begins), plain.ends);
  source->json_ =
      std::make_shared<const SourceWords>(std::move(json.bytes), std::move(json.begins), json.ends);
  return std::shared_ptr<const SpanSource>(std::move(source));
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> SpanSource::find(std::string_view span) const {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> out;
  SourceWords::Place at = plain_->start();
  for (const char c : span) {
    const auto next = plain_->step(at, static_cast<unsigned char>(c));
    if (!next) return out;
    at = *next;
  }
  if (at.depth == 0 || !plain_->accepting(at)) return out;
  for (std::uint32_t i = at.first; i < at.last; ++i) {
    const std::uint32_t begin = plain_->begin(i);
    const SourceWords::Place one{i, i + 1, at.depth};
    if (!plain_->accepting(one)) continue;
    out.emplace_back(origin_[begin], origin_[begin + at.depth - 1] + 1);
  }
  std::sort(out.begin(), out.end());
  if (out.size() > kMostPlaces) out.resize(kMostPlaces);
  return out;
}

}  // namespace espalier::grammar
