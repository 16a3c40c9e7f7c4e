// Kept automata of formats, damaged: cut, overwritten in places, their digest made right again.
// What is read of them has strings alone as texts, whatever they hold, and is stored as it was
// read.
//
// Input: whether the digest is made right, then pieces of four bytes (what, where, where, with
// which byte).
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "grammar/schema/kept_formats.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/stored_form.h"
#include "tests/grammar_schema/verdicts.h"

namespace {

using namespace espalier;
using namespace espalier::grammar;

constexpr std::size_t kDigest = 8;

const std::string& whole_form() {
  static const std::string made = [] {
    const VocabularyRef& vocabulary = grammar::testing::byte_vocabulary();
    for (const char* name : {"date", "ipv4", "uuid", "json-pointer"}) {
      ESP_CHECK(compile_json_schema(vocabulary, {{"type", "string"}, {"format", name}}));
    }
    return KeptFormats::form(*ScalarLibrary::of(vocabulary), *vocabulary);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string& whole = whole_form();
  std::string form = whole;
  if (size == 0) return 0;
  for (std::size_t i = 1; i + 4 <= size; i += 4) {
    const std::size_t at = data[i + 1] + std::size_t{256} * data[i + 2];
    switch (data[i] % 4) {
      case 0:
        form.resize(std::min(form.size(), at));
        break;
      case 1:
        form.insert(std::min(form.size(), at), 1 + data[i] / 64U, static_cast<char>(data[i + 3]));
        break;
      default:
        if (at < form.size()) form[at] = static_cast<char>(data[i + 3]);
    }
  }
  const bool forged = data[0] % 4 != 0 && form.size() >= kDigest;
  if (forged) {
    form.resize(form.size() - kDigest);
    put(form, digest_of(form));
  }
  const bool changed = form != whole;
  const VocabularyRef& vocabulary = grammar::testing::byte_vocabulary();
  const auto kept = KeptFormats::of(std::move(form), *vocabulary);
  if (!kept) {
    ESP_CHECK(changed);
    return 0;
  }
  ESP_CHECK(forged || !changed);
  const ScalarDfa::Tables& tables = ScalarLibrary::of(vocabulary)->tables();
  for (const std::string& key : kept->keys()) {
    bool is_whole = true;
    const auto dfa = kept->find(key, tables, &is_whole);
    ESP_CHECK(is_whole == (dfa != nullptr) && (is_whole || changed));
    if (dfa == nullptr) continue;
    ESP_CHECK(Json::parse(dfa->closing_word(dfa->start()), nullptr, false).is_string());
    ESP_CHECK(ScalarDfa::restore(dfa->stored(), tables)->stored() == dfa->stored());
    for (ScalarDfa::State q = 1; q < dfa->size(); ++q) {
      static_cast<void>(dfa->tokens(tables, q));
      static_cast<void>(dfa->most_left(q));
    }
  }
  return 0;
}
