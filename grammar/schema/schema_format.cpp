// The formats of JSON Schema as regular expressions over the whole string. Where a standard leaves
// spellings that nobody writes (comments in e-mail addresses, a leap second away from UTC), they
// are left out: a format never admits what its standard does not.
#include <map>
#include <string>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

using std::string;

// RFC 3339, with the calendar: 29 February in leap years only.
string date() {
  const string year = "[0-9]{4}";
  const string leap =
      "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
  return "(?:" + year + "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])" +
         "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|" + leap + "-02-29)";
}
string time_of_day() {
  const string offset = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
  return "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?" + offset +
         "|23:59:60(?:\\.[0-9]+)?(?:[Zz]|[+-]00:00))";
}
string duration() {
  const string time = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
  const string days = "[0-9]+D";
  const string date =
      "(?:[0-9]+Y(?:[0-9]+M(?:" + days + ")?)?|[0-9]+M(?:" + days + ")?|" + days + ")";
  return "P(?:" + date + "(?:" + time + ")?|" + time + "|[0-9]+W)";
}

// RFC 1123, without the labels whose third and fourth characters are hyphens (IDNA's).
string hostname() {
  const string label =
      "(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-][A-Za-z0-9]|"
      "[A-Za-z0-9](?:[A-Za-z0-9-][A-Za-z0-9][A-Za-z0-9-]|[A-Za-z0-9]-[A-Za-z0-9])"
      "[A-Za-z0-9-]{0,58}[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-][A-Za-z0-9][A-Za-z0-9])";
  return label + "(?:\\." + label + ")*";
}

const string kByte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
string ipv4() { return kByte + "(?:\\." + kByte + "){3}"; }
string ipv6() {
  const string h = "[0-9A-Fa-f]{1,4}";
  const string tail = "(?:" + h + ":" + h + "|" + ipv4() + ")";
  string out = "(?:(?:" + h + ":){6}" + tail + "|::(?:" + h + ":){5}" + tail;
  // At most n groups before the ::, and the rest after it.
  for (int before = 0; before <= 6; ++before) {
    const string left = before == 0
                            ? "(?:" + h + ")?"
                            : "(?:(?:" + h + ":){0," + std::to_string(before) + "}" + h + ")?";
    if (before <= 4) {
      const int groups = 4 - before;
      out += "|" + left +
             "::" + (groups == 0 ? "" : "(?:" + h + ":){" + std::to_string(groups) + "}") + tail;
    } else if (before == 5) {
      out += "|" + left + "::" + h;
    } else {
      out += "|" + left + "::";
    }
  }
  return out + ")";
}

const string kAtom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
string email() {
  const string quoted = "\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\"";
  return "(?:" + kAtom + "(?:\\." + kAtom + ")*|" + quoted + ")@(?:" + hostname() + "|\\[" +
         ipv4() + "\\]|\\[IPv6:" + ipv6() + "\\])";
}

// RFC 3986; with `more`, the characters beyond ASCII of RFC 3987.
string reference(const string& more, bool absolute, bool relative) {
  const string u = "A-Za-z0-9._~" + more;
  const string hex = "%[0-9A-Fa-f]{2}";
  const string pchar = "(?:[" + u + "!$&'()*+,;=:@-]|" + hex + ")";
  const string no_colon = "(?:[" + u + "!$&'()*+,;=@-]|" + hex + ")";
  const string user = "(?:(?:[" + u + "!$&'()*+,;=:-]|" + hex + ")*@)?";
  const string name = "(?:[" + u + "!$&'()*+,;=-]|" + hex + ")*";
  const string host =
      "(?:\\[(?:" + ipv6() + "|v[0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|" + name + ")";
  const string authority = "//" + user + host + "(?::[0-9]*)?(?:/" + pchar + "*)*";
  const string rooted = "/(?:" + pchar + "+(?:/" + pchar + "*)*)?";
  const string rest = "(?:\\?(?:" + pchar + "|[/?])*)?(?:#(?:" + pchar + "|[/?])*)?";
  string out;
  if (absolute) {
    out = "[A-Za-z][A-Za-z0-9+.-]*:(?:" + authority + "|" + rooted + "|" + pchar + "+(?:/" + pchar +
          "*)*)?" + rest;
  }
  if (relative) {
    out = "(?:" + out + "|(?:" + authority + "|" + rooted + "|" + no_colon + "+(?:/" + pchar +
          "*)*)?" + rest + ")";
  }
  return out;
}
const string kBeyondAscii =
    "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}";

string json_pointer() { return "(?:/(?:[^~/]|~[01])*)*"; }
string uri_template() {
  const string var = "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*";
  const string spec = var + "(?::[1-9][0-9]{0,3}|\\*)?";
  return "(?:[!#$&(-;=?-\\[\\]_a-z~" + kBeyondAscii + "]|%[0-9A-Fa-f]{2}|\\{[+#./;?&]?" + spec +
         "(?:," + spec + ")*\\})*";
}

struct Format {
  string regex;
  std::uint32_t longest = 0;
};

const std::map<string, Format, std::less<>>& formats() {
  static const std::map<string, Format, std::less<>> all = {
      {"date", {date(), 0}},
      {"time", {time_of_day(), 0}},
      {"date-time", {date() + "[Tt]" + time_of_day(), 0}},
      {"duration", {duration(), 0}},
      {"hostname", {hostname(), 253}},
      {"email", {email(), 0}},
      {"ipv4", {ipv4(), 0}},
      {"ipv6", {ipv6(), 0}},
      {"uri", {reference("", true, false), 0}},
      {"uri-reference", {reference("", true, true), 0}},
      {"iri", {reference(kBeyondAscii, true, false), 0}},
      {"iri-reference", {reference(kBeyondAscii, true, true), 0}},
      {"uri-template", {uri_template(), 0}},
      {"uuid", {"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", 0}},
      {"json-pointer", {json_pointer(), 0}},
      {"relative-json-pointer", {"(?:0|[1-9][0-9]*)(?:#|" + json_pointer() + ")", 0}},
      {"regex", {"", 0}},
      {"idn-hostname", {"", 0}},
      {"idn-email", {"", 0}},
  };
  return all;
}

}  // namespace

std::optional<SchemaFormat> schema_format(std::string_view name) {
  const auto it = formats().find(name);
  if (it == formats().end()) return std::nullopt;
  return SchemaFormat{it->second.regex.empty() ? nullptr : it->second.regex.c_str(),
                      it->second.longest};
}

}  // namespace espalier::grammar
