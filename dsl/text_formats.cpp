#include "dsl/text_formats.h"

namespace espalier::dsl {
namespace {

// Days by month; the 29th of February where the last two digits of the year divide by 4 and are not
// 00, or the first two do and they are.
constexpr std::string_view kDate =
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
constexpr std::string_view kTime = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?";
constexpr std::string_view kOffset = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";

}  // namespace

std::string text_format(std::string_view name) {
  if (name == "date") return std::string(kDate);
  if (name == "time") return std::string(kTime) + std::string(kOffset) + "?";
  if (name == "datetime")
    return std::string(kDate) + "T" + std::string(kTime) + std::string(kOffset);
  if (name == "uuid")
    return "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
  if (name == "email")
    return "[A-Za-z0-9_%+-]{1,64}(\\.[A-Za-z0-9_%+-]{1,64}){0,4}@[A-Za-z0-9-]{1,63}"
           "(\\.[A-Za-z0-9-]{1,63}){0,6}\\.[A-Za-z]{2,24}";
  if (name == "url")
    return "https?://[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63}){0,8}(:[0-9]{1,5})?"
           "(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,512})?(\\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,512})?"
           "(#[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,128})?";
  return {};
}

}  // namespace espalier::dsl
