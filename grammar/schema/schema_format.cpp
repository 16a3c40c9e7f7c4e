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

// RFC 1123, without the labels whose third and fourth characters are hyphens: whether an A-label
// of IDNA is one depends on what it decodes to.
const string kAlnum = "[A-Za-z0-9]";
const string kLabel = "(?:" + kAlnum + "[A-Za-z0-9-]?" + kAlnum + "|" + kAlnum + "|" + kAlnum +
                      "[A-Za-z0-9-]{2}" + kAlnum + "|" + kAlnum + "[A-Za-z0-9-](?:" + kAlnum +
                      "[A-Za-z0-9-]|-" + kAlnum + ")[A-Za-z0-9-]{0,58}" + kAlnum + ")";
string hostname() { return kLabel + "(?:\\." + kLabel + ")*"; }

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

const string kAtomText = "A-Za-z0-9!#$%&'*+/=?^_`{|}~";
// RFC 5321 and, with `more`, the characters beyond ASCII of RFC 6531.
string email(const string& more, const string& domain) {
  const string atom = "[" + kAtomText + more + "-]+";
  const string quoted = "\"(?:[ !#-\\[\\]-~" + more + "]|\\\\[ -~])*\"";
  return "(?:" + atom + "(?:\\." + atom + ")*|" + quoted + ")@(?:" + domain + "|\\[" + ipv4() +
         "\\]|\\[IPv6:" + ipv6() + "\\])";
}

// RFC 5890 to 5893, for the letters that are stable under case folding and composition of the
// scripts below: U-labels short enough for their A-labels (5 bytes a character at most, 63 in all),
// with the rules for characters in context and for right-to-left labels.
string idn_hostname() {
  const string latin = "a-z\\u{DF}-\\u{F6}\\u{F8}-\\u{FF}";
  const string greek = "\\u{3AC}-\\u{3CE}";
  const string cyrillic = "\\u{430}-\\u{45F}";
  const string kana_han =
      "\\u{3005}\\u{3007}\\u{3041}-\\u{3094}\\u{30A1}-\\u{30FA}\\u{4E00}-\\u{9FA5}";
  const string devanagari = "\\u{904}-\\u{939}";
  const string letter =
      latin + greek + cyrillic + kana_han + devanagari + "\\u{F0B}\\u{AC00}-\\u{D7A3}";
  const string mark = "\\u{901}-\\u{903}\\u{93E}-\\u{94C}";
  const string virama = "\\u{94D}[\\u{200C}\\u{200D}]?";
  const string digit = "0-9\\u{6F0}-\\u{6F9}";
  const auto word = [&](const string& first) {
    const string piece =
        "(?:[" + letter + digit + "](?:[" + mark + "\\u{300}-\\u{304}]|" + virama + ")?)";
    return "(?:[" + first + "](?:[" + mark + "\\u{300}-\\u{304}]|" + virama + ")?(?:-?" + piece +
           "){0,3})";
  };
  const string in_context = "(?:[a-z]{0,3}l\\u{B7}l[a-z]{0,3}|[" + greek + "]{1,3}\\u{375}[" +
                            greek + "]{1,3}|[" + kana_han + "]{0,3}\\u{30FB}[" + kana_han +
                            "]{1,3})";
  // One script needs fewer bytes a character.
  const string one_script = "(?:[" + greek + "]{1,24}|[" + cyrillic + "]{1,24}|[" + latin +
                            "]{1,16}|[\\u{AC00}-\\u{D7A3}]{1,12}|[" + kana_han + "]{1,12})";
  const string hebrew = "\\u{5D0}-\\u{5EA}";
  const string arabic = "\\u{621}-\\u{63A}\\u{641}-\\u{64A}\\u{6FD}\\u{6FE}";
  const string joins = "[\\u{628}\\u{62A}-\\u{62E}\\u{633}-\\u{63A}\\u{641}-\\u{647}\\u{64A}]";
  const string right_to_left = "(?:[" + hebrew + "](?:[" + hebrew + "]|[" + hebrew +
                               "][\\u{5F3}\\u{5F4}]){0,5}|[" + hebrew + "][\\u{5F3}\\u{5F4}][" +
                               hebrew + "]{1,5}|[" + arabic +
                               "]{1,5}(?:[0-9]{0,4}|[\\u{660}-\\u{669}]{0,4})[" + arabic +
                               "]{0,2}|" + joins + "{1,4}\\u{200C}" + joins + "{1,4})";
  const string dot = "[.\\u{3002}\\u{FF0E}\\u{FF61}]";
  const string left_to_right =
      "(?:" + kLabel + "|" + word(letter + digit) + "|" + in_context + "|" + one_script + ")";
  const string beside =
      "(?:[a-z](?:[a-z0-9]{0,20}|[a-z0-9]{1,20}-[a-z0-9]{1,20})|" + word(letter) + ")";
  const string mixed = "(?:" + right_to_left + "|" + beside + ")";
  return "(?:" + kLabel + "(?:" + dot + kLabel + ")*|" + left_to_right + "(?:" + dot +
         left_to_right + "){0,2}|" + mixed + "(?:" + dot + mixed + "){0,2})";
}

