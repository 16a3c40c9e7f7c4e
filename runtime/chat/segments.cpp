#include "runtime/chat/segments.h"

#include <algorithm>

#include "runtime/jinja/characters.h"

namespace espalier::runtime {
namespace {

void append_text(Segments& to, std::string_view text) {
  if (text.empty()) return;
  if (to.empty() || to.back().control != kNoToken) to.push_back({});
  to.back().text += text;
}

// The template's own text: its special tokens are those that the tokenizer finds in it, in order.
Status append_template(Segments& to, std::string_view text, const Tokenizer& tokenizer) {
  ESP_ASSIGN(const auto ids, tokenizer.encode_special(text));
  std::size_t at = 0;
  for (const TokenId id : ids) {
    const std::string token = tokenizer.decode({&id, 1}, true);
    if (token.empty() || tokenizer.special(token) != id) continue;
    const std::size_t found = text.find(token, at);
    if (found == std::string_view::npos) continue;
    append_text(to, text.substr(at, found - at));
    to.push_back({id, ""});
    at = found + token.size();
    if (tokenizer.takes_space_after(id)) at = jinja::space_end(text, at);
  }
  append_text(to, text.substr(at));
  return {};
}

}  // namespace

std::string_view name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "";
}

Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, std::span<const Segment> segments) {
  std::vector<TokenId> ids;
  std::string run;
  const auto flush = [&]() -> Status {
    if (run.empty()) return {};
    ESP_ASSIGN(const auto more, tokenizer.encode(run));
    ids.insert(ids.end(), more.begin(), more.end());
    run.clear();
    return {};
  };
  for (const Segment& segment : segments) {
    if (segment.control == kNoToken) {
      run += segment.text;
      continue;
    }
    ESP_TRY(flush());
    ids.push_back(segment.control);
  }
  ESP_TRY(flush());
  return ids;
}

std::string text_of(const Tokenizer& tokenizer, std::span<const Segment> segments) {
  std::string text;
  for (const Segment& segment : segments)
    text +=
        segment.control == kNoToken ? segment.text : tokenizer.decode({&segment.control, 1}, true);
  return text;
}

std::string in_form(TextForm form, std::string_view piece, bool before) {
  switch (form) {
    case TextForm::kPlain:
      return std::string(piece);
    case TextForm::kTrimmed:
      return std::string(before ? piece : jinja::strip_left(piece));
    case TextForm::kJson: {
      std::string out;
      for (const char c : piece) {
        static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
        static constexpr std::string_view kTo = "\"\\nrtbf";
        if (const auto found = kFrom.find(c); found != std::string_view::npos) {
          out += '\\';
          out += kTo[found];
        } else if (static_cast<unsigned char>(c) < 0x20) {
          static constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[static_cast<unsigned char>(c) >> 4];
          out += kHex[static_cast<unsigned char>(c) & 15];
        } else {
          out += c;
        }
      }
      return out;
    }
  }
  return "";
}

std::string_view without_trailing_space(std::string_view text) { return jinja::strip_right(text); }

Result<Segments> segments_of(const jinja::Text& text, const Tokenizer& tokenizer) {
  Segments out;
  std::size_t begin = 0;
  for (const jinja::Run& run : text.runs) {
    const auto bytes = std::string_view(text.bytes).substr(begin, run.end - begin);
    if (run.origin == jinja::kTemplate)
      ESP_TRY(append_template(out, bytes, tokenizer));
    else
      append_text(out, bytes);
    begin = run.end;
  }
  return out;
}

Segments common_prefix(const Segments& a, const Segments& b) {
  Segments out;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i]) {
      out.push_back(a[i]);
      continue;
    }
    if (a[i].control != kNoToken || b[i].control != kNoToken) break;
    const auto& left = a[i].text;
    const auto& right = b[i].text;
    auto common = static_cast<std::size_t>(
        std::mismatch(
            left.begin(),
            left.begin() + static_cast<std::ptrdiff_t>(std::min(left.size(), right.size())),
            right.begin())
            .first -
        left.begin());
    while (common > 0 && common < left.size() &&
           (static_cast<unsigned char>(left[common]) & 0xC0) == 0x80)
      --common;
    append_text(out, std::string_view(left).substr(0, common));
    break;
  }
  return out;
}

std::optional<Segments> without_prefix(const Segments& whole, const Segments& part) {
  Segments rest;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (i >= whole.size()) return std::nullopt;
    if (whole[i] == part[i]) continue;
    const bool last_text =
        i + 1 == part.size() && whole[i].control == kNoToken && part[i].control == kNoToken;
    if (!last_text || !whole[i].text.starts_with(part[i].text)) return std::nullopt;
    append_text(rest, std::string_view(whole[i].text).substr(part[i].text.size()));
  }
  rest.insert(rest.end(), whole.begin() + static_cast<std::ptrdiff_t>(part.size()), whole.end());
  return rest;
}

std::optional<Segments> without_suffix(const Segments& whole, const Segments& part) {
  if (part.size() > whole.size()) return std::nullopt;
  Segments rest(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(part.size()));
  for (std::size_t i = 0; i < part.size(); ++i) {
    const Segment& mine = whole[whole.size() - part.size() + i];
    if (mine == part[i]) continue;
    const bool first_text = i == 0 && mine.control == kNoToken && part[i].control == kNoToken;
    if (!first_text || !mine.text.ends_with(part[i].text)) return std::nullopt;
    append_text(rest,
                std::string_view(mine.text).substr(0, mine.text.size() - part[i].text.size()));
  }
  return rest;
}

void append(Segments& to, const Segments& more) {
  for (const Segment& segment : more) {
    if (segment.control == kNoToken)
      append_text(to, segment.text);
    else
      to.push_back(segment);
  }
}

}  // namespace espalier::runtime
