#include "grammar/regex_class.h"

#include <algorithm>

#include "grammar/unicode_tables.h"

namespace espalier::grammar {

void RegexClass::add(const RegexClass& other) { add(std::span(other.ranges_)); }

void RegexClass::add(std::span<const CodePointRange> ranges) {
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
}

void RegexClass::fold() {
  normalised();
  const auto folds = unicode::folds();
  const auto at = [&](char32_t c) {
    return std::lower_bound(
        folds.begin(), folds.end(), c,
        [](const unicode::Fold& fold, char32_t wanted) { return fold.code_point < wanted; });
  };
  std::vector<CodePointRange> more;
  for (const auto& [low, high] : ranges_) {
    for (auto it = at(low); it != folds.end() && it->code_point <= high; ++it) {
      for (char32_t c = it->next; c != it->code_point; c = at(c)->next) more.emplace_back(c, c);
    }
  }
  add(more);
}

void RegexClass::negate() {
  normalised();
  std::vector<CodePointRange> out;
  char32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) out.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= 0x10FFFF) out.emplace_back(next, 0x10FFFF);
  ranges_ = std::move(out);
}

const std::vector<CodePointRange>& RegexClass::normalised() {
  std::sort(ranges_.begin(), ranges_.end());
  std::size_t kept = 0;
  for (const CodePointRange& range : ranges_) {
    if (kept > 0 && range.first <= ranges_[kept - 1].second + 1) {
      ranges_[kept - 1].second = std::max(ranges_[kept - 1].second, range.second);
    } else {
      ranges_[kept++] = range;
    }
  }
  ranges_.resize(kept);
  return ranges_;
}

RegexClass perl_class(char letter, bool ecma) {
  RegexClass out;
  switch (letter) {
    case 'd':
      out.add('0', '9');
      break;
    case 'w':
      out.add('0', '9');
      out.add('A', 'Z');
      out.add('_', '_');
      out.add('a', 'z');
      break;
    default:
      out.add('\t', '\n');
      out.add('\f', '\r');
      out.add(' ', ' ');
      if (ecma) {
        out.add('\v', '\v');
        out.add(0xFEFF, 0xFEFF);
        out.add(0x2028, 0x2029);
        out.add(*unicode::find("Zs", unicode::Kind::kCategory));
      }
  }
  return out;
}

std::optional<RegexClass> posix_class(std::string_view name) {
  RegexClass out;
  const auto is = [&](std::string_view wanted) { return name == wanted; };
  if (is("alnum") || is("alpha") || is("word")) {
    out.add('A', 'Z');
    out.add('a', 'z');
    if (!is("alpha")) out.add('0', '9');
    if (is("word")) out.add('_', '_');
  } else if (is("ascii")) {
    out.add(0, 0x7F);
  } else if (is("blank")) {
    out.add('\t', '\t');
    out.add(' ', ' ');
  } else if (is("cntrl")) {
    out.add(0, 0x1F);
    out.add(0x7F, 0x7F);
  } else if (is("digit")) {
    out.add('0', '9');
  } else if (is("graph")) {
    out.add('!', '~');
  } else if (is("lower")) {
    out.add('a', 'z');
  } else if (is("print")) {
    out.add(' ', '~');
  } else if (is("punct")) {
    out.add('!', '/');
    out.add(':', '@');
    out.add('[', '`');
    out.add('{', '~');
  } else if (is("space")) {
    out.add('\t', '\r');
    out.add(' ', ' ');
  } else if (is("upper")) {
    out.add('A', 'Z');
  } else if (is("xdigit")) {
    out.add('0', '9');
    out.add('A', 'F');
    out.add('a', 'f');
  } else {
    return std::nullopt;
  }
  return out;
}

}  // namespace espalier::grammar
