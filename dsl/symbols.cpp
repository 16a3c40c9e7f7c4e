#include "dsl/symbols.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "dsl/check.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

std::tuple<std::uint32_t, std::uint32_t, std::uint32_t> order(const Span& span) {
  return {span.file, span.begin, span.end};
}

std::string fields_of(const std::vector<FieldDecl>& fields, const Program& program) {
  std::string out;
  for (const FieldDecl& field : fields) {
    if (!out.empty()) out += ", ";
    out += field.name.text + (field.omittable ? "?: " : ": ");
    out += program.sources[field.type->span.file].slice(field.type->span);
    if (field.value != nullptr) {
      out += " = ";
      out += program.sources[field.value->span.file].slice(field.value->span);
    }
  }
  return out;
}

// The declaration whose name stands at `span`. They are in the order of their places. O(log n).
template <class T>
const T* declared_at(const Program& program, const Span& span) {
  const auto& all = program.file.declarations;
  const auto behind = std::partition_point(all.begin(), all.end(), [&](const Decl& decl) {
    const Span& whole = std::visit([](const auto& one) -> const Span& { return one.span; }, decl);
    return std::pair(whole.file, whole.begin) <= std::pair(span.file, span.begin);
  });
  const auto* one = behind == all.begin() ? nullptr : std::get_if<T>(&*std::prev(behind));
  return one != nullptr && one->name.span == span ? one : nullptr;
}

template <class T>
std::string callable(const Program& program, const Symbol& symbol, const char* word) {
  const T* decl = declared_at<T>(program, symbol.span);
  std::string out = word + symbol.name;
  if (decl == nullptr) return out;
  out += "(" + fields_of(decl->parameters, program) + ")";
  if (decl->result != nullptr) {
    out += " -> ";
    out += program.sources[decl->result->span.file].slice(decl->result->span);
  }
  return out;
}

}  // namespace

const Occurrence* SymbolIndex::at(std::uint32_t file, std::uint32_t offset) const {
  // The last one that begins at or before the offset; equal places have the variable first.
  auto at = std::upper_bound(occurrences.begin(), occurrences.end(), std::pair(file, offset),
                             [](const auto& place, const Occurrence& one) {
                               return place < std::pair(one.span.file, one.span.begin);
                             });
  const Occurrence* found = nullptr;
  while (at != occurrences.begin()) {
    --at;
    if (at->span.file != file || at->span.end < offset) break;
    if (found != nullptr && at->span != found->span) break;
    found = &*at;
  }
  return found;
}

std::vector<const Occurrence*> SymbolIndex::places(std::uint32_t symbol) const {
  std::vector<const Occurrence*> out;
  for (const Occurrence& one : occurrences)
    if (symbols[one.symbol].group == symbols[symbol].group) out.push_back(&one);
  return out;
}

void SymbolNotes::define(Symbol symbol) { symbols_.push_back(std::move(symbol)); }

void SymbolNotes::refer(const Span& use, const Span& definition, grammar::TypeRef type) {
  uses_.push_back({use, definition, std::move(type)});
}

void SymbolNotes::key_alone(const Span& span) { keys_alone_.emplace(span.file, span.begin); }

void SymbolNotes::together(const Span& a, const Span& b) { together_.emplace_back(a, b); }

void SymbolNotes::record(const grammar::TypeRef& type, const std::vector<FieldDecl>& fields) {
  kept_.push_back(type);
  records_[type.get()] = &fields;
}

void SymbolNotes::record_alias(const grammar::TypeRef& copy, const grammar::Type* original) {
  const auto known = records_.find(original);
  if (known == records_.end()) return;
  kept_.push_back(copy);
  records_[copy.get()] = known->second;
}

void SymbolNotes::by_case(const grammar::TypeRef& type, std::string name) {
  kept_.push_back(type);
  by_case_[type.get()] = std::move(name);
}

const std::string* SymbolNotes::enum_of(const grammar::Type& type) const {
  const auto known = by_case_.find(&type);
  return known == by_case_.end() ? nullptr : &known->second;
}

std::optional<Span> SymbolNotes::field(const grammar::Type& type, const std::string& field) const {
  const auto known = records_.find(&type);
  if (known == records_.end()) return std::nullopt;
  for (const FieldDecl& one : *known->second)
    if (one.name.text == field) return one.name.span;
  return std::nullopt;
}

