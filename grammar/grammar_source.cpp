#include "grammar/grammar_source.h"

#include <utility>

#include "grammar/gbnf.h"
#include "grammar/json_text.h"
#include "grammar/lark.h"
#include "grammar/regex.h"
#include "grammar/stored_form.h"

namespace espalier::grammar {
namespace {

// In order: magic, version, digest of the vocabulary, then fields, then a digest of all before it
// (stored_form.h).
constexpr std::string_view kMagic = "espalier grammar";
constexpr std::uint64_t kVersion = 2;

}  // namespace

Result<ContextFreeGrammar> compile(VocabularyRef vocabulary, const GrammarSource& source) {
  switch (source.kind) {
    case GrammarKind::kSchema: {
      ESP_ASSIGN(const Json schema, read_json_exactly(source.text));
      ESP_ASSIGN(GrammarRef grammar,
                 compile_json_schema(std::move(vocabulary), schema, source.follow, source.schema,
                                     source.limits));
      return ContextFreeGrammar{std::move(grammar), {}};
    }
    case GrammarKind::kRegex: {
      ESP_ASSIGN(GrammarRef grammar,
                 compile_regex(std::move(vocabulary), source.text, source.follow, source.limits));
      return ContextFreeGrammar{std::move(grammar), {}};
    }
    case GrammarKind::kGbnf:
      return compile_gbnf(std::move(vocabulary), source.text, source.follow, source.limits);
    case GrammarKind::kLark:
      return compile_lark(std::move(vocabulary), source.text, source.follow, source.limits);
    case GrammarKind::kType:
      break;
  }
  return fail(ErrorCode::kUnsupported, "a type of the language is compiled by the language");
}

Result<std::string> store(const GrammarSource& source, const Vocabulary& vocabulary) {
  if (source.schema.resolver != nullptr) {
    return fail(ErrorCode::kUnsupported,
                "stored grammar: a schema with a resolver, whose documents may change");
  }
  std::string out(kMagic);
  put(out, kVersion);
  put(out, digest_of(vocabulary));
  put(out, static_cast<std::uint64_t>(source.kind));
  put(out, source.text);
  put(out, source.follow);
  put(out, source.schema.strict ? 1 : 0);
  put(out, static_cast<std::uint64_t>(source.schema.order));
  put(out, source.schema.unknown_keywords ? 1 : 0);
  put(out, source.schema.formats ? 1 : 0);
  put(out, source.schema.draft ? 1 + static_cast<std::uint64_t>(*source.schema.draft) : 0);
  put(out, source.limits.compile_fuel);
  put(out, source.limits.state_bytes);
  put(out, source.limits.max_depth);
  put(out, digest_of(out));
  return out;
}

Result<GrammarSource> restore(std::string_view stored, const Vocabulary& vocabulary) {
  const auto changed = [] {
    return fail(ErrorCode::kInvalid, "stored grammar: not whole, or changed since it was written");
  };
  if (stored.size() < kMagic.size() + 8 || !stored.starts_with(kMagic)) return changed();
  const std::string_view body = stored.substr(0, stored.size() - 8);
  if (Fields(stored.substr(body.size())).number() != digest_of(body)) return changed();
  Fields fields(body.substr(kMagic.size()));
  if (const std::uint64_t version = fields.number(); version != kVersion) {
    return fail(ErrorCode::kInvalid, "stored grammar: of version " + std::to_string(version) +
                                         "; this program reads version " +
                                         std::to_string(kVersion));
  }
  if (fields.number() != digest_of(vocabulary)) {
    return fail(ErrorCode::kInvalid, "stored grammar: compiled for another vocabulary");
  }
  GrammarSource out;
  const std::uint64_t kind = fields.number();
  out.text = std::string(fields.text());
  out.follow = std::string(fields.text());
  out.schema.strict = fields.number() != 0;
  const std::uint64_t order = fields.number();
  out.schema.unknown_keywords = fields.number() != 0;
  out.schema.formats = fields.number() != 0;
  const std::uint64_t draft = fields.number();
  out.limits.compile_fuel = fields.number();
  out.limits.state_bytes = fields.number();
  const std::uint64_t depth = fields.number();
  const bool known = kind <= static_cast<std::uint64_t>(GrammarKind::kLark) && order <= 1 &&
                     draft <= 1 + static_cast<std::uint64_t>(SchemaDraft::k2020) &&
                     depth <= UINT32_MAX;
  if (!fields.done() || !known) return changed();
  out.kind = static_cast<GrammarKind>(kind);
  out.schema.order = static_cast<MemberOrder>(order);
  if (draft > 0) out.schema.draft = static_cast<SchemaDraft>(draft - 1);
  out.limits.max_depth = static_cast<std::uint32_t>(depth);
  return out;
}

}  // namespace espalier::grammar
