// How long a list and how large a number may be, before anything runs: bounds in a generator's
// parameters, found through what its names stand for.
//
// A name is bound once and never shadowed, so it stands for one value; names in sibling blocks may
// be equal, so a walk binds each as it meets it, and each is worked out once, then. What nothing is
// known about is a symbol of its own, as it is written. Numbers count as 0 where they are below it.
// Keeps a pointer to the program; walks an expression as deep as the parser lets it be.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dsl/bound.h"
#include "dsl/program.h"

namespace espalier::dsl {

class ValueBounds {
 public:
  explicit ValueBounds(const Program& program) : program_(&program) {}

  void bind(const std::string& name, const Expr& value);
  /// `name` is a list of so many items at most.
  void bind_list(const std::string& name, const Bound& length);
  /// `name` is an item of `list`.
  void bind_item(const std::string& name, const Expr& list);

  /// Items of a list or of a map, numbers of a range, at most.
  [[nodiscard]] Bound length(const Expr& list) const;
  /// An integer, at most.
  [[nodiscard]] Bound most(const Expr& number) const;
  [[nodiscard]] Bound branches(const ForkExpr& fork) const;

 private:
  struct Meaning {
    std::optional<Bound> length, most;
  };
  [[nodiscard]] const Meaning* meaning(const Expr& expr) const;
  /// The first argument of a call of this function; null where it is none.
  [[nodiscard]] const Expr* given_to(Builtin function, const Expr& call) const;
  /// A name that no expression explains: a parameter's, a hole's.
  [[nodiscard]] bool names_itself(const Expr& expr) const;
  [[nodiscard]] std::optional<Bound> known_length(const Expr& list) const;
  [[nodiscard]] std::optional<Bound> known_most(const Expr& number) const;
  [[nodiscard]] std::string written(const Expr& expr) const;

  const Program* program_;
  std::map<std::string, Meaning> bound_;
};

}  // namespace espalier::dsl
