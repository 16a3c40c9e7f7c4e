#include "dsl/automaton_findings.h"

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "grammar/grammar_rules.h"

namespace espalier::dsl {
namespace {

using grammar::GrammarItem;
using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;

/// Writes types in the order in which they are met; each is a number from then on.
class KeyWriter {
 public:
  std::string write(const TypeRef& type, std::string_view follow) {
    text(follow);
    met(type);
    // Types whose own content is written; a reference stands for its target.
    for (std::size_t i = 0; i < types_.size(); ++i) content(*types_[i]);
    return std::move(out_);
  }

 private:
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  void text(std::string_view bytes) {
    number(bytes.size());
    out_ += bytes;
  }
  template <class T>
  void optional(const std::optional<T>& value) {
    number(value ? 1 : 0);
    if (value) number(std::bit_cast<std::uint64_t>(*value));
  }

  void met(TypeRef type) {
    if (type == nullptr) return number(0);
    const auto [known, fresh] = numbers_.try_emplace(type.get(), types_.size() + 1);
    if (fresh) types_.push_back(std::move(type));
    number(known->second);
  }

  void content(const Type& type) {
    number(static_cast<std::uint64_t>(type.kind));
    optional(type.low);
    optional(type.high);
    optional(type.int_low);
    optional(type.int_high);
    optional(type.float_low);
    optional(type.float_high);
    if (type.literal.is_string()) {
      number(1);
      text(type.literal.get_ref<const std::string&>());
    } else {
      number(0);
      text(type.literal.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    text(type.pattern);
    number(type.cases.size());
    for (const auto& one : type.cases) text(one.surface);
    number(type.items.size());
    for (const TypeRef& item : type.items) met(item);
    number(type.fields.size());
    for (const auto& field : type.fields) {
      text(field.key);
      number(field.omittable ? 1 : 0);
      met(field.type);
    }
    if (type.kind == TypeKind::kReference) met(type.target.lock());
    if (type.rules != nullptr) rules(*type.rules);
  }

  void rules(const grammar::GrammarRules& all) {
    number(all.rules.size());
    for (const auto& rule : all.rules) {
      text(rule.name);
      alternatives(rule.alternatives);
    }
  }
  // Groups nest as deep as the program's text does (kMaxNesting).
  void alternatives(const std::vector<std::vector<GrammarItem>>& all) {
    number(all.size());
    for (const auto& sequence : all) {
      number(sequence.size());
      for (const GrammarItem& item : sequence) {
        number(static_cast<std::uint64_t>(item.kind));
        text(item.text);
        number(item.low);
        number(item.high);
        alternatives(item.group);
      }
    }
  }

  std::string out_;
  std::vector<TypeRef> types_;
  std::unordered_map<const Type*, std::uint64_t> numbers_;
};

}  // namespace

std::string automaton_key(const TypeRef& type, std::string_view follow) {
  return KeyWriter().write(type, follow);
}

std::optional<AutomatonFinding> AutomatonFindings::find(const std::string& key) {
  if (const auto known = recent_.find(key); known != recent_.end()) return known->second;
  auto old = before_.extract(key);
  if (old.empty()) return std::nullopt;
  const AutomatonFinding finding = old.mapped();
  keep(std::move(old.key()), finding);
  return finding;
}

void AutomatonFindings::keep(std::string key, AutomatonFinding finding) {
  if (key.size() > max_bytes_) return;
  if (bytes_ + key.size() > max_bytes_) {
    before_ = std::exchange(recent_, {});
    bytes_ = 0;
  }
  const std::size_t size = key.size();
  if (recent_.insert_or_assign(std::move(key), finding).second) bytes_ += size;
}

}  // namespace espalier::dsl
