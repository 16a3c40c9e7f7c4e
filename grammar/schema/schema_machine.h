// A schema's automaton over bytes: which texts of JSON values satisfy it, byte by byte.
//
// A *level* is a place in a container (or before a value): alternatives, each a formula that the
// rest of it must satisfy and the level that stands when it is complete. Members and items are read
// by derivative: a formula becomes pairs (what the value at hand satisfies, what the rest does), so
// a value is read under alternatives of its own, and where it ends, those that hold say where its
// container goes on. Alternatives need not exclude each other. A *leaf* is a scalar or a key being
// read: one small automaton an alternative, run together. A *cursor* is a leaf or a level with the
// punctuation around it. All are interned; a cursor's number is its whole state.
//
// Only alternatives that some text completes are kept: whether one does is decided by search and
// remembered (schema_liveness.cpp), so no cursor is a dead end. Questions that pass a fixed number
// of steps count as "no" and are remembered as undecided. Every live cursor has a *closing*, one
// text that completes the value; the closing after its first bytes is the rest of it.
//
// Member keys come in any order (or as declared, see SchemaOptions), each once. Keys, patterns and
// enumerated strings stand in their canonical spelling, free strings in any.
//
// Not thread-safe; grows with use (`bytes()`). Recurses on schemas' nesting alone (kMaxNesting).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/hash.h"
#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/number_map.h"
#include "grammar/schema/key_words.h"
#include "grammar/schema/language_relation.h"
#include "grammar/schema/member_key.h"
#include "grammar/schema/parts_by_name.h"
#include "grammar/schema/required_members.h"
#include "grammar/schema/scalar_combination.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/scalar_run.h"
#include "grammar/schema/schema_graph.h"
#include "grammar/schema/unique_item.h"
#include "grammar/small_vector.h"
#include "grammar/stable_vector.h"

namespace espalier::grammar {

class SchemaWalk;
class StandardStems;

class SchemaMachine {
 public:
  using Cursor = std::uint32_t;
  static constexpr Cursor kDead = 0;
  static constexpr Cursor kDone = 1;
  static constexpr std::uint64_t kSteps = 200'000;         // of one search for a text
  static constexpr std::size_t kMaxNesting = 48;           // of values, while searching
  static constexpr std::size_t kLongestPlan = 4096;        // members or items that must still come
  static constexpr std::size_t kMaxAlternatives = 16'384;  // of one level
  static constexpr std::uint32_t kLostText = UINT32_MAX;

  enum class Phase : std::uint8_t {
    kDead,
    kDone,
    kValue,  // a: level; before a value
    kLeaf,   // a: leaf
    kOpen,   // a: level; after { or [
    kComma,  // a: level; after a comma inside {}
    kNext,   // a: level; after a member or an item
    kKey,    // a: leaf, b: level
    kColon,  // a: level of the value
  };
  struct State {
    Phase phase = Phase::kDead;
    std::uint8_t space = 0;  // 0 none, 1 a space, 2 + n: a line feed and n spaces
    std::uint32_t a = 0, b = 0;
    // Inside an item that must differ from others: all of it so far, without whitespace, or
    // kLostText where a walk has not kept it. Else, in a key: the key so far.
    std::uint32_t text = 0;
    friend bool operator==(const State&, const State&) = default;
  };

  SchemaMachine(std::shared_ptr<const SchemaGraph> graph, VocabularyRef vocabulary,
                std::uint32_t max_depth);
  ~SchemaMachine();

