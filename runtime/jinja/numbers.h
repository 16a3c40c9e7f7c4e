// Numbers to text and back, as Python writes and reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::runtime::jinja {

/// repr(float): the shortest digits that read back equal; exponents below -4 or from 16 on in
/// scientific form; "inf", "nan".
[[nodiscard]] std::string float_text(double value);
/// float(text): white space around it, underscores between digits, inf and nan in any case.
[[nodiscard]] std::optional<double> parse_float(std::string_view text);
/// int(text, base); base 0 reads prefixes. `too_large` where the value has more than 63 bits.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t base,
                                                        bool& too_large);
/// The digits of `value` with `precision` of them after the point, rounded half to even from the
/// exact value.
[[nodiscard]] std::string fixed_text(double value, int precision);

}  // namespace espalier::runtime::jinja
