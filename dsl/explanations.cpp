#include "dsl/explanations.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace espalier::dsl {
namespace {

using namespace std::string_view_literals;

constexpr ExampleFile kItems[] = {{"items.gen", "record Item { name: string }\n"}};
constexpr ExampleFile kCircle[] = {
    {"lamps.gen", "use \"wrong.gen\" { Room }\nrecord Lamp { stands_in: Room? }\n"},
    {"chairs.gen", "record Chair { legs: int }\n"}};
constexpr ExampleFile kServers[] = {{"mcp.json",
                                     R"({"mcpServers": {"clock": {"command": "clock-server"}}})"
                                     "\n"}};
constexpr ExampleFile kPinned[] = {kServers[0],
                                   {"tools.lock",
                                    R"({"version": 1, "servers": {"clock": {"get_time": {
  "sha256": "3ab687fc0e545a009e59b9fe1f473dc5cf689a982e7fa0303907c1e5594aa00e",
  "tool": {"name": "get_time", "description": "Current time.",
    "inputSchema": {"type": "object", "required": ["timezone"],
      "properties": {"timezone": {"type": "string"}, "format": {"type": "string"}}}}}}}}
)"}};

// 200 levels are the most that there may be.
#define ESP_TEN(text) text text text text text text text text text text
constexpr std::string_view kTooDeep = "type Deep = " ESP_TEN(ESP_TEN("("))
    ESP_TEN(ESP_TEN("(")) "(int)" ESP_TEN(ESP_TEN(")")) ESP_TEN(ESP_TEN(")")) "\n";
#undef ESP_TEN

