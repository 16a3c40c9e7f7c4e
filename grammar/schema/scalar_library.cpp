#include "grammar/schema/scalar_library.h"

#include <utility>

namespace espalier::grammar {
namespace {

void describe(const Formulas& formulas, FormulaId f, std::string& out) {
  if (out.size() > ScalarLibrary::kLongestKey) return;
  switch (formulas.op(f)) {
    case Formulas::Op::kFalse:
      out += 'F';
      return;
    case Formulas::Op::kTrue:
      out += 'T';
      return;
    case Formulas::Op::kAnd:
    case Formulas::Op::kOr:
      out += formulas.op(f) == Formulas::Op::kAnd ? "(&" : "(|";
      for (const FormulaId c : formulas.children(f)) describe(formulas, c, out);
      out += ')';
      return;
    case Formulas::Op::kLiteral:
      break;
  }
  const Atom& atom = formulas.atom(f);
  out += formulas.negated(f) ? '-' : '+';
  out += static_cast<char>('a' + static_cast<int>(atom.kind));
  switch (atom.kind) {
    case AtomKind::kAtLeast:
    case AtomKind::kAbove:
    case AtomKind::kMultipleOf:
      out += Json(formulas.number_of(atom.a)).dump();
      break;
    case AtomKind::kPattern:
      out += formulas.pattern_of(atom.a).search ? 's' : 'w';
      out += Json(formulas.pattern_of(atom.a).regex)
                 .dump(-1, ' ', false, Json::error_handler_t::replace);
      break;
    case AtomKind::kIn: {
      std::size_t bytes = 0;
      for (const Json& value : formulas.set_of(atom.a)) {
        const std::string text = value.dump();
        bytes += text.size();
        out += text;
        out += ',';
        if (bytes > ScalarLibrary::kLongestKey) return;
      }
      break;
    }
    default:
      out += std::to_string(atom.a);
  }
  out += ';';
}

}  // namespace

std::optional<std::string> scalar_key(const Formulas& formulas, FormulaId f) {
  std::string out;
  describe(formulas, f, out);
  if (out.size() > ScalarLibrary::kLongestKey) return std::nullopt;
  return out;
}

std::shared_ptr<ScalarLibrary> ScalarLibrary::of(const VocabularyRef& vocabulary) {
  struct Kept {
    std::weak_ptr<const Vocabulary> vocabulary;
    std::shared_ptr<ScalarLibrary> library;
  };
  static std::mutex mutex;
  static std::unordered_map<const Vocabulary*, Kept> libraries;
  const std::lock_guard lock(mutex);
  std::erase_if(libraries, [](const auto& entry) { return entry.second.vocabulary.expired(); });
  Kept& kept = libraries[vocabulary.get()];
  if (kept.library == nullptr) kept = {vocabulary, std::make_shared<ScalarLibrary>()};
  return kept.library;
}

std::optional<ScalarLibrary::Entry> ScalarLibrary::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(key);
  return it == entries_.end() ? std::nullopt : std::optional(it->second);
}

void ScalarLibrary::add(const std::string& key, Entry entry) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() < kEntries) entries_.try_emplace(key, std::move(entry));
}

}  // namespace espalier::grammar