// RFC 3986; with `more`, the characters beyond ASCII of RFC 3987.
string reference(const string& more, const string& more_in_query, bool absolute, bool relative) {
  const string u = "A-Za-z0-9._~" + more;
  const string hex = "%[0-9A-Fa-f]{2}";
  const string pchar = "(?:[" + u + "!$&'()*+,;=:@-]|" + hex + ")";
  const string no_colon = "(?:[" + u + "!$&'()*+,;=@-]|" + hex + ")";
  const string user = "(?:(?:[" + u + "!$&'()*+,;=:-]|" + hex + ")*@)?";
  const string name = "(?:[" + u + "!$&'()*+,;=-]|" + hex + ")*";
  const string host =
      "(?:\\[(?:" + ipv6() + "|[Vv][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|" + name + ")";
  const string authority = "//" + user + host + "(?::[0-9]*)?(?:/" + pchar + "*)*";
  const string rooted = "/(?:" + pchar + "+(?:/" + pchar + "*)*)?";
  const string rest =
      "(?:\\?(?:" + pchar + "|[/?" + more_in_query + "])*)?(?:#(?:" + pchar + "|[/?])*)?";
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
    "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}"
    "\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}";
const string kPrivate = "\\u{E000}-\\u{F8FF}\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}";

string json_pointer() { return "(?:/(?:[^~/]|~[01])*)*"; }
string uri_template() {
  const string var = "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*";
  const string spec = var + "(?::[1-9][0-9]{0,3}|\\*)?";
  return "(?:[!#$&-;=?-\\[\\]_a-z~" + kBeyondAscii + "]|%[0-9A-Fa-f]{2}|\\{[+#./;?&]?" + spec +
         "(?:," + spec + ")*\\})*";
}

// Patterns that are ECMA-262's with its u flag, nested three deep, and those that escape
// punctuation which needs no escape, as without the flag; names of groups, which must differ, at
// most once; back references, \0 and all ranges but the usual ones left out, so that the automaton
// can be finished.
string regex() {
  const string hex = "[0-9A-Fa-f]";
  const string categories = "(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfosn]?)";
  const string escape =
      "\\\\(?:[dDwWsSfnrtv^$\\\\.*+?()\\[\\]{}|/ !\"#%&',:;<=>@_`~-]|c[A-Za-z]|x" + hex +
      "{2}|u(?:[0-9A-Ca-cE-Fe-f]" + hex + "{3}|\\{(?:" + hex + "{1,5}|10" + hex +
      "{4})\\})|[pP]\\{" + categories + "\\})";
  const string ranges = "[ !]-~|[01]-[1-9]|[0-9]-9|A-[A-Z]|[A-Z]-Z|a-[a-z]|[a-z]-z";
  // A hyphen is itself at the beginning, behind a range and at the end.
  const string in_class =
      "\\[\\^?-?(?:(?:" + ranges + ")-?|[^\\\\\\]-]|\\\\b|" + escape + ")*-?\\]";
  const string one = "(?:[^\\\\^$.*+?()\\[\\]{}|]|\\.|" + escape + "|" + in_class + ")";
  const string lazy = "\\?" + string("?");
  // {m,n} with m <= n: by their lengths, or by their first digits.
  string bounds = "[0-9],[1-9][0-9]{1,3}|[1-9][0-9],[1-9][0-9]{2,3}";
  for (char low = '0'; low <= '9'; ++low) {
    const string digit(1, low);
    bounds += "|" + digit + ",[" + digit + "-9]";
    if (low > '0' && low < '9') {
      bounds += "|" + digit + "[0-9],[" + string(1, static_cast<char>(low + 1)) + "-9][0-9]";
    }
  }
  const string times = "(?:(?:[*+?]|\\{[0-9]{1,4},?\\}|\\{(?:" + bounds + ")\\})" + lazy + ")?";
  const string place = "[\\^$]|\\\\[bB]";
  string body = "(?:" + one + times + "|" + place + "|\\|)*";
  for (int depth = 0; depth < 3; ++depth) {
    body = "(?:" + one + times + "|" + place + "|\\||\\((?:\\?:)?" + body + "\\)" + times +
           "|\\(\\?<?[=!]" + body + "\\))*";
    if (depth == 1) body = "(?:" + body + ")";
  }
  return body + "(?:\\(\\?<[A-Za-z_][A-Za-z0-9_]*>(?:" + one + times + ")*\\)" + times + body +
         ")?";
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
      {"email", {email("", hostname()), 0}},
      {"ipv4", {ipv4(), 0}},
      {"ipv6", {ipv6(), 0}},
      {"uri", {reference("", "", true, false), 0}},
      {"uri-reference", {reference("", "", true, true), 0}},
      {"iri", {reference(kBeyondAscii, kPrivate, true, false), 0}},
      {"iri-reference", {reference(kBeyondAscii, kPrivate, true, true), 0}},
      {"uri-template", {uri_template(), 0}},
      {"uuid", {"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", 0}},
      {"json-pointer", {json_pointer(), 0}},
      {"relative-json-pointer", {"(?:0|[1-9][0-9]*)(?:#|" + json_pointer() + ")", 0}},
      {"regex", {regex(), 0}},
      {"idn-hostname", {idn_hostname(), 253}},
      {"idn-email", {email("\\u{80}-\\u{10FFFF}", "(?:" + idn_hostname() + ")"), 0}},
  };
  return all;
}

}  // namespace

std::optional<SchemaFormat> schema_format(std::string_view name) {
  const auto it = formats().find(name);
  if (it == formats().end()) return std::nullopt;
  return SchemaFormat{it->second.regex.c_str(), it->second.longest};
}

bool large_format(std::string_view regex) { return regex == formats().at("regex").regex; }

std::vector<std::string_view> schema_format_names() {
  std::vector<std::string_view> out;
  for (const auto& [name, format] : formats()) out.push_back(name);
  return out;
}

}  // namespace espalier::grammar