constexpr std::array kExplanations = {
    Explanation{
        "E0100",
        "The program is not well formed here: something else was expected. The message says "
        "what may stand in this place. One mistake gives one message; what follows it is "
        "read on.",
        "record Item { name string }\n", "record Item { name: string }\n"},
    Explanation{"E0101",
                "Nothing of this name is known here: no variable, type, tool, generator, option or "
                "rule of a grammar, as the place asks for. Where a known name is near, the message "
                "offers it.",
                "record Item { name: strin }\n", "record Item { name: string }\n"},
    Explanation{"E0102",
                "The name is bound on some paths only: in one branch of an `if`, one arm of a "
                "`match`, a loop that may not run. Outside of that scope it has no value.",
                "gen g(b: bool) -> int {\n  if b { let n = 1 }\n  return n\n}\n",
                "gen g(b: bool) -> int {\n  let n = if b { 1 } else { 0 }\n  return n\n}\n"},
    Explanation{
        "E0103",
        "A name is bound once, and no inner scope may hide it: what a name stands for can be "
        "read off the program without following it.",
        "gen g(n: int) -> int {\n  let n = 2\n  return n\n}\n",
        "gen g(n: int) -> int {\n  let m = 2\n  return n + m\n}\n"},
    Explanation{
        "E0104",
        "Two declarations, fields or parameters have one name, or a declaration takes a name "
        "of the language.",
        "enum Colour { red, red }\n", "enum Colour { red, green }\n"},
    Explanation{"E0105",
                "The same thing is given twice, so that one of them would count for nothing.",
                "config { temperature: 0, temperature: 1 }\n", "config { temperature: 0 }\n"},
    Explanation{"E0106",
                "A word of the language stands where a name should be. Fields may have any name; "
                "values may not, because they are used by it.",
                "gen g(for: string) -> string {\n  return \"x\"\n}\n",
                "gen g(whom as \"for\": string) -> string {\n  return whom\n}\n"},
    Explanation{
        "E0107",
        "`break` leaves a loop, `yield` a fork's branch or a turn of a loop that `let` binds, "
        "`return` a generator: each stands only where it has something to leave. A fork's "
        "branch ends with `yield`.",
        "gen g() -> int {\n  break\n  return 1\n}\n",
        "gen g() -> int {\n  for i in 1..3 { break }\n  return 1\n}\n"},
    Explanation{
        "E0108",
        "A generator calls itself, directly or by way of others. The number of tokens that a "
        "program may cost would have no bound; write a loop over a range.",
        "gen g(n: int) -> int {\n  return g(n - 1)\n}\n",
        "gen g(n: int) -> int {\n  return n - 1\n}\n"},
    Explanation{"E0110",
                "A `$[…]` or `${…}` that is not well formed. It never becomes text: for a literal "
                "one write `$$[` or `$${`.",
                "gen g() {\n  assistant \"N: $[n int]\"\n}\n",
                "gen g() {\n  assistant \"N: $[n: int]\"\n}\n"},
    Explanation{"E0111",
                "A backslash that no escape begins with. There are \\n \\t \\r \\\\ \\\" \\$ "
                "and \\u{…}.",
                "gen g() {\n  user \"a\\qb\"\n}\n", "gen g() {\n  user \"a\\\\qb\"\n}\n"},
    Explanation{"E0112", "A number that no value can hold: an int has 64 bits.",
                "gen g() -> int {\n  return 99999999999999999999\n}\n",
                "gen g() -> int {\n  return 999999999999\n}\n"},
    Explanation{"E0113",
                "Nested or chained deeper than 200 levels, or more syntax than a program may have. "
                "Name the inner parts and use the names.",
                kTooDeep, "type Deep = ((((int))))\n"},
    Explanation{"E0114", "A program has at most 10 MiB, is UTF-8 and holds no NUL byte.",
                "gen g() {\n  user \"a\0b\"\n}\n"sv, "gen g() {\n  user \"a b\"\n}\n"},
    Explanation{"E0115", "A string, text, pattern or comment that is never closed.",
                "gen g() {\n  user \"Hello\n}\n", "gen g() {\n  user \"Hello\"\n}\n"},
    Explanation{
        "E0116",
        "Every line of a \"\"\" text is indented at least as far as its closing quotes: that "
        "much is taken off each.",
        "gen g() {\n  user \"\"\"\n    one\n  two\n    \"\"\"\n}\n",
        "gen g() {\n  user \"\"\"\n    one\n    two\n    \"\"\"\n}\n"},
    Explanation{"E0117",
                "A file that the program names cannot be read. Its path starts at the folder "
                "of the file that names it.",
                "use \"itms.gen\" { Item }\n", "use \"items.gen\" { Item }\n", SaidBy::kCheck,
                kItems},
    Explanation{"E0118", "Files use each other in a circle. Move what both need into a third one.",
                "use \"lamps.gen\" { Lamp }\nrecord Room { lamps: Lamp[] }\n",
                "use \"chairs.gen\" { Chair }\nrecord Room { chairs: Chair[] }\n", SaidBy::kCheck,
                kCircle},
    Explanation{"E0119",
                "The file says in its `config` that it is written in an edition of the language "
                "that this program does not know. What else it holds may mean something else "
                "there, so nothing else is said of it. A file without an edition is of the first.",
                "config { edition: 99 }\n", "config { edition: 1 }\n"},
    Explanation{"E0201", "A value of another type than the place asks for.",
                "gen g() -> int {\n  return \"one\"\n}\n", "gen g() -> int {\n  return 1\n}\n"},
    Explanation{
        "E0202",
        "A `match` covers every case of its value, and names none that the value cannot "
        "have. A fresh name stands last and takes the rest.",
        "enum V { yes, no }\ngen g(v: V) -> int {\n  match v { yes => return 1 }\n  return "
        "0\n}\n",
        "enum V { yes, no }\ngen g(v: V) -> int {\n  match v {\n    yes => return 1\n    no "
        "=> return 0\n  }\n}\n"},
    Explanation{
        "E0203",
        "`select` scores every value of its type, so the type must have a list of them: an "
        "enum, a union of literals, a bool, an int with both ends.",
        "gen g() -> string {\n  assistant \"$[x: select line]\"\n  return x\n}\n",
        "gen g() -> string {\n  assistant \"$[x: select \"yes\" | \"no\"]\"\n  return x\n}\n"},
    Explanation{"E0204", "A path reaches the end of the generator without `return`.",
                "gen g(b: bool) -> int {\n  if b { return 1 }\n}\n",
                "gen g(b: bool) -> int {\n  if b { return 1 }\n  return 0\n}\n"},
    Explanation{"E0205", "The value has no such field, or the enum no such case.",
                "record Item { name: string }\ngen g(i: Item) -> string {\n  return i.nam\n}\n",
                "record Item { name: string }\ngen g(i: Item) -> string {\n  return i.name\n}\n"},
    Explanation{"E0206", "The operator does not work on values of these types.",
                "gen g(s: string) -> int {\n  return s * 2\n}\n",
                "gen g(s: string) -> int {\n  return len(s) * 2\n}\n"},
    Explanation{"E0207",
                "A call, hole or `select` with arguments or options that it does not take, or "
                "without one that it needs.",
                "gen f(n: int) -> int { return n }\ngen g() -> int {\n  return f()\n}\n",
                "gen f(n: int) -> int { return n }\ngen g() -> int {\n  return f(1)\n}\n"},
    Explanation{
        "E0209",
        "`run` executes a call of a tool that says how it is run. A tool without `=` is only "
        "a shape for the model to fill.",
        "tool answer(text: string)\ngen g() {\n  assistant \"$[c: answer]\"\n  user \"${run "
        "c}\"\n}\n",
        "tool answer(text: string) = python \"m:f\"\ngen g() {\n  assistant \"$[c: "
        "answer]\"\n  user \"${run c}\"\n}\n"},
    Explanation{"E0210",
                "A type, tool or generator stands where a value should be, or the reverse. "
                "`${Type}` in a text is the one place for a type: it prints its schema.",
                "record Item { name: string }\ngen g() -> json {\n  return Item\n}\n",
                "record Item { name: string }\ngen g() -> json {\n  return { name: \"x\" }\n}\n"},
    Explanation{"E0211",
                "A setting, bound or argument of a type that it cannot have, or a default "
                "that is not a constant.",
                "config { temperature: 500 }\n", "config { temperature: 0.7 }\n"},
    Explanation{"E0212",
                "A fork's branch may end without `yield`, and then has no value; or nothing in a "
                "loop that `let` binds yields one.",
                "gen g(b: bool) -> int[] {\n  return fork 2 { if b { yield 1 } }\n}\n",
                "gen g(b: bool) -> int[] {\n  return fork 2 {\n    if b { yield 1 } else { yield 0 "
                "}\n  }\n}\n"},
    Explanation{
        "E0213", "An arm before takes this case already, so this one is never reached.",
        "enum V { yes, no }\ngen g(v: V) -> int {\n  match v {\n    yes => return 1\n    yes "
        "=> return 2\n    no => return 0\n  }\n}\n",
        "enum V { yes, no }\ngen g(v: V) -> int {\n  match v {\n    yes => return 1\n    no "
        "=> return 0\n  }\n}\n"},
    Explanation{"E0214",
                "A value of this type would hold itself without end, or a tool's arguments may "
                "hold a call of "
                "that tool.",
                "record Tree { inside: Tree }\n", "record Tree { inside: Tree[] }\n"},
    Explanation{"E0301",
                "No text fits this type: a range with its ends swapped, an enum without "
                "cases, a pattern that nothing matches.",
                "gen g() -> int {\n  assistant \"$[n: int(120..18)]\"\n  return n\n}\n",
                "gen g() -> int {\n  assistant \"$[n: int(18..120)]\"\n  return n\n}\n"},
    Explanation{
        "E0302",
        "Nothing marks where this hole ends. A hole whose values may go on ends at the text "
        "behind it, or with its turn; another hole or an insert may begin with anything.",
        "gen g() {\n  assistant \"$[title: string]$[body: string]\"\n}\n",
        "gen g() {\n  assistant \"$[title: line]\\n$[body: string]\"\n}\n"},
    Explanation{
        "E0303",
        "A value could be one of two alternatives. They must differ in their first byte, or "
        "be records whose first field differs.",
        "record P { name: string }\nrecord C { name: string }\ntype Hit = P | C\n",
        "record P { kind: \"p\", name: string }\nrecord C { kind: \"c\", name: string }\ntype "
        "Hit = P | C\n"},
    Explanation{"E0304",
                "Each alternative of this rule needs the rule again, so none of its texts "
                "ever ends.",
                "grammar G { start = \"(\" start \")\" }\n",
                "grammar G { start = \"(\" start \")\" | \"x\" }\n"},
    Explanation{
        "E0305",
        "The model that is to run the program has no tokens that spell a value of this hole, "
        "or the text that ends it: vocabularies without a token for every byte exist, and "
        "some characters are out of their reach. `espalier check --model M` says it without "
        "a run; a run says it before its first token.",
        "gen g() -> string {\n  assistant \"$[mark: \"\u21af\" | \"\u2672\"]\"\n  return mark\n}\n",
        "gen g() -> string {\n  assistant \"$[mark: \"yes\" | \"no\"]\"\n  return mark\n}\n",
        SaidBy::kModel},
    Explanation{"E0306", "Larger than a limit that the message names.",
                "gen g() -> string {\n  assistant \"$[x: /[a-z]{70000}/]\"\n  return x\n}\n",
                "gen g() -> string {\n  assistant \"$[x: /[a-z]{70}/]\"\n  return x\n}\n"},
    Explanation{"E0307", "The hole could be left empty, and nothing would be generated.",
                "gen g() -> string {\n  assistant \"$[x: /a*/]\"\n  return x\n}\n",
                "gen g() -> string {\n  assistant \"$[x: /a+/]\"\n  return x\n}\n"},
    Explanation{"E0308",
                "The pattern does not parse. Patterns have RE2's syntax: no look-around, no "
                "back-references.",
                "type T = /(ab/\n", "type T = /(ab)/\n"},
    Explanation{"E0309",
                "A JSON Schema, or a type, that no mask can enforce. It is refused rather "
                "than enforced in part.",
                "type T = /[a-z]+\\b.*/\n", "type T = /[a-z]+( .*)?/\n"},
    Explanation{"E0401", "The model writes in assistant turns only, and in programs without turns.",
                "gen g() {\n  user \"$[x: line]\"\n}\n",
                "gen g() {\n  assistant \"$[x: line]\"\n}\n"},
    Explanation{"E0402", "A turn opens inside another one.",
                "gen g() {\n  user { assistant \"Hi\" }\n}\n",
                "gen g() {\n  user \"Hello\"\n  assistant \"Hi\"\n}\n"},
    Explanation{"E0403", "There are four roles: system, user, assistant, tool.",
                "gen g() {\n  turn \"robot\" \"Hi\"\n}\n",
                "gen g() {\n  turn \"user\" \"Hi\"\n}\n"},
    Explanation{"E0404",
                "A text that is a value generates nothing, so it holds no holes. Write it as "
                "a statement; the hole's name is then the value.",
                "gen g() -> string {\n  return \"$[x: line]\"\n}\n",
                "gen g() -> string {\n  assistant \"$[x: line]\"\n  return x\n}\n"},
    Explanation{"E0405", "This generator opens turns, so its text stands inside of them.",
                "gen g() {\n  user \"Hello\"\n  \"there\"\n}\n",
                "gen g() {\n  user \"Hello there\"\n}\n"},
    Explanation{
        "E0406", "`retry` goes back to a place between turns: its message is a turn.",
        "gen g() {\n  assistant {\n    retry 2 { \"$[x: line]\" require x != \"a\" }\n  }\n}\n",
        "gen g() {\n  retry 2 {\n    assistant \"$[x: line]\"\n    require x != \"a\"\n  "
        "}\n}\n"},
    Explanation{
        "E0407", "A `span` is copied from a text, and nothing says which.",
        "gen g(doc: string) -> span {\n  assistant \"$[x: span]\"\n  return x\n}\n",
        "gen g(doc: string) -> span {\n  assistant \"$[x: span from doc]\"\n  return x\n}\n"},
    Explanation{"E0501", "How the tool is run is not well formed.",
                "tool look(q: string) = python \"shop\"\n",
                "tool look(q: string) = python \"shop:look\"\n"},
    Explanation{"E0502", "Two tools have one name for the model.",
                "tool a as \"look\"(q: string)\ntool b as \"look\"(q: string)\n",
                "tool a as \"look\"(q: string)\ntool b as \"find\"(q: string)\n"},
    Explanation{
        "E0503",
        "The tool's server is named in `mcp.json` beside the program, and it is not there, or "
        "the file cannot be read.",
        "tool now(timezone: string) = mcp \"clok/get_time\"\n",
        "tool now(timezone: string) = mcp \"clock/get_time\"\n", SaidBy::kCheck, kServers},
    Explanation{
        "E0504",
        "A tool is pinned in `tools.lock`, and what the server or the program declares now is "
        "another. Look at what changed; `espalier lock` pins it anew.",
        "tool now(time_zone: string) = mcp \"clock/get_time\"\n",
        "tool now(timezone: string) = mcp \"clock/get_time\"\n", SaidBy::kCheck, kPinned},
    Explanation{"E0701",
                "While the program ran, a `require` did not hold, and no `retry` was left.",
                "gen g() -> int {\n  assistant \"$[n: int]\"\n  require n > 0\n  return n\n}\n"
                "test \"t\" {\n  mock { n: -1 }\n  expect g() == 1\n}\n",
                "gen g() -> int {\n  retry 3 {\n    assistant \"$[n: int]\"\n    require n > 0\n  "
                "} else {\n"
                "    return 1\n  }\n  return n\n}\n"
                "test \"t\" {\n  mock { n: -1 }\n  expect g() == 1\n}\n",
                SaidBy::kTest},
    Explanation{"E0702",
                "While the program ran, a tool failed: it was refused, took too long, ended "
                "badly, or gave what its type does not allow.",
                "tool count(what: string) -> int(0..) = python \"shop:count\"\n"
                "gen g() -> int {\n  let n = run count(\"lamps\")\n  return n\n}\n"
                "test \"t\" {\n  mock { count: -1 }\n  expect g() == 0\n}\n",
                "tool count(what: string) -> int(0..) = python \"shop:count\"\n"
                "gen g() -> int {\n  retry 1 {\n    let n = run count(\"lamps\")\n  } else {\n"
                "    return 0\n  }\n  return n\n}\n"
                "test \"t\" {\n  mock { count: -1 }\n  expect g() == 0\n}\n",
                SaidBy::kTest},
    Explanation{"E0703",
                "While the program ran, a value was asked for that does not exist: an index "
                "past a list's end, a division by zero, the largest of nothing.",
                "gen g(xs: int[]) -> int {\n  return xs[0]\n}\n"
                "test \"t\" {\n  expect g([]) == 0\n}\n",
                "gen g(xs: int[]) -> int {\n  return if len(xs) > 0 { xs[0] } else { 0 }\n}\n"
                "test \"t\" {\n  expect g([]) == 0\n}\n",
                SaidBy::kTest},
    Explanation{
        "E0704",
        "While the program ran, the model's side or a limit ended it: a prompt that "
        "does not fit the context, a budget below a hole's shortest value, a deadline, "
        "a stop.",
        "gen g(n: int) -> int {\n  let all = fork n {\n    assistant \"$[x: int]\"\n"
        "    yield x\n  }\n  return len(all)\n}\n"
        "test \"t\" {\n  mock { x: 1 }\n  expect g(5000) == 5000\n}\n",
        "gen g(n: int(0..100)) -> int {\n  let all = fork n {\n    assistant \"$[x: int]\"\n"
        "    yield x\n  }\n  return len(all)\n}\n"
        "test \"t\" {\n  mock { x: 1 }\n  expect g(50) == 50\n}\n",
        SaidBy::kTest},
    Explanation{"E0705", "An `expect` of a test did not hold.",
                "test \"t\" {\n  expect 1 + 1 == 3\n}\n", "test \"t\" {\n  expect 1 + 1 == 2\n}\n",
                SaidBy::kTest},
    Explanation{"W0601", "Nothing leads here: what stands before always leaves.",
                "gen g() -> int {\n  return 1\n  user \"Bye\"\n}\n",
                "gen g() -> int {\n  user \"Bye\"\n  return 1\n}\n"},
    Explanation{"W0602", "The name is never used.",
                "gen g() -> int {\n  let n = 2\n  return 1\n}\n",
                "gen g() -> int {\n  let n = 2\n  return n\n}\n"},
    Explanation{
        "W0603",
        "What is inserted changes with every call, so the constant text behind it is never "
        "found in the tree and is computed each time. Put it below the constant text.",
        "gen g(date: string) -> line {\n  system \"Today is ${date}. You answer in one short line, "
        "the shorter the better, and you never invent what is not in the text. You answer in one "
        "short line, the shorter the better, and you never invent what is not in the text. You "
        "answer in one short line, the shorter the better, and you never invent what is not in the "
        "text. You answer in one short line, the shorter the better, and you never invent what is "
        "not in the text. You answer in one short line, the shorter the better, and you never "
        "invent what is not in the text.\"\n  assistant \"$[x: line]\"\n  return x\n}\n",
        "gen g(date: string) -> line {\n  system \"You answer in one short line, the shorter the "
        "better, and you never invent what is not in the text. You answer in one short line, the "
        "shorter the better, and you never invent what is not in the text. You answer in one short "
        "line, the shorter the better, and you never invent what is not in the text. You answer in "
        "one short line, the shorter the better, and you never invent what is not in the text. You "
        "answer in one short line, the shorter the better, and you never invent what is not in the "
        "text.\\nToday is ${date}.\"\n  assistant \"$[x: line]\"\n  return x\n}\n"},
    Explanation{"W0604", "The statement has no effect: what it gives is not used.",
                "gen g(xs: int[]) {\n  for x in xs { let _y = x }\n}\n",
                "gen g(xs: int[]) {\n  for x in xs { user \"${x}\" }\n}\n"},
    Explanation{"W0605",
                "The model writes fields in order: an answer before its reasoning is not "
                "based on it.",
                "record R { answer: string, reasoning: string }\n",
                "record R { reasoning: string, answer: string }\n"},
    Explanation{"W0606",
                "The text behind a hole ends it where it first occurs, so a value that holds that "
                "text cannot be written: before a full stop a `float` is a whole number.",
                "gen g() -> float {\n  assistant \"$[x: float].\"\n  return x\n}\n",
                "gen g() -> float {\n  assistant \"$[x: float] m.\"\n  return x\n}\n"},
    Explanation{
        "W0607",
        "A fresh name in the last arm takes whatever is left. This one is near the name of "
        "a case that no arm takes, so it is most likely that case, misspelt; else another "
        "name says what is meant, such as `other`.",
        "enum V { yes, no, never }\ngen g(v: V) -> int {\n  match v {\n    yes => return 1\n"
        "    nevr => return 0\n  }\n}\n",
        "enum V { yes, no, never }\ngen g(v: V) -> int {\n  match v {\n    yes => return 1\n"
        "    other => return 0\n  }\n}\n"},
};

}  // namespace

std::span<const Explanation> explanations() { return kExplanations; }

ReadFile example_files(const Explanation& explanation) {
  return [&explanation](const std::string& path) -> Result<std::string> {
    if (path == "wrong.gen") return std::string(explanation.wrong);
    for (const ExampleFile& file : explanation.files)
      if (file.name == path) return std::string(file.text);
    return fail(ErrorCode::kNotFound, "cannot open '" + path + "': No such file or directory");
  };
}

const Explanation* explanation(std::string_view code) {
  std::string wanted(code);
  for (char& c : wanted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const bool digits = !wanted.empty() && std::all_of(wanted.begin(), wanted.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  if (digits) wanted.insert(0, std::max<std::size_t>(4, wanted.size()) - wanted.size(), '0');
  const auto found =
      std::find_if(kExplanations.begin(), kExplanations.end(), [&](const Explanation& one) {
        return one.code == wanted || (digits && one.code.substr(1) == wanted);
      });
  return found == kExplanations.end() ? nullptr : &*found;
}

}  // namespace espalier::dsl
