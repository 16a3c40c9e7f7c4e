// Limits, hostile templates, and what Python's jinja2 cannot be asked about: origins, spans,
// errors' places. That texts are byte-equal to jinja2's is tests/python/test_jinja_*.py's to show.
#include "runtime/jinja/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "runtime/jinja/strings.h"
#include "tests/support/small_stack.h"

namespace espalier::runtime::jinja {
namespace {

using espalier::testing::on_a_small_stack;
using ::testing::ElementsAre;
using ::testing::Pair;

Result<Rendered> render(std::string_view source, const Json& variables = Json::object(),
                        const RenderOptions& options = {}) {
  ESP_ASSIGN(const auto compiled, Template::compile(source));
  Arena arena(options.limits.memory_bytes);
  ESP_ASSIGN(const Value values, from_json(arena, variables, 1));
  return compiled->render(arena, *values.dict, options);
}

std::string text(std::string_view source, const Json& variables = Json::object()) {
  const auto rendered = render(source, variables);
  EXPECT_TRUE(rendered) << source << ": " << rendered.error().message;
  return rendered ? rendered->text.bytes : "";
}

Error error(std::string_view source, const Json& variables = Json::object(),
            const RenderOptions& options = {}) {
  const auto rendered = render(source, variables, options);
  EXPECT_FALSE(rendered) << source.substr(0, 200);
  return rendered ? Error{ErrorCode::kInternal, "no error"} : rendered.error();
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string out;
  out.reserve(part.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

// --- Errors
// --------------------------------------------------------------------------------------------

TEST(Errors, NameTheLineAndTheConstruct) {
  EXPECT_EQ(error("a\n{{ x.y.z }}").message, "line 2: 'x' is undefined");
  EXPECT_EQ(error("\n\n{% include 'x' %}").message, "line 3: {% include %} is not supported");
  EXPECT_EQ(error("{{ 'a' |\n pprint }}").message, "line 2: the filter 'pprint' is not supported");
  EXPECT_EQ(error("{{ 'a'.encode() }}").message,
            "line 1: the attribute 'encode' of a str is not supported");
  EXPECT_EQ(error("{% if true %}\n{{ 'a' | nope }}{% endif %}").message,
            "line 2: there is no filter 'nope'");
  EXPECT_EQ(error("{{ raise_exception('roles ' ~ 1) }}").message, "line 1: roles 1");
  EXPECT_EQ(error("{% if x %}").message,
            "line 1: the template ends where elif or else or endif is missing");
  for (const char* unsupported :
       {"{% block a %}{% endblock %}", "{% extends 'a' %}", "{% import 'a' as b %}",
        "{% from 'a' import b %}", "{% autoescape true %}{% endautoescape %}", "{{ lipsum() }}",
        "{{ [1] | random }}"}) {
    EXPECT_EQ(error(unsupported).code, ErrorCode::kUnsupported) << unsupported;
  }
}

TEST(Errors, OfUnreachedPartsAreNone) {
  EXPECT_EQ(text("{% if false %}{{ x.y | nope }}{% endif %}a"), "a");
}

TEST(Errors, OfASourceThatIsNoUtf8NameTheByte) {
  EXPECT_EQ(error("ab\xff").message, "the template is not UTF-8 at byte 2");
  EXPECT_EQ(error("{{ '\xed\xa0\x80' }}").code, ErrorCode::kInvalid);
  EXPECT_EQ(error(std::string(kMaxSourceBytes + 1, 'a')).code, ErrorCode::kLimit);
}

// --- Origins
// ---------------------------------------------------------------------------------------------

TEST(Origins, FollowEachByte) {
  const auto rendered =
      render("<{{ x | trim | upper }}>{{ x[2] ~ '!' ~ x | tojson }}", {{"x", " a\"b "}});
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->text.bytes, "<A\"B>\"!\" a\\\"b \"");
  std::string marks;  // T: the template's, D: data
  std::size_t begin = 0;
  for (const jinja::Run& run : rendered->text.runs) {
    marks += std::string(run.end - begin, run.origin == kTemplate ? 'T' : 'D');
    begin = run.end;
  }
  EXPECT_EQ(marks, "TDDDTDTTDDDDDDT");
}

TEST(Origins, OfInvalidUtf8GoThroughAsTheyAre) {
  const std::string odd = "a\xff\xc3 \xf0\x9f";
  const auto compiled = Template::compile(
      "{{ x }}|{{ x | length }}|{{ x[1] }}|{{ x | trim | replace('a', '') }}|{{ x | upper }}");
  ASSERT_TRUE(compiled);
  Arena arena(1 << 20);
  const auto* variables =
      make_dict(arena, {{Value::of(make_str(arena, "x", 1)), Value::of(make_str(arena, odd, 1))}});
  const auto rendered = (*compiled)->render(arena, *variables);
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->text.bytes, odd + "|6|\xff|" + odd.substr(1) + "|A" + odd.substr(1));
}

TEST(Generation, BlocksGiveTheirBytes) {
  const auto rendered =
      render("ab{% generation %}cd{% endgeneration %}e{% generation %}f{% endgeneration %}");
  ASSERT_TRUE(rendered);
  EXPECT_THAT(rendered->generation, ElementsAre(Pair(2, 4), Pair(5, 6)));
}

TEST(Rendering, OfOneTemplateIsTheSameEachTime) {
  const auto compiled = Template::compile(
      "{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n "
      "}}");
  ASSERT_TRUE(compiled);
  for (int i = 0; i < 3; ++i) {
    Arena arena(1 << 20);
    const auto values = from_json(arena, {{"xs", {1, 2, 3}}}, 1);
    EXPECT_EQ((*compiled)->render(arena, *values->dict)->text.bytes, "6");
  }
}

// --- Limits
// ----------------------------------------------------------------------------------------------

TEST(Limits, StopLoopsThatDoNotEnd) {
  const std::string nested =
      repeated("{% for a in range(100000) %}", 4) + "x" + repeated("{% endfor %}", 4);
  const auto steps = error(nested);
  EXPECT_EQ(steps.code, ErrorCode::kLimit);
  EXPECT_EQ(steps.message, "line 1: more than 20000000 steps");
  EXPECT_EQ(error("{{ range(100001) | list }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").message,
            "line 1: nested deeper than 250");
  EXPECT_EQ(error("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}").code,
            ErrorCode::kLimit);
  EXPECT_EQ(error("{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() "
                  "}}{% endmacro %}{{ a() }}")
                .code,
            ErrorCode::kLimit);
}

TEST(Limits, FailAtTheSameStepEachTime) {
  const std::string source =
      "{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}";
  RenderOptions options;
  options.limits.steps = 1000;
  EXPECT_EQ(error(source, Json::object(), options).message, "line 1: more than 1000 steps");
  // What a template needs is the same number each time, and a step less is too little.
  const auto needed = [&](int rounds) {
    const std::string loop =
        "{% for a in range(" + std::to_string(rounds) + ") %}{{ a * 2 }}{% endfor %}";
    std::uint64_t low = 0, high = 100'000;
    while (low + 1 < high) {
      options.limits.steps = (low + high) / 2;
      (render(loop, Json::object(), options) ? high : low) = options.limits.steps;
    }
    return high;
  };
  EXPECT_EQ(needed(50), needed(50));
  EXPECT_LT(needed(50), needed(51));
  EXPECT_LE(needed(100), 2 * needed(50));
}

TEST(Limits, StopTextThatDoubles) {
  std::string doubling =
      "{% set x = 'aaaaaaaa' %}" + repeated("{% set x = x ~ x %}", 60) + "{{ x | length }}";
  EXPECT_EQ(error(doubling).message, "line 1: more than 268435456 bytes of values");
  EXPECT_EQ(error("{{ 'a' * 9999999999 }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ [0] * 9223372036854775807 }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ 'a'.center(9223372036854775807) }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ '%999999999999d' % 1 }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ 'a'.zfill(99999999999) }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ 'a\\nb' | indent(9999999999) }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ [1] | tojson(indent=9999999999) }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{% set x = 'ab' * 20000 %}{{ x.replace('', x) }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{% set x = ['a' * 10000] * 100000 %}{{ x | join }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{% set x = ['a' * 10000] * 100000 %}{{ x | tojson }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{% set x = ['a' * 10000] * 100000 %}{{ x }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ 2 ** 64 }}").message, "line 1: an integer has more than 63 bits");
  EXPECT_EQ(error("{{ 9223372036854775807 + 1 }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ -9223372036854775807 - 2 }}").code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ 9223372036854775808 }}").code, ErrorCode::kLimit);
}

TEST(Limits, StopOutput) {
  RenderOptions options;
  options.limits.output_bytes = 1000;
  EXPECT_EQ(error("{% for i in range(2000) %}x{% endfor %}", Json::object(), options).message,
            "line 1: more than 1000 bytes of output");
}

TEST(Limits, StopValuesThatHoldThemselvesDeeper) {
  const std::string deep =
      "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}";
  const std::string dicts =
      "{% set ns = namespace(x={}) %}{% for i in range(5000) %}{% set ns.x = {'a': ns.x} %}{% "
      "endfor %}";
  const std::string tuples =
      "{% set ns = namespace(x=()) %}{% for i in range(5000) %}{% set ns.x = (ns.x,) %}{% endfor "
      "%}";
  on_a_small_stack([&] {
    for (const std::string& build : {deep, dicts, tuples}) {
      EXPECT_EQ(error(build + "{{ ns.x }}").code, ErrorCode::kLimit);
      EXPECT_EQ(error(build + "{{ ns.x | tojson }}").code, ErrorCode::kLimit);
      EXPECT_EQ(error(build + "{{ {ns.x: 1} }}").code, ErrorCode::kInvalid);
    }
    EXPECT_EQ(error(deep + "{% set a = ns.x %}{% set ns.x = [] %}{% for i in range(5000) %}{% set "
                           "ns.x = [ns.x] %}{% endfor %}{{ a == ns.x }}")
                  .code,
              ErrorCode::kLimit);
  });
}

TEST(Limits, RefuseInputThatIsNestedTooDeep) {
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({std::move(deep)});
  EXPECT_EQ(error("{{ x }}", {{"x", deep}}).code, ErrorCode::kLimit);
  EXPECT_EQ(error("{{ x }}", {{"x", 18446744073709551615ULL}}).code, ErrorCode::kLimit);
}

// --- Nesting of a million, on a small stack
// --------------------------------------------------------------

TEST(Nesting, OfAMillionIsRefusedOnASmallStack) {
  constexpr std::size_t kDeep = 300'000;
  const std::string sources[] = {
      "{{ " + repeated("(", kDeep),
      "{{ " + repeated("[", kDeep),
      "{{ " + repeated("{1:", kDeep),
      "{{ " + repeated("(", kDeep) + "1" + repeated(")", kDeep) + " }}",
      "{{ " + repeated("not ", kDeep / 2) + "1 }}",
      "{{ " + repeated("-", kDeep) + "1 }}",
      "{{ " + repeated("1 if ", kDeep / 2) + "1 }}",
      "{{ 1 " + repeated("if 1 else 1 ", kDeep / 8) + " }}",
      "{{ a" + repeated(".b", kDeep) + " }}",
      "{{ a" + repeated("[0]", kDeep) + " }}",
      "{{ a" + repeated("()", kDeep) + " }}",
      "{{ a" + repeated("|e", kDeep) + " }}",
      "{{ a" + repeated("(a", kDeep) + " }}",
      "{{ a" + repeated("|d(a", kDeep / 2) + " }}",
      "{{ 1" + repeated("+1", kDeep) + " }}",
      "{{ 1" + repeated("**1", kDeep) + " }}",
      "{{ 1" + repeated(" and 1", kDeep / 4) + " }}",
      "{{ a" + repeated(" is odd", kDeep / 4) + " }}",
      repeated("{% if a %}", kDeep / 4),
      repeated("{% for a in b %}", kDeep / 8),
      repeated("{% set a %}", kDeep / 8),
      repeated("{% filter e %}", kDeep / 8),
      repeated("{% macro a() %}", kDeep / 8),
      repeated("{% with %}", kDeep / 8),
      repeated("{% generation %}", kDeep / 8),
      repeated("{% call a() %}", kDeep / 8),
      "{% set " + repeated("(", kDeep) + " %}",
      "{% for " + repeated("(", kDeep) + " %}",
      "{% set x | " + repeated("e|", kDeep) + "e %}a{% endset %}",
  };
  on_a_small_stack([&] {
    for (const std::string& source : sources) {
      const auto got = error(source);
      EXPECT_TRUE(got.code == ErrorCode::kLimit || got.code == ErrorCode::kInvalid)
          << source.substr(0, 40) << ": " << got.message;
    }
  });
  // Wide is not deep.
  EXPECT_EQ(text("{{ 1" + repeated(" ~ 1", 50'000) + " }}").size(), 50'001u);
  EXPECT_EQ(text("{{ [" + repeated("1,", 50'000) + "] | length }}"), "50000");
  EXPECT_EQ(text(repeated("{% if x %}{% endif %}{{ 1 }}", 10'000)).size(), 10'000u);
  EXPECT_EQ(text("{% if x %}" + repeated("{% elif x %}", 10'000) + "{% else %}a{% endif %}"), "a");
}

TEST(Nesting, ThatIsAllowedRendersOnASmallStack) {
  on_a_small_stack([&] {
    EXPECT_EQ(text("{{ " + repeated("(", 40) + "1" + repeated(")", 40) + " }}"), "1");
    EXPECT_EQ(text("{{ " + repeated("[", 40) + repeated("]", 40) + " | length }}"), "1");
    EXPECT_EQ(text(repeated("{% if true %}", 90) + "x" + repeated("{% endif %}", 90)), "x");
    EXPECT_EQ(text("{{ 1" + repeated("+1", 190) + " }}"), "191");
    EXPECT_EQ(text("{% macro m(n) %}{% if n > 0 %}{% for x in [n] %}{{ m(n - 1) }}{% endfor %}{% "
                   "endif %}.{% endmacro %}{{ m(25) }}")
                  .size(),
              26u);
    EXPECT_EQ(error("{% macro m(n) %}{% for x in [1] %}{% if n %}{{ [[(m(n))]] }}{% endif %}{% "
                    "endfor %}{% endmacro %}{{ m(1) }}")
                  .code,
              ErrorCode::kLimit);
    EXPECT_EQ(error("{% macro m(n) %}{{ m(n) | upper | trim | replace('a', m(n)) ~ {'a': m(n)} "
                    "}}{% endmacro %}{{ m(1) }}")
                  .code,
              ErrorCode::kLimit);
    EXPECT_EQ(
        error("{% macro m() %}{% call m() %}{% set x %}{% filter upper %}{{ caller() }}{{ m() }}{% "
              "endfilter %}{% endset %}{% endcall %}{{ caller() }}{{ m() }}{% endmacro %}{{ m() }}")
            .code,
        ErrorCode::kLimit);
  });
}

// --- Probing for a host
// ------------------------------------------------------------------------------------

TEST(Sandbox, HasNothingToFind) {
  const char* const probes[] = {
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      "{{ ''['__class__']['__mro__'] }}",
      "{{ (''|attr('__class__'))|attr('__mro__') | list }}",
      "{{ [].__class__.__base__.__subclasses__() }}",
      "{{ {}.__class__.__bases__[0] }}",
      "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
      "{{ joiner.__init__.__globals__.os }}",
      "{{ namespace.__init__.__globals__ }}",
      "{{ lipsum.__globals__['os'].popen('id').read() }}",
      "{{ lipsum() }}",
      "{{ self.__init__.__globals__.__builtins__ }}",
      "{{ self._TemplateReference__context.cycler.__init__.__globals__.os }}",
      "{{ request.application.__globals__ }}",
      "{{ config.items() }}",
      "{{ get_flashed_messages.__globals__ }}",
      "{{ url_for.__globals__ }}",
      "{{ range.__init__.__globals__ }}",
      "{{ dict.__init__.__globals__['x'] }}",
      "{{ ''.format.__globals__['os'] }}",
      "{{ '{0.__class__.__mro__}'.format('') }}",
      "{{ '%s' | format(''.__class__.__mro__) }}",
      "{{ raise_exception.__globals__['x'] }}",
      "{{ strftime_now.__globals__['x'] }}",
      "{{ loop.__init__.__globals__ }}",
      "{% for x in [1] %}{{ loop.__class__.__init__.__globals__ }}{% endfor %}",
      "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
      "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}",
      "{{ namespace(__class__=1) }}",
      "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
      "{{ messages.append('x') }}",
      "{{ x.update({'a': 1}) }}",
      "{{ x.pop('a') }}",
      "{{ messages.sort() }}",
      "{{ [1].__len__() }}",
      "{{ (1).__class__.from_bytes }}",
      "{{ ''.join.__self__.__class__ }}",
      "{{ x.items.__self__.a }}",
      "{{ 'a'.__add__('b') }}",
      "{{ {}.fromkeys('a') }}",
      "{{ ''.maketrans('a', 'b') }}",
      "{{ 'a'.encode('utf-8') }}",
      "{{ messages.__getitem__(0) }}",
      "{{ x | map('__class__') | list }}",
      "{{ [''] | map(attribute='__class__.__mro__') | list }}",
      "{{ [''] | selectattr('__class__.__mro__') | list }}",
      "{{ [''] | sort(attribute='__class__.__x__') }}",
      "{{ import_module('os') }}",
      "{{ open('/etc/passwd').read() }}",
      "{{ eval('1') }}",
      "{% include '/etc/passwd' %}",
      "{% import 'os' as os %}",
      "{% extends '/etc/passwd' %}",
  };
  for (const char* probe : probes) {
    const auto got = error(probe, {{"messages", {"a"}}, {"x", {{"a", 1}}}});
    EXPECT_TRUE(got.code == ErrorCode::kInvalid || got.code == ErrorCode::kUnsupported)
        << probe << ": " << got.message;
  }
  // What reads a private name without using it sees nothing.
  EXPECT_EQ(text("{{ ''.__class__ }}{{ x.__init__ }}{{ messages['__doc__'] }}",
                 {{"messages", {"a"}}, {"x", Json::object()}}),
            "");
}

TEST(Clock, IsTheOneThatWasGiven) {
  RenderOptions options;
  options.now = std::chrono::sys_days{std::chrono::year{2024} / 2 / 29} + std::chrono::hours{13};
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y %H:%M %p') }}", Json::object(), options)->text.bytes,
            "29 Feb 2024 13:00 PM");
}

}  // namespace
}  // namespace espalier::runtime::jinja
