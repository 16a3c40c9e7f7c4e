// espalier grammar: what a type, schema, pattern or grammar lets a text be; no model runs.
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/shape.h"
#include "grammar/byte_set.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

constexpr std::uint32_t kFarBudget = 1u
                                     << 20;  // tokens: what the budget forbids is not the question
constexpr std::size_t kShownTokens = 20;

// A byte a token, so that texts can be followed whatever the model's tokens are.
grammar::VocabularyRef bytes_as_tokens() {
  grammar::Vocabulary::Spec spec;
  for (unsigned b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = 256;
  spec.bytes.emplace_back();
  return *grammar::Vocabulary::create(std::move(spec));  // nothing in it can be wrong
}

std::string byte_name(unsigned byte) {
  if (byte > ' ' && byte < 0x7F) return std::string(1, static_cast<char>(byte));
  if (byte == ' ') return "space";
  if (byte == '\n') return "\\n";
  if (byte == '\t') return "\\t";
  if (byte == '\r') return "\\r";
  char out[8];
  std::snprintf(out, sizeof out, "\\x%02X", byte);
  return out;
}

// "0-9 , space": runs of three bytes and more as ranges.
std::string bytes_named(const grammar::Mask& mask) {
  std::string out;
  for (unsigned from = 0; from < 256; ++from) {
    if (!mask.allows(static_cast<TokenId>(from))) continue;
    unsigned to = from;
    while (to < 255 && mask.allows(static_cast<TokenId>(to + 1))) ++to;
    if (!out.empty()) out += ' ';
    out += byte_name(from);
    if (to == from + 1) out += " " + byte_name(to);
    if (to > from + 1) out += "-" + byte_name(to);
    from = to;
  }
  return out;
}

// How a text fares, a byte at a time.
struct Verdict {
  bool accepted = false;
  bool refused = false;    // else it is the beginning of a text
  std::size_t offset = 0;  // of the byte that was refused, or the text's end
  std::string expected;
  bool may_end = false;  // at `offset` the text would have been complete
};

Verdict follow(const grammar::GrammarRef& bytes, std::string_view text) {
  grammar::Matcher at = bytes->start();
  Verdict verdict;
  for (const char c : text) {
    if (!at.advance(static_cast<unsigned char>(c))) {
      verdict.refused = true;
      break;
    }
    ++verdict.offset;
  }
  verdict.may_end = at.accepting();
  verdict.accepted = !verdict.refused && verdict.may_end;
  verdict.expected = bytes_named(*at.mask(kFarBudget));
  return verdict;
}

class GrammarVerb final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("TYPE", type_, "A type of the language: 'int(0..9)'")->type_name("");
    shape_.declare(app, "The text");
    add_text(app, "--accepts", accepts_, "TEXT",
             "Whether the text is accepted; exit 1 and where it is refused if not");
    add_text(app, "--after", after_, "TEXT", "The tokens that may follow this beginning of a text");
    add_integer(app, "--show", show_, 0, 1 << 24,
                "Show at most so many of those tokens [" + std::to_string(kShownTokens) + "]");
    model_.declare(app, false);
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Result<int> run(Context& context) override {
    const auto usage = [&](std::string_view message) {
      return usage_error(context, "grammar", message);
    };
    const int shapes = shape_.count() + (type_ ? 1 : 0);
    if (shapes != 1) {
      return usage(shapes == 0
                       ? "there is no grammar: give a TYPE, --schema, --regex, --gbnf or --lark"
                       : "give one of TYPE, --schema, --regex, --gbnf, --lark and --type");
    }
    if (type_) shape_.set_type(*type_);
    auto shape = shape_.read(context);
    if (!shape) {
      if (shape.error().code == ErrorCode::kInvalid && shape_.written())
        return usage(shape.error().message);
      return fail(std::move(shape).error());
    }
    ESP_ASSIGN(const auto model, load_model(model_, context));
    const runtime::Tokenizer& tokenizer = *model->tokenizer();
    int code = kDone;
    Json out = Json::object();
    if (shape->kind == Shape::Kind::kSchema) ESP_TRY(tell_keywords(*shape, out, context));
    using Clock = std::chrono::steady_clock;
    const auto begun = Clock::now();
    auto made = shape->compile(tokenizer.vocabulary());
    if (!made) {
      if (json_ && out.contains("keywords")) context.console.print_json(out);
      return fail(std::move(made).error());
    }
    const grammar::ContextFreeGrammar compiled = std::move(*made);
    const double milliseconds =
        std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
    for (const std::string& rule : compiled.report.unproductive) {
      context.console.warn("no text of rule `" + rule + "` ever ends; what uses it is left out");
    }
    for (const std::string& rule : compiled.report.unreachable) {
      context.console.warn("rule `" + rule + "` is never used");
    }
    out["compile_ms"] = milliseconds;
    describe(*compiled.grammar, compiled.report, tokenizer, out, context);
    if (accepts_ || after_) {
      ESP_ASSIGN(const grammar::ContextFreeGrammar bytes, shape->compile(bytes_as_tokens()));
      if (accepts_) {
        const Verdict verdict = follow(bytes.grammar, *accepts_);
        tell(verdict, *accepts_, "accepts", out, context);
        if (!verdict.accepted) code = kFailed;
      }
      if (after_) {
        const Verdict verdict = follow(bytes.grammar, *after_);
        if (verdict.refused) {
          tell(verdict, *after_, "after", out, context);
          code = kFailed;
        } else {
          ESP_TRY(tell_mask(compiled.grammar, tokenizer, out, context));
        }
      }
    }
    if (json_) context.console.print_json(out);
    return code;
  }

 private:
  // What becomes of a schema's keywords: all as JSON, else how many and those not enforced.
  Status tell_keywords(const Shape& shape, Json& out, Context& context) const {
    ESP_ASSIGN(const Json schema, read_json_exactly(shape.text));
    auto outcomes = grammar::schema_outcomes(schema, shape.schema_options);
    if (!outcomes) return fail(std::move(outcomes).error().within(shape.label));
    out["keywords"] = Json::array();
    std::size_t enforced = 0;
    for (const grammar::KeywordOutcome& o : *outcomes) {
      const std::string outcome(name(o.kind));
      out["keywords"].push_back(
          {{"pointer", o.pointer}, {"outcome", outcome}, {"reason", o.reason}});
      enforced += o.kind == grammar::KeywordOutcome::Kind::kEnforced ? 1 : 0;
      if (json_ || o.kind == grammar::KeywordOutcome::Kind::kEnforced) continue;
      context.console.print_text(outcome + "\t" + o.pointer + "\t" + o.reason);
    }
    if (!json_) {
      context.console.print_text("enforced\t" + std::to_string(enforced) + " of " +
                                 std::to_string(outcomes->size()) + " keywords");
    }
    return {};
  }

  void describe(const grammar::Grammar& compiled, const grammar::ContextFreeReport& report,
                const runtime::Tokenizer& tokenizer, Json& out, Context& context) const {
    const grammar::GrammarSize size = compiled.size();
    out["expressions"] = size.expressions;
    out["rules"] = size.rules;
    out["least_tokens"] = compiled.least_tokens();
    out["prefix_free"] = compiled.prefix_free();
    out["vocabulary"] = tokenizer.size();
    out["unreachable"] = report.unreachable;
    out["unproductive"] = report.unproductive;
    if (json_) return;
    char time[48];
    std::snprintf(time, sizeof time, "%.3f ms", out["compile_ms"].get<double>());
    context.console.print_text(
        std::string("compiled in ") + time + ": " + std::to_string(size.expressions) +
        " expressions, " + std::to_string(size.rules) + " rules; the shortest text takes " +
        std::to_string(compiled.least_tokens()) + " of " + std::to_string(tokenizer.size()) +
        " tokens" + (compiled.prefix_free() ? ", and no text begins another" : ""));
  }

  void tell(const Verdict& verdict, const std::string& text, const char* key, Json& out,
            Context& context) const {
    const char* const word = verdict.accepted  ? "accepted"
                             : verdict.refused ? "refused"
                                               : "unfinished";
    out[key] = {{"verdict", word},
                {"offset", verdict.offset},
                {"may_end", verdict.may_end},
                {"expected", verdict.expected}};
    if (json_) return;
    std::string line = word;
    if (verdict.refused) {
      line += " at byte " + std::to_string(verdict.offset) + " (" +
              byte_name(static_cast<unsigned char>(text[verdict.offset])) + ")";
    }
    if (!verdict.accepted) {
      std::string wanted = verdict.expected;
      if (verdict.may_end) wanted += wanted.empty() ? "the end" : ", or the end";
      line += ": expected " + wanted;
    }
    context.console.print_text(line);
  }

  Status tell_mask(const grammar::GrammarRef& compiled, const runtime::Tokenizer& tokenizer,
                   Json& out, Context& context) const {
    grammar::Matcher at = compiled->start();
    ESP_ASSIGN(const auto ids, tokenizer.encode(*after_, runtime::TextStart::kContinuation));
    for (const TokenId id : ids) {
      if (!at.advance(id)) {
        return fail(ErrorCode::kInvalid,
                    "--after: the model's spelling of this text runs past where it may end");
      }
    }
    const grammar::MaskRef mask = at.mask(kFarBudget);
    const auto most = static_cast<std::size_t>(show_.value_or(kShownTokens));
    std::vector<TokenId> shown;
    for (std::size_t id = 0; id < tokenizer.size() && shown.size() < most; ++id) {
      if (mask->allows(static_cast<TokenId>(id))) shown.push_back(static_cast<TokenId>(id));
    }
    const std::vector<TokenId> forced = at.forced(kFarBudget);
    Json texts = Json::array();
    for (const TokenId id : shown) texts.push_back(tokenizer.decode({&id, 1}, true));
    out["after"] = {{"verdict", at.accepting() ? "accepted" : "unfinished"},
                    {"allowed", mask->count()},
                    {"ids", shown},
                    {"tokens", texts},
                    {"accepting", at.accepting()},
                    {"distance", at.distance()},
                    {"forced", forced}};
    if (json_) return {};
    std::string line = std::to_string(mask->count()) + " tokens may follow";
    line += at.accepting() ? "; the text may end here"
                           : "; at least " + std::to_string(at.distance()) + " more end it";
    context.console.print_text(line);
    if (!forced.empty()) {
      context.console.print_text("forced\t" + write_json(tokenizer.decode(forced, true)));
    }
    for (const TokenId id : shown) {
      context.console.print_text(std::to_string(id) + "\t" +
                                 write_json(tokenizer.decode({&id, 1}, true)));
    }
    if (shown.size() < mask->count() && context.console.terminals().err) {
      context.console.note("(" + std::to_string(mask->count() - shown.size()) + " more: --show N)");
    }
    return {};
  }

  std::optional<std::string> type_, accepts_, after_;
  std::optional<std::int64_t> show_;
  ShapeOptions shape_;
  ModelOptions model_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_grammar() { return std::make_unique<GrammarVerb>(); }

}  // namespace espalier::cli
