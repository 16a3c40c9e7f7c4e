// What a vocabulary's formats are kept as between runs: the same masks made or read, and nothing
// else read than what this code wrote of this vocabulary.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/fault_system.h"
#include "grammar/code_digest.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/schema_graph.h"
#include "grammar/stored_form.h"
#include "grammar/tables_file.h"
#include "tests/grammar_schema/mask_check.h"
#include "tests/support/memory_system.h"

namespace espalier::grammar {
namespace {

using espalier::testing::MemorySystem;
using testing::random_vocabulary;

constexpr std::size_t kDigest = 8;
const std::string kFolder = "/cache/grammar";

Json format(std::string_view name) { return {{"type", "string"}, {"format", name}}; }

// The only file of tables there, or nothing.
std::string kept_in(MemorySystem& system) {
  std::string out;
  for (const std::string& path : system.paths()) {
    EXPECT_TRUE(path.ends_with(".tables")) << path;
    EXPECT_TRUE(out.empty()) << "two files";
    out = system.get(path);
  }
  return out;
}
std::string path_in(MemorySystem& system) {
  return system.paths().empty() ? "" : system.paths()[0];
}

VocabularyRef keeping(std::uint64_t seed, System& system) {
  auto out = random_vocabulary(seed);
  keep_tables(out, kFolder, system);
  return out;
}

// Without the bytes F1 and F2 as tokens; with them in a longer one, or in none.
VocabularyRef without_bytes(std::uint64_t seed, bool in_longer) {
  const auto whole = random_vocabulary(seed);
  Vocabulary::Spec spec;
  for (std::size_t id = 0; id < whole->size(); ++id) {
    const std::string token(whole->bytes(static_cast<TokenId>(id)));
    const bool gone = token == "\xF1" || token == "\xF2";
    spec.bytes.push_back(gone ? "" : token);
  }
  if (in_longer) spec.bytes.emplace_back("\xF1\x80\x80\x80\xF2\x80\x80\x80");
  spec.end_of_turn = whole->end_of_turn();
  return Vocabulary::create(std::move(spec)).value();
}

void use_formats(const VocabularyRef& vocabulary) {
  ASSERT_TRUE(compile_json_schema(vocabulary, format("date")).has_value());
}

// A form of few automata, for laws about each of its bits.
std::string small_form(const VocabularyRef& vocabulary) {
  for (const char* name : {"date", "ipv4", "uuid"}) {
    EXPECT_TRUE(compile_json_schema(vocabulary, format(name)).has_value());
  }
  return KeptFormats::form(*ScalarLibrary::of(vocabulary), *vocabulary);
}

void sign(std::string& form) {
  form.resize(form.size() - kDigest);
  put(form, digest_of(form));
}

// Steps both grammars along the same random tokens, and holds all that they say against each other.
void expect_same(const GrammarRef& one, const GrammarRef& other, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int walk = 0; walk < 4; ++walk) {
    Matcher a = one->start(), b = other->start();
    for (int step = 0; step < 24; ++step) {
      ASSERT_EQ(a.accepting(), b.accepting());
      ASSERT_EQ(a.distance(), b.distance());
      ASSERT_TRUE(std::ranges::equal(a.mask(UINT32_MAX)->words(), b.mask(UINT32_MAX)->words()));
      const std::uint32_t near = a.distance() + static_cast<std::uint32_t>(random() % 3);
      const MaskRef mask = a.mask(walk == 0 ? UINT32_MAX : near);
      ASSERT_TRUE(walk == 0 || std::ranges::equal(mask->words(), b.mask(near)->words()));
      std::vector<TokenId> ids;
      for (std::size_t id = 0; id < one->vocabulary()->size(); ++id) {
        if (mask->allows(static_cast<TokenId>(id))) ids.push_back(static_cast<TokenId>(id));
      }
      if (ids.empty()) break;
      const TokenId id = ids[random() % ids.size()];
      if (one->vocabulary()->is_end(id)) break;
      ASSERT_TRUE(a.advance(id));
      ASSERT_TRUE(b.advance(id));
    }
  }
}

TEST(KeptTables, MasksAndTextsAreTheSameMadeOrRead) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    MemorySystem system;
    const auto vocabulary = [&](std::uint64_t of) {
      return seed > 2 ? without_bytes(of, seed == 4) : random_vocabulary(of);
    };
    const auto writes = vocabulary(seed == 1 ? 5 : seed);  // another one of the same bytes
    keep_tables(writes, kFolder, system);
    use_formats(writes);
    const auto made = vocabulary(seed), read = vocabulary(seed);
    keep_tables(read, kFolder, system);
    const std::string before = kept_in(system);
    std::vector<Json> schemas;
    for (const std::string_view name : schema_format_names()) {
      schemas.push_back(format(name));
      schemas.push_back({{"type", "object"},
                         {"properties",
                          {{"a", {{"type", "string"}, {"format", name}, {"maxLength", 12}}},
                           {"n", {{"type", "number"}}},
                           {"name", {{"type", "string"}}}}},
                         {"required", {"a", "n"}}});
    }
    for (const char* text : {
             R"({"anyOf":[{"format":"date"},{"type":"string","pattern":"^a"},{"format":"ipv4"}],
               "type":"string"})",
             R"({"type":"string","not":{"format":"uuid"},"minLength":1})",
             R"({"type":"string","allOf":[{"format":"uri"},{"format":"email"}]})",
             R"({"type":"object","propertyNames":{"format":"hostname"},"minProperties":2})",
             R"({"type":"array","items":{"type":"string","format":"time"},"uniqueItems":true})",
             R"({"enum":["2024-01-01","x"],"format":"date"})"}) {
      schemas.push_back(Json::parse(text));
    }
    for (const Json& schema : schemas) {
      const auto one = compile_json_schema(made, schema);
      const auto other = compile_json_schema(read, schema);
      ASSERT_EQ(one.has_value(), other.has_value()) << schema;
      if (!one) continue;
      SCOPED_TRACE(schema.dump().substr(0, 100));
      expect_same(*one, *other, seed);
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(kept_in(system), before);
  }
}

