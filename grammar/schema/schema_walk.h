// The mask of one place inside a schema's value.
//
// Walks the vocabulary's trie over the machine's places, without giving them numbers, along the
// bytes that a place reads. Where a standard scalar or a key that may be anything begins or is
// being read, the terminal's piece has the tokens that stay inside; only the endings of those that
// leave are walked. Exact: the same tokens as trying each with SchemaMachine::step.
//
// What it finds of a value, or of an object's next key, is kept in the machine without what stands
// around the place (its stem), and serves all places that have the same stem.
//
// Used once a mask: make one, call run(), take what it found.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/schema/schema_machine.h"
#include "grammar/token_trie.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class SchemaWalk {
 public:
  /// What follows where the value may be complete: the caller's states.
  class Outside {
   public:
    virtual ~Outside() = default;
    virtual StateId enter(const SchemaMachine::State& at) = 0;  // Automaton::kDead: nothing
    virtual StateId step(StateId state, unsigned char byte) = 0;
    virtual std::uint32_t distance(StateId state) = 0;  // Automaton::kNever: not live
  };

  SchemaWalk(SchemaMachine& machine, const Vocabulary& vocabulary, Outside& outside,
             MaskBuilder& mask);
  ~SchemaWalk();
  SchemaWalk(const SchemaWalk&) = delete;
  SchemaWalk& operator=(const SchemaWalk&) = delete;

  /// Allows the tokens that may come at `from`, which is not accepting.
  void run(const SchemaMachine::State& from);
  /// A bound for the closings that they lead to: bytes of the value, or tokens after it.
  [[nodiscard]] std::uint64_t largest() const {
    return machine_.with_repeats(largest_, from_, vocabulary_.longest_token());
  }

 private:
  friend class SchemaMachine;
  using State = SchemaMachine::State;
  using Phase = SchemaMachine::Phase;
  using Kind = SchemaMachine::Kind;
  using LeafPart = SchemaMachine::LeafPart;
  using Piece = Terminal::Piece;
  static constexpr std::uint8_t kKey = 1, kItem = 2, kLeftOut = 4;
  static constexpr std::uint32_t kLostText = SchemaMachine::kLostText;
  struct Place {
    State inside;
    StateId outside = 0;  // where the value may have ended; 0: it has not
    // kKey, kItem: one went by that stands for another one; kLeftOut: a container as an item did
    // that is not in its array's list.
    std::uint8_t stands_in = 0;
    std::uint16_t key = 0;  // Phase::kKey: depth of its quote, 0: it began before the walk
  };
  static bool dead(const Place& at) {
    return at.outside == 0 ? at.inside.phase == Phase::kDead : at.outside == Automaton::kDead;
  }
  // Exits of a piece.
  struct Exits {
    const Piece* piece = nullptr;
    std::uint32_t fewest = 0, most = UINT32_MAX;       // characters that one may have begun
    const std::vector<std::uint32_t>* only = nullptr;  // no others, sorted
    std::span<const std::uint32_t> without;            // not these, sorted
    [[nodiscard]] bool all() const {
      return fewest == 0 && most == UINT32_MAX && only == nullptr && without.empty();
    }
  };
  // The tokens of a trie: the vocabulary's, or what is left of a piece's exits.
  struct Tokens {
    const TokenTrie* trie = nullptr;
    const Piece* piece = nullptr;
    const Exits* which = nullptr;                // of the exits, those that are looked for
    std::vector<unsigned char>* path = nullptr;  // bytes on the way, by depth
    bool each = false;                           // allowed only where the token, tried alone, fits
    SchemaMachine::List* list = nullptr;         // what fits is not allowed but listed
    SchemaMachine::LevelId object = 0;           // of a list that ends where this object does
  };

  void below(const Tokens& tokens, std::uint32_t node, const Place& place);
  bool visit(const Tokens& tokens, std::uint32_t node, const Place& before, Place& next);
  std::optional<Place> advance(const Tokens& tokens, const Place& before, unsigned char byte,
                               std::size_t depth);
  ByteSet begin_value(const Tokens& tokens, std::uint32_t node, const Place& place);
  ByteSet bytes_of(const Tokens& tokens, std::uint32_t node, const Place& place);
  void emit(const Tokens& tokens, std::uint32_t node, const Place& place);
  void emit_one(const Tokens& tokens, TokenId id);
  [[nodiscard]] bool depends(const Place& place) const;
  // A part of a leaf: of a value, or of a key.
  struct Part {
    LeafPart leaf;
    bool key = false;
    bool each = false;                  // what ends it depends on its text
    const AnyItem* any_item = nullptr;  // what stands after it, whatever its text
    std::uint64_t after = 0;            // bytes that close what follows it, at most
    std::uint8_t stands_in = 0;         // of the place: what went by before it in the token
  };
  // What a list is made from, and what stands around the place that uses it.
  struct Stem {
    State place;
    SchemaMachine::LevelId end = 0;     // before a value: what stands after it; 0: in the list
    SchemaMachine::LevelId object = 0;  // after a member: the list's object; 0: in the list
    std::uint64_t own_bound = 0, stem_bound = 0;
  };
  void try_each(const Tokens& tokens, std::span<const TokenId> ids);
  // schema_walk_stem.cpp
  bool by_stem(const State& from);
  const SchemaMachine::StemMask& stem_mask(const Stem& stem);
  [[nodiscard]] bool ends_stem(const Place& place) const;
  void way(const Tokens& tokens, std::uint32_t node, bool emit);
  void way(const Exits& which);
  void go(const SchemaMachine::StemMask::Way& way, const Place& after,
          SchemaMachine::LevelId object);
  bool descend(std::uint32_t node, Place& place);

  bool fits(TokenId token);
  Place replayed(std::string_view bytes);
  std::optional<Place> behind_item(const Tokens& tokens, std::uint32_t node);
  bool note(const Place& place);

  // schema_walk_lists.cpp
  Stem stem_of(const Place& place);
  void listed(Tokens tokens, std::uint32_t node, const Place& place, bool ends);
  void list_key(const Tokens& tokens, std::uint32_t node, const Place& place);
  bool ends_list(const Tokens& tokens, std::uint32_t node, const Place& before, const Place& next);
  [[nodiscard]] bool ends_value(const Tokens& tokens, const Place& place) const;
  void exits(const Exits& which, const Place& after, bool each);
  static bool chosen(const Tokens& tokens, std::uint32_t exit);
  void try_exit(const Tokens& tokens, std::uint32_t exit);

  // schema_walk_scalars.cpp
  bool leaf_pieces(std::uint32_t node, State& leaf, std::uint8_t stands_in);
  Part value_part(const LeafPart& part, std::uint8_t stands_in);
  Place after_part(const Part& part);
  [[nodiscard]] std::optional<ItemSoFar> item_before(std::uint32_t node, const Part& part) const;
  bool apart_exits(std::uint32_t node, const Part& part, const Piece& piece,
                   std::vector<std::uint32_t>& alone, bool& here) const;
  [[nodiscard]] bool differs_at(std::uint32_t node, const Part& part, std::uint32_t at) const;
  std::optional<Place> exact_end(std::uint32_t node, bool quoted);
  bool part_piece(std::uint32_t node, const Part& part);
  bool terminal_piece(std::uint32_t node, const Part& part);
  bool dfa_piece(const Part& part);
  bool product_piece(std::uint32_t node, const Part& part);
  template <class Allow>
  void allow_untaken(std::uint32_t node, const Part& part, Allow&& allow);
  std::vector<TokenId> lost_to_taken(std::uint32_t node, const Part& part);
  void allow_counted(MaskBuilder& to, const Part& part, const ScalarDfa::Tokens& tokens,
                     std::uint32_t left);
  void part_below(std::uint32_t node, const Part& part);
  void leave(std::uint32_t node, Part part, Exits exits, bool quoted, bool at_once);
  void exits_of(const Piece& piece, std::string_view text, std::vector<std::uint32_t>& out) const;
  bool note_bound(std::uint64_t bound);
  bool note_part(const Part& part, std::uint32_t state);
  template <class Visit>
  void along(std::uint32_t node, ScalarRun& run, std::uint32_t from, Visit visit);
  bool key_pieces(std::uint32_t node, Place& key);
  bool key_piece(std::uint32_t node, const Place& key);
  bool named_keys(std::uint32_t node, const Place& key);
  void allow_stay(MaskBuilder& to, const Piece& piece, std::uint32_t most);
  [[nodiscard]] std::string key_text(const Tokens& tokens, const Place& place,
                                     std::size_t depth) const;

  SchemaMachine& machine_;
  const Vocabulary& vocabulary_;
  Outside& outside_;
  MaskBuilder& mask_;
  Tokens all_;
  State from_;
  std::uint64_t largest_ = 0;
  State noted_;  // the last place whose bound was taken
  bool noted_fits_ = false;
  SchemaMachine::StemMask* stem_mask_ = nullptr;  // being made
  SchemaMachine::LevelId stem_object_ = 0;        // after a comma: whose keys are its ways on
  bool listing_ = false, unlistable_ = false;     // a list is being made; it is of no use elsewhere
  struct Open {
    std::size_t first = 0;  // of its children in todo_, the last being next
    Place place;
  };
  std::unique_ptr<SchemaMachine::WalkRoom> room_;
  std::vector<unsigned char>&path_, &exit_path_;
  std::vector<Open>& open_;           // nodes whose children are being visited
  std::vector<std::uint32_t>& todo_;  // those children
};

// What walks of one machine take turns with, so that not each needs memory of its own.
struct SchemaMachine::WalkRoom {
  std::vector<unsigned char> path, exit_path;
  std::vector<SchemaWalk::Open> open;
  std::vector<std::uint32_t> todo;
  SchemaMachine::List list;  // that is being made; kept at its size
  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(path, exit_path, open, todo, list);
  }
};

}  // namespace espalier::grammar
