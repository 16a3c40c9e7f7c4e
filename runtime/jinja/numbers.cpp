#include "runtime/jinja/numbers.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/ascii.h"
#include "runtime/jinja/characters.h"

namespace espalier::runtime::jinja {
namespace {

std::string_view stripped(std::string_view text) { return strip_right(strip_left(text)); }

// Without single underscores between digits; nothing where one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text, bool (*is)(char)) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is(text[i - 1]) || !is(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t mark = text.find('e');
  std::string digits(text.substr(0, 1));
  if (mark > 1) digits += text.substr(2, mark - 2);
  int exponent = 0;
  const char* from = text.data() + mark + (text[mark + 1] == '+' ? 2 : 1);
  std::from_chars(from, end, exponent);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    const int size = std::abs(exponent);
    if (size < 10) out += '0';
    return out + std::to_string(size);
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (exponent + 1 >= count)
    return out + digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<std::size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<std::size_t>(exponent) + 1);
}

std::optional<double> parse_float(std::string_view text) {
  text = stripped(text);
  const auto plain = without_underscores(text, is_ascii_digit);
  if (!plain || plain->empty()) return std::nullopt;
  const char* first = plain->data();
  const char* last = first + plain->size();
  if (*first == '+') ++first;
  if (first == last || *first == '+' || (*first == '-' && plain->front() == '+'))
    return std::nullopt;
  double value = 0;
  const auto parsed = std::from_chars(first, last, value);
  if (parsed.ptr != last) return std::nullopt;
  const std::string_view body(first + (*first == '-' ? 1 : 0), last);
  if (body.starts_with('i') || body.starts_with('I') || body.starts_with('n') ||
      body.starts_with('N')) {
    if (body.find('(') != std::string_view::npos) return std::nullopt;  // nan(…)
    return value;
  }
  if (parsed.ec == std::errc::result_out_of_range) {
    // Too large or too small: which of them, the exponent's sign tells.
    const std::size_t mark = body.find_first_of("eE");
    const bool tiny =
        mark != std::string_view::npos && mark + 1 < body.size() && body[mark + 1] == '-';
    const double limit = tiny ? 0.0 : HUGE_VAL;
    return *first == '-' ? -limit : limit;
  }
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t base,
                                          bool& too_large) {
  text = stripped(text);
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int named = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      base = named;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos)
      return std::nullopt;
    base = 10;
  }
  const auto plain = without_underscores(
      text, [](char c) { return is_ascii_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); });
  if (!plain || plain->empty() || plain->front() == '-') return std::nullopt;
  const std::string number = (negative ? "-" : "") + *plain;
  std::int64_t value = 0;
  const auto parsed =
      std::from_chars(number.data(), number.data() + number.size(), value, static_cast<int>(base));
  if (parsed.ptr != number.data() + number.size()) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) {
    too_large = true;
    return std::nullopt;
  }
  return value;
}

std::string fixed_text(double value, int precision) {
  // The largest double has 309 digits before the point.
  std::string out(static_cast<std::size_t>(precision) + 330, '\0');
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value,
                                 std::chars_format::fixed, precision);
  out.resize(static_cast<std::size_t>(end.ptr - out.data()));
  return out;
}

}  // namespace espalier::runtime::jinja