  /// Before the value's first byte; kDead where no value satisfies the schema.
  [[nodiscard]] Cursor start() const { return start_; }
  /// Whether some question could not be decided: what rests on it is not in the language.
  [[nodiscard]] bool undecided() const { return undecided_; }
  /// Whether every cursor that tokens lead to has a closing that tokens spell. May become false.
  [[nodiscard]] bool spelled() const { return spelled_; }
  Cursor step(Cursor at, unsigned char byte);
  /// The value is complete here (a number may go on).
  bool accepting(Cursor at) { return accepting(State(states_[at])); }
  /// At least the bytes that live cursors lie behind.
  ByteSet next_bytes(Cursor at);
  /// Cuts `classes` until the cursor treats all bytes of a class alike.
  void byte_classes(Cursor at, std::vector<ByteSet>& classes);
  /// Bytes of the closing.
  std::uint64_t closing_size(Cursor at);
  /// Takes the first piece off a closing; the cursor whose closing is the rest.
  Cursor front(Cursor at, std::string& word);

  // ---- for walks over a vocabulary, whose places are not worth a number each ----
  [[nodiscard]] State state(Cursor at) const { return states_[at]; }
  Cursor cursor(const State& s);
  /// step() without a number for the place.
  State read(const State& at, unsigned char byte) {
    fuel_ = Fuel("steps", kSteps);
    return advance(at, byte);
  }
  /// The same along `bytes` from `i` on: at least one, and as many as stay inside a scalar or a
  /// key, whose places on the way are not kept. Sets `i` behind the last.
  State read(const State& at, std::string_view bytes, std::size_t& i);
  /// The same as read() of a byte with the fuel that is left.
  State advance(State at, unsigned char byte);
  bool accepting(const State& at);
  /// The budget of one mask's questions.
  void refuel() { fuel_ = Fuel("steps", 10 * kSteps); }
  /// A bound for the bytes of a place's closing, were no item to come twice.
  std::uint64_t closing_bound(const State& at);
  /// The same of all places that so many more bytes lead to, where items may have to.
  std::uint64_t with_repeats(std::uint64_t bound, const State& at, std::size_t more);
  /// The same for a cursor that is known to have a closing; nothing where it must be looked for.
  std::optional<std::uint64_t> sure_bound(Cursor at);

  // ---- for masks near the end of a budget ----
  /// Inside an item that must differ from others.
  [[nodiscard]] bool recorded(const State& at) const;
  /// Inside a key, or a string that is not enumerated or lies in an item that must differ: texts
  /// that lead to one group (not 0) close alike, but for those that are told_apart(). 0 elsewhere.
  [[nodiscard]] std::uint32_t text_group(const State& at) const;
  /// The group a byte on; 0: none.
  std::uint32_t text_group_step(std::uint32_t group, unsigned char byte) {
    return leaf_step(group, byte);
  }
  /// Of the closing's bytes from a group on, whatever its text is; nothing where it may have none.
  std::optional<std::uint64_t> text_bound(const State& at, std::uint32_t group);
  [[nodiscard]] bool text_group_ends(std::uint32_t group) const { return leaves_[group].accepting; }
  /// Of a group that ends, at the place `at`: the same number for texts that lead alike.
  [[nodiscard]] std::uint64_t text_end(const State& at, std::uint32_t group) const;
  /// Nothing where any text's closing may be another. They become more while closings are found, by
  /// as many as told_apart_count() says.
  [[nodiscard]] std::optional<ToldApart> told_apart(const State& at);
  [[nodiscard]] std::size_t told_apart_count(const State& at) const;

