#include "runtime/chat/jinja_literals.h"

namespace espalier::runtime {
namespace {

char unescaped(char escape) {
  switch (escape) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    default:
      return escape;
  }
}

}  // namespace

std::vector<std::string> jinja_literals(std::string_view source) {
  std::vector<std::string> literals;
  std::size_t at = 0;
  while ((at = source.find('{', at)) != std::string_view::npos && at + 1 < source.size()) {
    const char kind = source[at + 1];
    if (kind != '{' && kind != '%' && kind != '#') {
      ++at;
      continue;
    }
    const char ends[] = {kind == '{' ? '}' : kind, '}'};
    const std::string_view close(ends, 2);
    at += 2;
    if (kind == '#') {
      at = source.find(close, at);
      if (at == std::string_view::npos) break;
      at += 2;
      continue;
    }
    while (at < source.size() && source.substr(at, 2) != close) {
      const char quote = source[at++];
      if (quote != '\'' && quote != '"') continue;
      std::string literal;
      while (at < source.size() && source[at] != quote) {
        if (source[at] == '\\' && at + 1 < source.size())
          ++at, literal += unescaped(source[at++]);
        else
          literal += source[at++];
      }
      if (at == source.size()) return literals;
      ++at;
      literals.push_back(std::move(literal));
    }
  }
  return literals;
}

}  // namespace espalier::runtime