TEST(KeptTables, AreTheSameBytesWhenWhatWasReadIsStoredAgain) {
  MemorySystem system;
  use_formats(keeping(1, system));
  const std::string first = kept_in(system);
  ASSERT_FALSE(first.empty());
  const auto read = keeping(1, system);
  EXPECT_EQ(KeptFormats::form(*ScalarLibrary::of(read), *read), first);
  EXPECT_EQ(kept_in(system), first);
}

TEST(KeptTables, AreWhatSchemasAreReadFromThen) {
  MemorySystem system;
  use_formats(keeping(1, system));
  std::string form = kept_in(system);
  // The automaton of `uuid` under the name of `date`, whose place in order it takes.
  const auto vocabulary = random_vocabulary(1);
  std::string uuid, date;
  Fields fields(std::string_view(form).substr(std::string_view("espalier tables").size()));
  static_cast<void>(fields.text());
  static_cast<void>(fields.number());
  for (std::uint64_t i = fields.number(); i > 0; --i) {
    const std::string key(fields.text());
    static_cast<void>(fields.number());
    const std::string stored(fields.text());
    if (key.find("{8}(?:-") != key.npos) uuid = stored;
    if (key.find("-02-29)") != key.npos && key.find("[Tt]") == key.npos) date = stored;
  }
  ASSERT_FALSE(uuid.empty() || date.empty());
  std::string old, forged;
  put(old, date);
  put(forged, uuid);
  form.replace(form.find(old), old.size(), forged);
  sign(form);
  system.put(path_in(system), form);
  const auto grammar = compile_json_schema(keeping(1, system), format("date")).value();
  Matcher at = grammar->start();
  for (const char c : std::string_view("\"01234567-89ab-cdef-0123-456789abcdef\"")) {
    ASSERT_TRUE(at.advance(static_cast<TokenId>(static_cast<unsigned char>(c))));
  }
  EXPECT_TRUE(at.accepting());
}

TEST(KeptTables, AnyBitChangedAnyPartMissingAnyByteMoreIsNoForm) {
  const auto vocabulary = random_vocabulary(3);
  const std::string form = small_form(vocabulary);
  ASSERT_TRUE(KeptFormats::of(form, *vocabulary).has_value());
  for (std::size_t bit = 0; bit < 8 * form.size(); ++bit) {
    std::string changed = form;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(KeptFormats::of(changed, *vocabulary).has_value()) << bit;
  }
  for (std::size_t size = 0; size < form.size(); ++size) {
    ASSERT_FALSE(KeptFormats::of(form.substr(0, size), *vocabulary).has_value()) << size;
    std::string cut = form.substr(0, size);
    put(cut, digest_of(cut));
    ASSERT_FALSE(KeptFormats::of(cut, *vocabulary).has_value() && cut != form) << size;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    ASSERT_FALSE(KeptFormats::of(form + static_cast<char>(byte), *vocabulary).has_value());
  }
}

TEST(KeptTables, ALargeFormWithABitChangedIsNone) {
  MemorySystem system;
  const auto vocabulary = keeping(1, system);
  use_formats(vocabulary);
  const std::string form = kept_in(system);
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string changed = form;
    const std::uint64_t bit = random() % (8 * form.size());
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(KeptFormats::of(changed, *vocabulary).has_value()) << bit;
  }
}

