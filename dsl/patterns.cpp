#include "dsl/patterns.h"

#include <re2/re2.h>

#include <algorithm>

namespace espalier::dsl {
namespace {

std::string re2_pattern(const std::string& pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    result += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      result += pattern[++i];
    } else if (pattern.compare(i, 3, "(?<") == 0 && i + 3 < pattern.size() &&
               pattern[i + 3] != '=' && pattern[i + 3] != '!') {
      result += "?P<";
      i += 2;
    }
  }
  return result;
}

RE2::Options quiet() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

}  // namespace

bool pattern_matches(const std::string& pattern, const std::string& text) {
  const RE2 compiled(re2_pattern(pattern), quiet());
  return compiled.ok() && RE2::FullMatch(text, compiled);
}

std::optional<std::string> pattern_error(const std::string& pattern) {
  const RE2 compiled(re2_pattern(pattern), quiet());
  if (compiled.ok()) return std::nullopt;
  // RE2 stops at repeats of 1,000; the language's own parser does not.
  if (compiled.error_code() == RE2::ErrorRepeatSize ||
      compiled.error_code() == RE2::ErrorPatternTooLarge)
    return std::nullopt;
  return compiled.error();
}

TypeRef group_record(const std::string& pattern) {
  std::vector<grammar::Field> fields;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '[') {  // a class: `]` first in it is a character
      ++i;
      if (i < pattern.size() && pattern[i] == '^') ++i;
      if (i < pattern.size() && pattern[i] == ']') ++i;
      for (; i < pattern.size() && pattern[i] != ']'; ++i)
        if (pattern[i] == '\\') ++i;
    } else if (pattern.compare(i, 3, "(?<") == 0 || pattern.compare(i, 4, "(?P<") == 0) {
      const std::size_t name = pattern.find('<', i) + 1;
      const std::size_t end = pattern.find('>', name);
      if (end == std::string::npos || pattern[name] == '=' || pattern[name] == '!') continue;
      const std::size_t body = end + 1;
      const std::size_t stop = pattern.find_first_of(".[]()*+?{}\\^$", body);
      grammar::Field field;
      field.name = field.key = pattern.substr(name, end - name);
      field.type = basic_type(TypeKind::kString);
      if (stop != std::string::npos && pattern[stop] == ')' && stop > body &&
          (stop + 1 >= pattern.size() ||
           std::string_view("*?+{").find(pattern[stop + 1]) == std::string_view::npos)) {
        std::vector<TypeRef> words;
        std::size_t from = body;
        while (from <= stop) {
          const std::size_t bar = std::min(pattern.find('|', from), stop);
          words.push_back(literal_type(pattern.substr(from, bar - from)));
          from = bar + 1;
        }
        field.type = union_type(std::move(words));
      }
      fields.push_back(std::move(field));
    }
  }
  if (fields.empty()) return nullptr;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  made->fields = std::move(fields);
  return made;
}

}  // namespace espalier::dsl
