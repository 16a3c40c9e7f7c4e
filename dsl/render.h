// A prompt as the model would see it, before anything runs: its text, what each turn takes in
// tokens, and how much of it every run begins with.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dsl/context.h"
#include "dsl/program.h"

namespace espalier::dsl {

/// A hole that a prompt has.
struct RenderedHole {
  std::string name;
  std::string type;
  std::string
      most;  // tokens of its value, at most, as `check --cost` writes them; of a `select` ""
};

/// A turn, or text outside of turns (without a role).
struct RenderedTurn {
  std::string role;
  std::string branch;      // the forks that it stands in, as written: "fork 5"; else ""
  std::size_t tokens = 0;  // its text with what the template puts around it; holes are not in it
  bool whole = true;       // false: it holds a value that only a run knows, which is not counted
  std::vector<RenderedHole> holes;
};

struct RenderedPrompt {
  /// Control tokens by their names, holes as $[name: type], each fork's branch in brackets where it
  /// begins.
  std::string text;
  std::vector<RenderedTurn> turns;
  /// What is computed before the first hole, or before the first value that only a run knows;
  /// `until` names it ("" where there is none).
  std::size_t tokens = 0;
  std::string until;
  /// So many of these, from the first on, are the same in every run of the generator, whatever its
  /// arguments; without those at the end that other text behind them could change.
  std::size_t shared = 0;
};

/// What the model would see, without running it. Stops with a note where the program goes on by a
/// value that only the model or a tool can give. Turns that a run would drop before its first hole
/// (`overflow`) are left out, which the first line says; where a run would fail there for want of
/// room, so does this.
[[nodiscard]] Result<RenderedPrompt> render_prompt(const ModelParts& model, const Program& program,
                                                   std::string_view gen, const Json& arguments);

}  // namespace espalier::dsl