TEST(KeptTables, OfOtherBytesOrOfOtherCodeAreNone) {
  const auto vocabulary = random_vocabulary(3);
  std::string form = small_form(vocabulary);
  EXPECT_TRUE(KeptFormats::of(form, *random_vocabulary(4)).has_value());
  EXPECT_FALSE(KeptFormats::of(form, *without_bytes(3, false)).has_value());
  EXPECT_FALSE(KeptFormats::of(form, *without_bytes(3, true)).has_value());
  const std::size_t code = form.find(code_digest());
  ASSERT_NE(code, form.npos);
  form[code] = form[code] == '0' ? '1' : '0';
  sign(form);
  EXPECT_FALSE(KeptFormats::of(form, *vocabulary).has_value());
}

TEST(KeptTables, ThatDoNotHoldAreMadeAnewAndWrittenAgain) {
  MemorySystem system;
  use_formats(keeping(1, system));
  const std::string whole = kept_in(system), path = path_in(system);
  MemorySystem others;
  const auto other = without_bytes(1, false);
  keep_tables(other, kFolder, others);
  use_formats(other);
  std::string changed = whole;
  changed[whole.size() / 2] = static_cast<char>(changed[whole.size() / 2] + 1);
  for (const std::string& bad : {changed, whole.substr(0, 1000), std::string(), whole + "x",
                                 kept_in(others), std::string(TablesFile::kMostBytes + 1, 'x')}) {
    system.put(path, bad);
    use_formats(keeping(1, system));
    EXPECT_EQ(kept_in(system), whole);
  }
}

// Whatever a form with a right digest holds: what is read of it has texts of strings alone.
TEST(KeptTables, ForgedOnesSayStringsOrNothing) {
  const auto vocabulary = random_vocabulary(3);
  const std::string form = small_form(vocabulary);
  const ScalarDfa::Tables& tables = ScalarLibrary::of(vocabulary)->tables();
  std::mt19937_64 random(5);
  std::size_t read = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string forged = form;
    const bool far = round % 3 == 0;  // else where the automata are
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = (far ? 0 : 100) + random() % (form.size() - kDigest - 100);
      forged[at] = static_cast<char>(round % 2 == 0 ? random() : forged[at] + 1);
    }
    sign(forged);
    const auto kept = KeptFormats::of(forged, *vocabulary);
    if (!kept) continue;
    for (const std::string& key : kept->keys()) {
      bool whole = true;
      const auto dfa = kept->find(key, tables, &whole);
      ASSERT_EQ(whole, dfa != nullptr);
      if (dfa == nullptr) continue;
      ++read;
      ASSERT_TRUE(Json::parse(dfa->closing_word(dfa->start()), nullptr, false).is_string());
      ASSERT_EQ(ScalarDfa::restore(dfa->stored(), tables)->stored(), dfa->stored());
      for (ScalarDfa::State q = 1; q < dfa->size() && round % 50 == 0; ++q) {
        static_cast<void>(dfa->tokens(tables, q));
      }
    }
  }
  EXPECT_GT(read, 1000U);
}

TEST(KeptTables, ForgedOnesThatDoNotHoldGoWhenTheyAreMet) {
  MemorySystem system;
  use_formats(keeping(1, system));
  std::string form = kept_in(system);
  const std::string whole = form, path = path_in(system);
  // No state of any automaton accepts.
  Fields fields(std::string_view(form).substr(std::string_view("espalier tables").size()));
  static_cast<void>(fields.text());
  static_cast<void>(fields.number());
  for (std::uint64_t i = fields.number(); i > 0; --i) {
    static_cast<void>(fields.text());
    static_cast<void>(fields.number());
    const std::string_view stored = fields.text();
    Fields inside(stored);
    static_cast<void>(inside.number());
    const std::string_view accepts = inside.text();
    form.replace(static_cast<std::size_t>(accepts.data() - form.data()), accepts.size(),
                 std::string(accepts.size(), '\0'));
  }
  sign(form);
  system.put(path, form);
  const auto made = compile_json_schema(random_vocabulary(1), format("ipv6")).value();
  const auto other = compile_json_schema(keeping(1, system), format("ipv6")).value();
  expect_same(made, other, 1);
  EXPECT_TRUE(system.paths().empty());
  use_formats(keeping(1, system));
  EXPECT_EQ(kept_in(system), whole);
}

