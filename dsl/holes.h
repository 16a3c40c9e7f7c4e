// The holes of a program that a run can reach, with the literal that ends each.
#pragma once

#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "dsl/program.h"

namespace espalier::dsl {

/// The literal directly after chunk `index` of `text`, which is where a hole there ends; empty if
/// there is none.
[[nodiscard]] std::string_view follow_of(const Text& text, std::size_t index);

/// Calls `visit` with each hole of `gen` and of the generators it calls, splices or forks into,
/// each once.
void each_hole(const Program& program, const GenInfo& gen,
               const std::function<void(const Hole& hole, std::string_view follow)>& visit);

/// Calls `visit` with each hole of the program, each once. O(program).
void each_hole(const Program& program,
               const std::function<void(const Hole& hole, std::string_view follow)>& visit);

/// As the first without the generators that are called, which run in contexts of their own: the
/// holes whose text stands where `gen`'s does.
void each_own_hole(const Program& program, const GenInfo& gen,
                   const std::function<void(const Hole& hole, std::string_view follow)>& visit);

/// The generators that `gen` itself calls, splices or calls in forks, as often as it does.
[[nodiscard]] std::vector<const GenInfo*> called_gens(const Program& program, const GenInfo& gen);

/// The holes of `block` after which a run of it asks nothing more of the model in this context, as
/// far as that can be read off it; none of loops and retries. O(block).
[[nodiscard]] std::set<HoleId> last_holes(const Program& program, const Block& block);

}  // namespace espalier::dsl
