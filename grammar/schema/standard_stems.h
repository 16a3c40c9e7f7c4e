// Lists and masks of places before a value of which a schema says no more than its types: what
// follows there is the vocabulary's alone, so all schemas share it.
//
// Made by the first walk that comes by (schema_walk_lists.cpp, schema_walk_stem.cpp), at most
// kBytes a vocabulary; further ones stay their machine's own. Thread-safe. It refers to the
// vocabulary without owning it; whoever runs a machine owns that.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

class StandardStems {
 public:
  static constexpr std::size_t kBytes = std::size_t{8} << 20;
  using ListRef = std::shared_ptr<const SchemaMachine::List>;
  using StemMaskRef = std::shared_ptr<const SchemaMachine::StemMask>;

  /// The vocabulary's, made at the first call.
  static std::shared_ptr<StandardStems> of(const VocabularyRef& vocabulary);

  /// By the place, its level replaced by the types' bits; nullptr where none is kept.
  ListRef list(const SchemaMachine::ListKey& key);
  void add(const SchemaMachine::ListKey& key, const ListRef& list);
  StemMaskRef mask(const SchemaMachine::State& place);
  void add(const SchemaMachine::State& place, const StemMaskRef& mask);

 private:
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::unordered_map<SchemaMachine::ListKey, ListRef, SchemaMachine::ListKeyHash> lists_;
  std::unordered_map<SchemaMachine::State, StemMaskRef, SchemaMachine::StateHash> masks_;
};

}  // namespace espalier::grammar