SymbolIndex SymbolNotes::finish() && {
  SymbolIndex out;
  std::stable_sort(symbols_.begin(), symbols_.end(),
                   [](const Symbol& a, const Symbol& b) { return order(a.span) < order(b.span); });
  // A node that is checked twice is defined twice.
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(),
                             [](const Symbol& a, const Symbol& b) { return a.span == b.span; }),
                 symbols_.end());
  out.symbols = std::move(symbols_);
  const auto find = [&](const Span& span) -> std::optional<std::uint32_t> {
    const auto at = std::lower_bound(
        out.symbols.begin(), out.symbols.end(), span,
        [](const Symbol& one, const Span& wanted) { return order(one.span) < order(wanted); });
    if (at == out.symbols.end() || at->span != span) return std::nullopt;
    return static_cast<std::uint32_t>(at - out.symbols.begin());
  };
  for (std::uint32_t i = 0; i < out.symbols.size(); ++i) {
    out.symbols[i].group = i;
    out.occurrences.push_back({out.symbols[i].span, i, nullptr, true, false});
  }
  // Groups: each symbol points at one before it or at itself.
  const auto root = [&](std::uint32_t i) {
    while (out.symbols[i].group != i) {
      out.symbols[i].group = out.symbols[out.symbols[i].group].group;
      i = out.symbols[i].group;
    }
    return i;
  };
  for (const auto& [a, b] : together_) {
    const auto one = find(a);
    const auto other = find(b);
    if (!one || !other) continue;
    const auto [first, second] = std::minmax({root(*one), root(*other)});
    out.symbols[second].group = first;
  }
  for (std::uint32_t i = 0; i < out.symbols.size(); ++i) out.symbols[i].group = root(i);
  for (Use& use : uses_) {
    const auto symbol = find(use.definition);
    if (!symbol || use.span.empty()) continue;
    if (use.span == use.definition) continue;
    const bool variable = out.symbols[*symbol].kind != SymbolKind::kField;
    const bool key_alone = variable && keys_alone_.count({use.span.file, use.span.begin}) > 0;
    out.occurrences.push_back({use.span, *symbol, std::move(use.type), false, key_alone});
  }
  std::stable_sort(
      out.occurrences.begin(), out.occurrences.end(), [](const Occurrence& a, const Occurrence& b) {
        return std::pair(order(a.span), !a.key_alone) < std::pair(order(b.span), !b.key_alone);
      });
  out.occurrences.erase(std::unique(out.occurrences.begin(), out.occurrences.end(),
                                    [](const Occurrence& a, const Occurrence& b) {
                                      return a.span == b.span && a.symbol == b.symbol;
                                    }),
                        out.occurrences.end());
  return out;
}

Analysis analyze(std::string name, std::string text, const ReadFile& read,
                 AutomatonFindings* findings) {
  Analysis result;
  auto program = std::make_shared<Program>();
  const Loaded loaded = load(*program, std::move(name), std::move(text), read, result.diagnostics);
  if (loaded.complete) {
    SymbolNotes notes;
    check(*program, loaded, read, result.diagnostics, &notes, findings);
    result.symbols = std::move(notes).finish();
  }
  result.program = std::move(program);
  return result;
}

std::string declaration(const Analysis& analysis, const Symbol& symbol,
                        const grammar::TypeRef& narrowed) {
  const Program& program = *analysis.program;
  const auto typed = [&](const std::string& word) {
    const grammar::TypeRef& type = narrowed != nullptr ? narrowed : symbol.type;
    return word + symbol.name + (type == nullptr ? "" : ": " + type_name(type));
  };
  switch (symbol.kind) {
    case SymbolKind::kRecord: {
      const auto* decl = declared_at<RecordDecl>(program, symbol.span);
      return "record " + symbol.name +
             (decl == nullptr ? "" : " { " + fields_of(decl->fields, program) + " }");
    }
    case SymbolKind::kEnum: {
      std::string cases;
      if (const auto* decl = declared_at<EnumDecl>(program, symbol.span)) {
        for (const EnumCaseDecl& one : decl->cases)
          cases += (cases.empty() ? " { " : ", ") + one.name.text;
      }
      return "enum " + symbol.name + cases + (cases.empty() ? "" : " }");
    }
    case SymbolKind::kAlias: {
      const auto* decl = declared_at<AliasDecl>(program, symbol.span);
      std::string out = "type " + symbol.name;
      if (decl != nullptr) {
        out += " = ";
        out += program.sources[decl->type->span.file].slice(decl->type->span);
      }
      return out;
    }
    case SymbolKind::kGrammar:
      return "grammar " + symbol.name;
    case SymbolKind::kTool:
      return callable<ToolDecl>(program, symbol, "tool ");
    case SymbolKind::kGen:
      return callable<GenDecl>(program, symbol, "gen ");
    case SymbolKind::kFile:
      return "file " + symbol.name;
    case SymbolKind::kParameter:
      return typed("parameter ");
    case SymbolKind::kVariable:
      return typed("variable ");
    case SymbolKind::kHole:
      return typed("hole ");
    case SymbolKind::kField:
      return typed("field ");
    case SymbolKind::kCase:
      return "case " + symbol.name;
    case SymbolKind::kRule:
      return "rule " + symbol.name;
  }
  return symbol.name;
}

}  // namespace espalier::dsl