  /// About what it has grown to, and what it holds now: see Automaton.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  friend class SchemaWalk;
  friend class StandardStems;
  using LevelId = std::uint32_t;  // 0: the whole value is complete
  using LeafId = std::uint32_t;   // 0: dead
  enum class Kind : std::uint8_t { kValue, kObject, kArray };
  struct Alternative {
    FormulaId formula = 0;
    LevelId next = 0;
    friend auto operator<=>(const Alternative&, const Alternative&) = default;
  };
  using Patterns = std::vector<FormulaId>;   // of keys
  using Names = std::vector<std::uint32_t>;  // by their numbers
  using Levels = SmallVector<LevelId, 4>;
  using Alternatives = SmallVector<Alternative, 2>;
  struct Level {
    Kind kind = Kind::kValue;
    std::uint32_t depth = 0;  // containers around it, itself included
    std::uint32_t seen = 0;   // key set
    bool recorded = false;    // lies inside an item that must differ from others
    Alternatives alternatives;
    LeafId leaf = 0;  // kValue: its scalars; kObject: its keys
    bool has_leaf = false;
    std::optional<LevelId> inside[2];  // kValue: in its object, in its array
    bool may_end = false, end_known = false;
    SmallVector<LevelId, 2> ends;  // where it leads when it ends here
    NumberMap<LevelId> by_key;     // kObject: the value after a key, by its name's number
    // kObject: where any other key may come: the names that are none such, and see other_value().
    bool any_key = false;
    const Names* names = nullptr;
    LevelId other_value = 0;
    // kObject: the scalars of keys under patterns, and the level after any key of each.
    std::vector<std::pair<std::uint32_t, LevelId>> key_values;
    std::uint64_t closing_bound = 0;            // see level_bound(); 0: not computed
    std::optional<std::uint64_t> closing_cost;  // see closing_cost()
    std::uint64_t after_key = 0;  // kObject: a bound for what follows a key that may come
    std::uint32_t repeats = 0;    // of itself and those around it, where an item must come twice
    std::optional<LevelId> item;  // kArray: the next item's level
    LevelId stem = 0, next_stem = 0;  // see value_stem(), object_stem()
    bool stem_known = false, next_stem_known = false;
    std::uint8_t standard = 0;  // a stem: types, where the value may be anything of these
    [[nodiscard]] std::size_t held_bytes() const {
      return held_by_all(alternatives, ends, by_key, key_values);
    }
  };
  struct LeafPart {
    std::uint32_t scalar = 0;
    std::uint32_t state = 0;  // of its ScalarRun
    LevelId next = 0;         // of scalars: the level after the value
    friend bool operator==(const LeafPart&, const LeafPart&) = default;
  };
  using LeafParts = SmallVector<LeafPart, 2>;
  struct WalkRoom;  // see schema_walk.h
  struct Leaf {
    LeafParts parts;
    struct Known {
      unsigned char byte = 0;
      LeafId to = 0;
    };
    SmallVector<Known, 2> known;  // few steps: a list; many: the row
    std::unique_ptr<LeafId[]> row;
    ByteSet bytes;  // that some part reads next, perhaps others: a step tells
    bool accepting = false;
    bool finishes = false;  // accepting, and the whole value is complete then
    bool goes_on = false;   // some part reads another byte
    bool recorded = false;  // its text is needed where it ends
    bool closes = false;    // the two below are set
    unsigned char closing_byte = 0;
    LeafId closing_next = 0;  // 0: it ends here
    [[nodiscard]] std::size_t held_bytes() const {
      return held_by_all(parts, known) + (row != nullptr ? block_bytes(256 * sizeof row[0]) : 0);
    }
  };
  struct StateHash {
    std::size_t operator()(const State& s) const;
  };
  // What fits below a node of a trie where a place stands (see schema_walk_lists.cpp): tokens or
  // exits of a piece, by their numbers; those that depend on the text before; nodes where the
  // value, or the object, is complete, and where a key of few begins; a bound for the closings they
  // lead to.
  struct List {
    bool known = false;        // else it depends on what stands around the whole value
    std::vector<TokenId> ids;  // that fit
    std::vector<std::uint32_t> fit, unsure, ends, keys;  // `fit`: of exits, those of `ids`
    std::uint64_t largest = 0;
    void clear() {
      known = false;
      ids.clear(), fit.clear(), unsure.clear(), ends.clear(), keys.clear();
      largest = 0;
    }
    [[nodiscard]] std::size_t held_bytes() const {
      return held_by_all(ids, fit, unsure, ends, keys);
    }
    [[nodiscard]] std::size_t bytes() const {  // with its place in a table
      return (ids.size() + fit.size() + unsure.size() + ends.size() + keys.size()) * 4 + 272;
    }
  };
  struct ListKey {
    const TokenTrie* trie = nullptr;
    std::uint32_t node = 0;
    State place;
    std::uint8_t stands_in = 0;
    bool ends = false;  // exits with nothing left too
    friend bool operator==(const ListKey&, const ListKey&) = default;
  };
  struct ListKeyHash {
    std::size_t operator()(const ListKey& k) const {
      return mix(mix(StateHash()(k.place), std::hash<const void*>()(k.trie)),
                 std::uint64_t{k.node} * 16 + k.stands_in + (k.ends ? 8 : 0));
    }
  };
  struct KeptList {
    ListKey key;
    std::shared_ptr<const List> list;                            // nullptr: not made yet
    [[nodiscard]] static std::size_t held_bytes() { return 0; }  // it may be all machines'
  };
  std::shared_ptr<const List>& list(const ListKey& key);
  // A mask without what stands around its place (see schema_walk_stem.cpp).
  struct StemMask {
    bool known = false;  // else it is of no use to other places
    MaskBuilder mask;
    struct Way {  // on from where the value ends, or from where a key begins
      const Terminal::Piece* piece = nullptr;  // of the exits of one, else of the vocabulary
      std::uint32_t fewest = 0, most = UINT32_MAX;
      std::optional<std::vector<std::uint32_t>> only;
      std::vector<std::uint32_t> without;
      std::uint32_t node = 0;
      bool exits = false;  // all of the piece's
      bool emit = false;   // the tokens that end at the node too
      std::optional<LeafId> key;
      [[nodiscard]] std::size_t held_bytes() const { return held_by_all(only, without); }
    };
    std::vector<Way> ways;
    std::uint64_t largest = 0;
    [[nodiscard]] std::size_t bytes() const;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(mask, ways); }
  };
  static constexpr std::uint32_t kNoScalar = UINT32_MAX;
  struct Scalar {
    ScalarRun run;  // empty: no scalar
    std::string closing;
    std::uint32_t untaken = kNoScalar;  // where texts were taken away: the scalar before that
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(run, closing); }
  };
  enum class Verdict : std::uint8_t { kNew, kOpen, kYes, kNo, kUndecided };
  struct ValueFacts {
    Verdict verdict = Verdict::kNew;
    Kind kind = Kind::kValue;  // of the closing: kValue is a scalar
    std::uint64_t size = 0;
    std::uint32_t height = 0;  // containers inside each other
  };
  struct Plan {  // how the rest of a container closes
    Verdict verdict = Verdict::kNew;
    bool end = false;
    std::string key;      // objects
    FormulaId value = 0;  // what it or the item satisfies
    FormulaId rest = 0;
    std::uint32_t seen = 0;
    std::uint64_t size = 0;
    std::uint32_t height = 0;
    std::shared_ptr<const RequiredMembers> required;  // where it is known by these alone …
    std::uint32_t next = 0;                           // … and the first of them that is to come
    [[nodiscard]] std::size_t held_bytes() const {
      return grammar::held_bytes(key) + (required ? required->held_bytes() : 0);
    }
  };
  struct Pair {
    FormulaId value, rest;
  };

  std::unique_ptr<WalkRoom> walk_room();  // schema_walk.cpp
  // schema_closing.cpp
  std::uint64_t level_bound(LevelId level) {
    if (level == 0) return 0;
    const std::uint64_t known = levels_[level].closing_bound;
    return known != 0 ? known : find_level_bound(level);
  }
  std::uint64_t find_level_bound(LevelId level);
  std::uint64_t key_bound(LevelId object, std::uint64_t left);
  // schema_machine.cpp
  bool own_key(const Level& object, std::string_view spelled);
  std::shared_ptr<const OwnKeys> own_keys(const Level& object);
  Names may_come(LevelId object, const Names& names);
  Names may_come_together(LevelId object, const Names& names, Names& unsure);
  KeyWords::Place key_words(Names names);
  const std::string& spelled(std::uint32_t name);
  State after_value(std::span<const LevelId> ends, std::uint32_t text, bool container = false);
  LevelId level(Level&& level);
  bool implies(LevelId from, LevelId to);
  // Of a few ways on, those that add nothing to another one.
  template <class Ways, class Implies>
  static void drop_implied(Ways& ways, Implies&& implies) {
    constexpr std::size_t kFew = 8;
    for (std::size_t i = ways.size(); i-- > 0 && ways.size() <= kFew;) {
      const bool said = std::ranges::any_of(
          ways, [&](const auto& other) { return &other != &ways[i] && implies(ways[i], other); });
      if (!said) continue;
      std::move(ways.begin() + static_cast<std::ptrdiff_t>(i) + 1, ways.end(),
                ways.begin() + static_cast<std::ptrdiff_t>(i));
      ways.shorten(ways.size() - 1);
    }
  }
  LevelId merge(std::span<const LevelId> levels);
  State enter(LevelId value, Kind kind, std::uint32_t text = 0);
  LevelId value_after_key(LevelId object, const std::string& key);
  // The same after a key as it is spelled; 0 where that is no string.
  LevelId value_after_spelled(LevelId object, std::string spelled);
  LevelId other_value(LevelId object);
  LevelId value_end();
  std::pair<LevelId, LevelId> value_stem(LevelId value);
  // `place` at a stem of a value that says no more than types: the same in all machines.
  [[nodiscard]] std::optional<State> standard(State place) const;
  LevelId object_stem(LevelId object, bool keys_alike);
  std::uint64_t object_bound(LevelId object), longest_key(LevelId object);
  LevelId value_of(const Level& container, std::optional<std::uint32_t> name, std::uint32_t seen);
  LevelId next_item(LevelId array);
  bool may_end(LevelId container);
  LeafId scalars_of(LevelId value);
  LeafId keys_of(LevelId object);
  bool free_of_key(const State& at) const;
  using Planned = std::vector<std::pair<std::uint32_t, FormulaId>>;  // names and values
  std::optional<Planned> planned(const Level& object, const Alternative& a);
  std::optional<std::uint64_t> closes_behind(const Level& object, const Alternative& a,
                                             const Planned& plan, std::uint32_t name);
  LeafId leaf(LeafParts parts);
  void leave_taken(LeafPart& part);
  LeafId leaf_step(LeafId at, unsigned char byte);
  State leaf_end(LeafId at, std::uint32_t text);
  std::uint32_t recorded(LeafId leaf, std::uint32_t text, unsigned char byte) {
    return leaves_[leaf].recorded ? extend(text, byte) : 0;
  }
  // schema_unique_items.cpp
  bool complete_anyway(LevelId array);
  std::optional<ItemsAsked> items_asked(FormulaId rest);
  bool never_runs_out(FormulaId rest);
  FormulaId without_dead_ends(FormulaId value, FormulaId rest);
  FormulaId that_repeats(FormulaId value, FormulaId rest);
  bool free_of_item(LeafId leaf) const;
  std::optional<Json> text_of_most(std::uint32_t scalar, const std::set<std::string>& apart);
  const AnyItem& after_any_item(const LeafPart& part);
  bool find_apart(FormulaId rest, std::set<std::string>& apart);
  [[nodiscard]] std::optional<ItemSoFar> item_so_far(const State& at) const;

  void find_leaf_closing(LeafId leaf);
  Cursor find_key_closing(Cursor at, std::string& read);
  bool joins_list(LevelId after);
  [[nodiscard]] State without_text(State at) const;
  std::uint32_t extend(std::uint32_t text, unsigned char byte);
  // `text` and a byte of punctuation, where the place at `level` is recorded.
  std::uint32_t punctuated(LevelId level, std::uint32_t text, unsigned char byte) {
    return level != 0 && levels_[level].recorded ? extend(text, byte) : 0;
  }
  // The key that is being read at a place of `object`, as it is spelled.
  std::string key_so_far(LevelId object, std::uint32_t text) const;
  std::string text_of(std::uint32_t text) const;
  std::uint32_t seen_with(std::uint32_t seen, const std::string& key);
  const Alternative* closing_alternative(LevelId container);
  std::uint64_t closing_cost(LevelId container) {
    if (container == 0) return 0;
    const std::optional<std::uint64_t>& known = levels_[container].closing_cost;
    return known ? *known : find_closing_cost(container);
  }
  std::uint64_t find_closing_cost(LevelId container);
  [[nodiscard]] bool has_seen(std::uint32_t seen, std::uint32_t name) const;
  std::shared_ptr<const ScalarDfa> key_automaton(FormulaId pattern);
  LanguageRelation key_relation(FormulaId a, FormulaId b);
  std::optional<KeyClass> key_class(const Patterns& patterns, const Patterns& matched);
  const std::vector<KeyClass>& key_classes(const Patterns& patterns);
  bool classes_by_pairs(const Patterns& patterns, std::vector<KeyClass>& out);
  std::optional<bool> classes_together(const Patterns& patterns, std::vector<KeyClass>& out);
  std::vector<FormulaId> by_lengths(FormulaId f);
  bool in_class(const KeyClass& key, std::uint32_t name);
  FoundKeys& found_class(const KeyClass& key, const Names& names);
  void note_found(const FoundKeys& of, std::size_t from);
  std::vector<FormulaId> open_languages(const KeyClass& key, const Names& names,
                                        std::uint32_t seen);
  std::vector<FormulaId> class_languages(const KeyClass& key, std::span<const std::uint32_t> names,
                                         std::span<const std::uint32_t> taken);
  void suggest_keys(FoundKeys& of, const KeyClass& key);
  bool find_next_key(FoundKeys& of, const KeyClass& key);
  std::optional<std::string> fresh_key(const KeyClass& key, const Names& names, std::uint32_t seen);
  // schema_derivative.cpp
  FormulaId expand(FormulaId f);
  FormulaId expand_key(FormulaId f);
  FormulaId literal_after_member(FormulaId l, std::uint32_t name);
  PartsByName parts_by_name(FormulaId f);
  FormulaId after_member(FormulaId f, std::uint32_t name);
  FormulaId after_item(FormulaId f);
  bool at_end(FormulaId f);
  bool has_unique(FormulaId f) const { return formulas_.has_atom(f, AtomKind::kUnique); }
  bool has_child(FormulaId f) const { return formulas_.has_atom(f, AtomKind::kChild); }
  FormulaId with_value(FormulaId f, JsonValueId value);
  FormulaId with_value(FormulaId f, const Json& value) {
    return with_value(f, formulas_.value(value));
  }
  const KeyFacts& key_facts(FormulaId f);
  const Names* name_set(Names&& names);
  bool key_matches(FormulaId pattern, std::uint32_t name);
  // schema_split.cpp
  FormulaId comparable(FormulaId value);
  // Products multiply where there are more than a few, and a few for each thing that is told.
  static constexpr std::size_t kFewProducts = 64, kFewATold = 8, kManyProducts = 1 << 20;
  std::size_t products(FormulaId f, std::size_t& told);
  bool split(FormulaId f, std::vector<Pair>& out);
  struct SplitParts {
    std::vector<FormulaId> values, rests, mixed;
  };
  SplitParts split_parts(FormulaId f);
  bool split_by_values(FormulaId f, std::vector<Pair>& out);
  static constexpr std::size_t kMostCases = 1024, kMostTold = 256, kMostHeld = 8, kMaxPairs = 4096;
  bool says_too_much(FormulaId f);
  bool split_by_cases(FormulaId whole_formula, std::vector<Pair>& out);
  FormulaId by_patterns(FormulaId known, FormulaId said);
  FormulaId without_implied(FormulaId value, FormulaId said);
  bool split_by_products(FormulaId f, std::vector<Pair>& out);
  std::optional<FormulaId> member_value(FormulaId f, const KeyFacts& facts, std::uint32_t name);
  bool split_member(FormulaId f, std::uint32_t name, std::vector<Pair>& out);
  void group(std::vector<Pair>& pairs);
  // schema_liveness.cpp
  FormulaId inside(FormulaId f, Kind kind);
  ValueFacts value_facts(FormulaId f);
  static constexpr std::uint32_t kNoName = UINT32_MAX;
  [[nodiscard]] std::optional<std::uint32_t> first_in_order(FormulaId f) const;
  bool wants_repeat(FormulaId f);
  [[nodiscard]] Names required_by_all(FormulaId f) const;
  const Plan& plan(Kind kind, FormulaId f, std::uint32_t seen);
  std::shared_ptr<const RequiredMembers> required_alone(FormulaId f, std::uint32_t seen);
  FormulaId after_witness(FormulaId rest, FormulaId value);
  std::optional<Json> witness(FormulaId value);
  std::optional<std::set<std::string>> texts_around(std::vector<LevelId> levels);
  bool fits(std::uint32_t depth, std::uint32_t high) const { return depth + high <= max_depth_; }

  // schema_machine_scalars.cpp
  std::uint32_t scalar(FormulaId f);
  const std::vector<std::uint32_t>& scalars(FormulaId f);
  const Scalar* least_scalar(FormulaId f);
  std::optional<ScalarRun> terminal(FormulaId f);
  std::optional<ScalarLibrary::Entry> entry_of(FormulaId f, FormulaId key, bool canonical);
  std::optional<ScalarRun> automaton(FormulaId f, FormulaId key, bool canonical);
  std::vector<FormulaId> ways(FormulaId f);
  std::vector<FormulaId> listed_apart(FormulaId f);
  void append_texts(std::uint32_t set, std::vector<std::string>& out) const;
  std::optional<ScalarLibrary::Entry> scalar_program(FormulaId f, bool canonical);
  bool holds(FormulaId f, const Json& scalar);

  // schema_prepare.cpp
  std::vector<FormulaId> objects_by_patterns();
  std::size_t prepare_key(FormulaId language);
  void prepare_patterns();
  void prepare();
  // schema_machine_combined.cpp
  FormulaId in_canonical(FormulaId f);
  std::optional<ScalarRun> with_texts_taken(FormulaId f, std::uint32_t& untaken);
  std::optional<ScalarRun> with_length(FormulaId f, bool canonical);
  std::shared_ptr<const ScalarDfa> without_empty(const std::shared_ptr<const ScalarDfa>& dfa,
                                                 FormulaId f);
  std::optional<ScalarLibrary::Entry> known_entry(const std::optional<std::string>& name) const;
  void keep_entry(const std::optional<std::string>& name, const ScalarLibrary::Entry& entry);
  std::optional<ScalarLibrary::Entry> in_canonical_spelling(FormulaId f);
  std::uint32_t untaken(FormulaId f);
  std::optional<ScalarRun> side_by_side(std::shared_ptr<const ScalarCombination> parts) const;
  std::optional<ScalarRun> side_by_side(FormulaId f, bool canonical);
  std::optional<ScalarLibrary::Entry> combined(FormulaId f, bool canonical, bool fails = false);
  using CombinedNode = ScalarCombination::Node;
  std::optional<ScalarLibrary::Entry> finished(ScalarCombination& what, CombinedNode root);
  std::optional<CombinedNode> combined_strings(ScalarCombination& what, FormulaId f,
                                               bool canonical);
  std::optional<CombinedNode> looks_apart(ScalarCombination& what, const Atom& of, bool canonical);
  std::optional<ScalarLibrary::Entry> numbers(FormulaId f, bool canonical, bool plain);
  std::shared_ptr<const ScalarDfa> multiples(const Decimal& of);
  std::optional<CombinedNode> combined_multiples(ScalarCombination& what, JsonTypes types,
                                                 const std::vector<FormulaId>& parts);

  std::shared_ptr<const SchemaGraph> graph_;
  VocabularyRef vocabulary_;
  std::shared_ptr<ScalarLibrary> library_;
  std::uint32_t max_depth_;
  Formulas formulas_;
  FormulaId any_key_ = Formulas::kTrue, canonical_ = Formulas::kTrue;  // a string in one spelling
  Cursor start_ = kDead;
  bool undecided_ = false, spelled_ = true;
  std::size_t bytes_ = 0;
  Fuel fuel_{"steps", kSteps};
  std::size_t large_steps_ = 40'000;  // left for automata that take more than kDfaSteps
  std::shared_ptr<PartAutomata> parts_ = std::make_shared<PartAutomata>();

  std::vector<State> states_;
  InternTable cursor_ids_;
  std::vector<std::uint64_t> closing_sizes_;
  std::unordered_map<Cursor, unsigned char> key_closings_;  // by Phase::kKey: the next byte
  StableVector<Level> levels_;
  InternTable level_ids_;
  StableVector<Leaf, 16> leaves_;
  InternTable leaf_ids_;
  struct Text {
    std::uint32_t before = 0;
    unsigned char byte = 0;
  };
  std::vector<Text> texts_;
  InternTable text_ids_;
  std::set<Names> name_sets_;          // that formulas speak of
  std::vector<KeptOwnKeys> own_keys_;  // of the places that were asked for last
  std::unordered_map<std::uint32_t, std::string> name_texts_;  // as they are spelled
  KeyWords key_words_;
  std::map<std::tuple<Patterns, Patterns, Names>,
           FoundKeys>
      found_classes_;                 // by patterns, those that are matched, and names
  std::set<std::string> found_keys_;  // of all of them
  std::vector<Names> seen_sets_;      // names, sorted
  InternTable seen_ids_;
  std::deque<Scalar> scalars_;                            // never moved
  std::unordered_map<FormulaId, std::uint32_t> untaken_;  // kNoScalar: not decided
  NumberMap<std::uint32_t> scalar_ids_;
  std::unordered_map<FormulaId, std::vector<std::uint32_t>> scalars_by_type_;
  std::unordered_map<std::string, ScalarLibrary::Entry> entries_;  // that the library did not keep
  StableVector<KeptList> lists_;
  InternTable list_ids_;
  std::unordered_map<State, std::shared_ptr<const StemMask>, StateHash> stem_masks_;
  std::shared_ptr<StandardStems> standard_stems_;
  LevelId value_end_ = 0;
  NumberMap<LevelId> object_stems_, next_stems_;
  std::unordered_map<std::uint64_t, AnyItem> any_items_;  // by level and scalar
  NumberMap<FormulaId> expanded_, objects_, comparable_;  // see expand(), inside(), …
  NumberMap<ValueFacts> value_facts_;
  std::unordered_map<std::uint64_t, Plan> plans_;  // by formula, key set and kind
  std::unordered_map<FormulaId, KeyFacts> key_facts_;
  std::unordered_map<FormulaId, PartsByName> parts_by_name_;
  NumberMap<bool> key_matches_;                                          // by pattern and name
  NumberMap<LanguageRelation> key_relations_;                            // by two patterns
  std::map<std::vector<FormulaId>, std::vector<KeyClass>> key_classes_;  // by patterns
  NumberMap<FormulaId> member_values_;  // by members that stay the same and name
  std::uint32_t most_repeats_ = 0;      // of any level
  std::uint64_t taints_ = 0;            // answers that rested on a question still open
  std::size_t open_ = 0, nesting_ = 0;  // such questions, and how deep they are
  std::vector<std::unique_ptr<WalkRoom>> walk_rooms_;  // that no walk has now
  // after_value() was asked for what stands behind an item whose text was lost; that may add to the
  // language; its array may end there anyway, whose list it has not joined.
  bool item_missed_ = false, text_missed_ = false, item_left_out_ = false;
};

}  // namespace espalier::grammar
