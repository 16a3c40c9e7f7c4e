// Which parameter of a program gets what of a row.
//
// A document is the value of the one string parameter that is not given on the
// command line and has no default (else the one string parameter not given). A
// row's fields go to the parameters of their names (or JSON keys); the command
// line's arguments stand for all rows, below a row's own. A cell of a table is
// read as on the command line: text for texts, JSON for other types; an empty
// one is not given where the parameter may be left out, and null where it may be
// null. Fields that no parameter takes are noted, not refused: rows often carry
// more than a program asks for.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "batch/inputs.h"
#include "dsl/program.h"
#include "grammar/json.h"

namespace espalier::cli {

class RowArguments {
 public:
  /// Errors are of the command line: no place for the document, or more than
  /// one.
  [[nodiscard]] static Result<RowArguments> create(const dsl::GenInfo& gen, Json given,
                                                   bool documents);
  RowArguments(RowArguments&& other) noexcept;

  [[nodiscard]] const Json& given() const { return given_; }
  /// The arguments for one row. Thread-safe.
  [[nodiscard]] Result<Json> of(const batch::Row& row);
  /// Fields that no parameter took, so far.
  [[nodiscard]] std::set<std::string> ignored();

 private:
  RowArguments(const dsl::GenInfo& gen, Json given) : gen_(&gen), given_(std::move(given)) {}

  const dsl::GenInfo* gen_;
  Json given_;
  std::string document_key_;
  std::mutex mutex_;
  std::set<std::string> ignored_;
};

}  // namespace espalier::cli
