#include "grammar/schema/kept_formats.h"

#include <utility>

#include "grammar/code_digest.h"
#include "grammar/json_schema.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/schema_graph.h"
#include "grammar/stored_form.h"

namespace espalier::grammar {
namespace {

constexpr std::string_view kMagic = "espalier tables";
constexpr std::size_t kDigest = 8;  // bytes

// Of a string of this format alone.
std::optional<std::string> key_of(const SchemaFormat& format) {
  Formulas formulas;
  const FormulaId pattern =
      formulas.literal({AtomKind::kPattern, formulas.pattern({format.regex, false}), 0});
  return scalar_key(formulas, formulas.all({formulas.types(JsonTypes::kString), pattern}));
}

}  // namespace

// A word is in a format or not by its bytes alone, and whether it can be written too, where tokens
// hold no bytes but those that are tokens. Else longer tokens may write what no byte does.
std::uint64_t KeptFormats::decided_by(const Vocabulary& vocabulary) {
  Digest digest;
  for (const ByteSet& bytes : {vocabulary.json_bytes(), vocabulary.single_bytes()}) {
    for (const std::uint64_t word : bytes.words()) digest.add(word);
  }
  if (vocabulary.json_bytes() != vocabulary.single_bytes()) digest.add(digest_of(vocabulary));
  return digest.value();
}

std::string KeptFormats::form(ScalarLibrary& library, const Vocabulary& vocabulary) {
  std::map<std::string, std::pair<std::shared_ptr<const ScalarDfa>, bool>> finished;
  for (const std::string_view name : schema_format_names()) {
    const auto format = schema_format(name);
    const auto key = key_of(*format);
    const auto entry = key ? library.find(*key) : std::nullopt;
    if (entry && entry->dfa != nullptr && entry->dfa->quoted()) {
      finished[*key] = {entry->dfa, large_format(format->regex)};
    }
  }
  std::string out(kMagic);
  put(out, code_digest());
  put(out, decided_by(vocabulary));
  put(out, std::uint64_t{finished.size()});
  for (const auto& [key, made] : finished) {
    put(out, key);
    put(out, std::uint64_t{made.second});
    put(out, made.first->stored());
  }
  put(out, digest_of(out));
  return out;
}

std::optional<KeptFormats> KeptFormats::of(std::string form, const Vocabulary& vocabulary) {
  KeptFormats out;
  out.form_ = std::make_unique<const std::string>(std::move(form));
  const std::string_view all = *out.form_;
  if (all.size() < kMagic.size() + kDigest || !all.starts_with(kMagic)) return std::nullopt;
  const std::string_view body = all.substr(0, all.size() - kDigest);
  if (Fields(all.substr(body.size())).number() != digest_of(body)) return std::nullopt;
  Fields fields(body.substr(kMagic.size()));
  if (fields.text() != code_digest()) return std::nullopt;
  if (fields.number() != decided_by(vocabulary)) return std::nullopt;
  const std::uint64_t count = fields.number();
  if (count > kMost) return std::nullopt;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = fields.text();
    const std::uint64_t prepared = fields.number();
    const std::string_view stored = fields.text();
    const bool rises = i == 0 || out.by_key_.rbegin()->first < key;
    if (!fields.whole() || !rises || prepared > 1) return std::nullopt;
    out.by_key_.emplace_hint(out.by_key_.end(), key, Kept{stored, prepared == 1});
  }
  if (!fields.done()) return std::nullopt;
  return out;
}

std::shared_ptr<const ScalarDfa> KeptFormats::find(std::string_view key,
                                                   const ScalarDfa::Tables& tables,
                                                   bool* whole) const {
  const auto kept = by_key_.find(key);
  if (kept == by_key_.end()) return nullptr;
  auto dfa = ScalarDfa::restore(kept->second.stored, tables);
  *whole = dfa != nullptr;
  if (dfa != nullptr && kept->second.prepared) dfa->prepare(tables);
  return dfa;
}

std::vector<std::string> KeptFormats::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, kept] : by_key_) out.emplace_back(key);
  return out;
}

void bring_formats(ScalarLibrary& library, const VocabularyRef& vocabulary) {
  if (library.string() == nullptr) return;  // without it no automaton can be held against strings
  const auto file = TablesFile::of(vocabulary, KeptFormats::decided_by(*vocabulary));
  if (!file) return;
  if (auto form = file->read()) {
    if (auto kept = KeptFormats::of(std::move(*form), *vocabulary)) {
      library.take(std::move(*kept), *file);
      return;
    }
  }
  const auto leave = file->begin();
  if (leave == nullptr) return;
  make_formats(vocabulary);
  file->write(KeptFormats::form(library, *vocabulary));
}

}  // namespace espalier::grammar
