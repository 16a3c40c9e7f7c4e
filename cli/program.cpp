#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <ostream>
#include <system_error>
#include <utility>

#include "cli/help.h"
#include "cli/suggest.h"

namespace espalier::cli {
namespace {

constexpr std::string_view kVersion = "0.1.0";

constexpr std::string_view kBare =
    R"(Espalier runs programs written in a small generation language on a local model:
typed values instead of text, and every common prompt prefix computed once.

  Run a program; its result is JSON on stdout:
    espalier run examples/agent/shop.gen --arg question="What do two lamps cost?"

  Extract a typed record from every document of a folder:
    espalier batch examples/extract/letters.gen --in 'examples/extract/documents/*.txt' --out letters.jsonl

  Complete a raw prompt, with the answer's type held:
    espalier complete --prompt "The year of the moon landing: " --type 'int(1900..2000)'

All verbs: espalier --help        One verb: espalier run --help
)";

constexpr std::string_view kExitCodes =
    R"(Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 the work failed or
found errors; 2 the command line is wrong; 130 stopped by Ctrl-C, 143 by SIGTERM.
)";

std::string help() {
  std::string text = "usage: espalier VERB [OPTION...]\n\n";
  std::size_t width = 0;
  for (const Verb& verb : verbs()) {
    width = std::max(width, verb.name.size() + 1 + verb.arguments.size());
  }
  for (const Verb& verb : verbs()) {
    std::string head = std::string(verb.name) + " " + std::string(verb.arguments);
    head.resize(width, ' ');
    text += "  " + head + "  " + std::string(verb.summary) + "\n";
  }
  text += "\n  espalier VERB --help    what a verb takes, with examples\n";
  text += "  espalier --version\n\n";
  text += kExitCodes;
  return text;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// There is one short flag, -h: what begins with another's letter is what was meant.
std::string long_names_of(char letter, const CLI::App& app) {
  std::string hint;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (name.front() == letter) hint += (hint.empty() ? "" : " or ") + ("'--" + name + "'");
  return hint.empty() ? hint : "; did you mean " + hint + "?";
}

// What was typed although the verb knows no such flag, or takes no further
// argument.
std::string describe_extras(const CLI::App& app, std::string_view verb) {
  const std::vector<std::string> extras = app.remaining();
  const auto flag = std::find_if(extras.begin(), extras.end(), [](const std::string& word) {
    return word.size() > 1 && word[0] == '-';
  });
  const bool runs = verb == "run" || verb == "batch" || verb == "render";
  if (flag == extras.end()) {
    return "unexpected argument '" + extras.front() + "'" +
           (runs ? "; a generator is named as FILE:GEN, an argument given as --arg NAME=VALUE"
                 : "");
  }
  const std::string name = flag->substr(0, flag->find('='));
  std::string hint =
      name.size() == 2 ? long_names_of(name[1], app) : did_you_mean(name, option_names(app));
  if (hint.empty() && runs && name.starts_with("--") && name.size() > 2) {
    hint = "; arguments of the program are given as --arg " + name.substr(2) + "=VALUE";
  }
  return "unknown flag '" + name + "'" + hint;
}

int run_verb(const Verb& verb, std::vector<std::string> arguments, Context& context) {
  const auto command = verb.make();
  CLI::App app(std::string(verb.summary), "espalier " + std::string(verb.name));
  app.allow_extras();  // reported by us
  app.set_help_flag("-h,--help", "This text");
  command->declare(app);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    context.console.out() << verb_help(verb, app);
    return kDone;
  } catch (const CLI::ParseError& error) {
    // An unknown flag is the likelier cause of a value or argument that seems
    // to be missing.
    if (!app.remaining().empty())
      return usage_error(context, verb.name, describe_extras(app, verb.name));
    return usage_error(context, verb.name, error.what());
  }
  if (!app.remaining().empty())
    return usage_error(context, verb.name, describe_extras(app, verb.name));

  const Result<int> code = command->run(context);
  if (code) return *code;
  if (context.interrupt.requested() && code.error().code == ErrorCode::kCancelled) {
    context.console.error("stopped");
    return context.interrupt.exit_code();
  }
  context.console.error(code.error().message);
  return kFailed;
}

int run_first(std::vector<std::string> arguments, Context& context) {
  if (arguments.empty()) {
    context.console.out() << kBare;
    return kDone;
  }
  const std::string first = arguments.front();
  if (first == "--help" || first == "-h" || (first == "help" && arguments.size() == 1)) {
    context.console.out() << help();
    return kDone;
  }
  if (first == "--version") {
    context.console.out() << "espalier " << kVersion << '\n';
    return kDone;
  }
  if (first == "help") {  // help VERB
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  // A verb of two words goes before one of its first word alone.
  const std::string pair = arguments.size() > 1 ? arguments[0] + " " + arguments[1] : "";
  std::vector<std::string> names;
  const Verb* found = nullptr;
  for (const Verb& verb : verbs()) {
    if (verb.name == pair || (found == nullptr && verb.name == arguments.front())) found = &verb;
    names.emplace_back(verb.name);
  }
  if (found != nullptr) {
    arguments.erase(arguments.begin(), arguments.begin() + (found->name == pair ? 2 : 1));
    return run_verb(*found, std::move(arguments), context);
  }
  const std::string word = arguments.front();
  if (word.find(".gen") != std::string::npos) {
    return usage_error(context, {}, "which verb? To run a program: espalier run " + word);
  }
  names.emplace_back("help");  // no verb of its own, but a word that is typed as one
  const std::string_view kind = word.starts_with('-') ? "flag" : "verb";
  return usage_error(
      context, {}, "unknown " + std::string(kind) + " '" + word + "'" + did_you_mean(word, names));
}

}  // namespace

int usage_error(Context& context, std::string_view verb, std::string_view message) {
  context.console.error(message);
  const std::string head = verb.empty() ? "espalier" : "espalier " + std::string(verb);
  context.console.note("See: " + head + " --help");
  return kUsage;
}

Result<int> usage_failure(Context& context, std::string_view verb, const Error& error) {
  if (error.code == ErrorCode::kCancelled) return fail(error);
  return usage_error(context, verb, error.message);
}

int run_program(std::vector<std::string> arguments, Context& context) {
  int code = kFailed;
  try {
    code = run_first(std::move(arguments), context);
  } catch (const std::bad_alloc&) {
    context.console.error("out of memory");
  } catch (const std::system_error& error) {  // of a thread; all else is a Result
    context.console.error(std::string("the system refuses another thread: ") + error.what());
  } catch (const std::exception& error) {
    context.console.error(std::string("internal: ") + error.what());
  }
  if (const auto status = context.console.finish(); !status && code == kDone) {
    context.console.error(status.error().message);
    code = kFailed;
  }
  return code;
}

}  // namespace espalier::cli