TEST(KeptTables, WhateverFailsFormatsAreMadeAndNothingHalfWrittenIsRead) {
  const auto made = compile_json_schema(random_vocabulary(1), format("ipv6")).value();
  for (const bool there : {false, true}) {
    for (std::uint64_t n = 1;; ++n) {
      MemorySystem memory;
      if (there) use_formats(keeping(1, memory));
      FaultSystem system(memory);
      system.fail_nth(n);
      const auto grammar = compile_json_schema(keeping(1, system), format("ipv6"));
      ASSERT_TRUE(grammar.has_value());
      expect_same(made, *grammar, n);
      if (!system.reached()) break;
      ASSERT_LT(n, 50U);
      system.fail_nth(0);
      use_formats(keeping(1, system));
      EXPECT_FALSE(kept_in(memory).empty()) << n;
    }
  }
  for (std::uint64_t n = 1; n < 20; ++n) {  // killed in the middle of a write
    MemorySystem system;
    system.die_at(n);
    ASSERT_TRUE(compile_json_schema(keeping(1, system), format("ipv6")).has_value());
    system.crash(0.5);
    use_formats(keeping(1, system));
    EXPECT_FALSE(kept_in(system).empty()) << n;
  }
}

TEST(KeptTables, OnAFullDiskAreNotKept) {
  MemorySystem system;
  system.limit_disk(1000);
  use_formats(keeping(1, system));
  EXPECT_TRUE(system.paths().empty());
}

TEST(KeptTables, AreWrittenByOneAtATime) {
  MemorySystem system;
  auto held = system.try_lock(kFolder + "/lock");
  use_formats(keeping(1, system));
  EXPECT_TRUE(system.paths().empty());
  held->reset();
  use_formats(keeping(1, system));
  EXPECT_FALSE(kept_in(system).empty());
}

TEST(KeptTables, WhereAFolderStandsInTheirPlaceAreMade) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / "espalier-kept-tables-test";
  fs::remove_all(folder);
  const auto keeping_there = [&] {
    auto out = random_vocabulary(1);
    keep_tables(out, folder.string(), real_system());
    return out;
  };
  use_formats(keeping_there());
  ASSERT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  const fs::path path = fs::directory_iterator(folder)->path();
  fs::remove(path);
  fs::create_directory(path);
  use_formats(keeping_there());
  EXPECT_TRUE(fs::is_directory(path));
  fs::remove_all(folder);
}

TEST(KeptTables, AreAFileASetOfBytesAndThoseUsedTheLongestAgoGo) {
  MemorySystem system;
  for (std::uint64_t seed = 0; seed < TablesFile::kMostFiles; ++seed) {
    system.put(kFolder + "/" + std::to_string(seed) + ".tables", "another's");
    static_cast<void>(system.touch(kFolder + "/" + std::to_string(seed) + ".tables"));
  }
  system.put(kFolder + "/x.begun", "left by one that died");
  use_formats(keeping(1, system));
  EXPECT_EQ(system.paths().size(), TablesFile::kMostFiles);
  EXPECT_EQ(system.get(kFolder + "/0.tables"), "<absent>");
  for (std::uint64_t seed = 1; seed < TablesFile::kMostFiles; ++seed) {
    ASSERT_TRUE(system.touch(kFolder + "/" + std::to_string(seed) + ".tables").has_value());
  }
  use_formats(keeping(2, system));  // read: so it is used
  for (const bool in_longer : {false, true}) {
    const auto other = without_bytes(1, in_longer);
    keep_tables(other, kFolder, system);
    use_formats(other);
  }
  EXPECT_EQ(system.paths().size(), TablesFile::kMostFiles);
  EXPECT_EQ(system.get(kFolder + "/1.tables"), "<absent>");
  EXPECT_EQ(system.get(kFolder + "/2.tables"), "<absent>");
  MemorySystem alone;
  use_formats(keeping(1, alone));
  EXPECT_EQ(system.get(path_in(alone)), kept_in(alone));
}

TEST(KeptTables, AreNotTouchedBeforeASchemaNamesAFormat) {
  MemorySystem system;
  const auto vocabulary = keeping(1, system);
  const Json plain = {{"type", "string"}, {"pattern", "^[0-9]+$"}, {"maxLength", 7}};
  ASSERT_TRUE(compile_json_schema(vocabulary, plain).has_value());
  EXPECT_EQ(system.operations(), 0U);
  const auto beside = random_vocabulary(2);
  keep_tables_beside(vocabulary, beside);
  keep_tables_beside(random_vocabulary(3), random_vocabulary(4));
  EXPECT_EQ(system.operations(), 0U);
  use_formats(beside);
  EXPECT_FALSE(kept_in(system).empty());
}

}  // namespace
}  // namespace espalier::grammar
