// A text as windows of tokens, for verbs that have a model read it.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "cli/command.h"
#include "runtime/model/model.h"

namespace espalier::cli {

class TextWindows {
 public:
  /// --text, --tokens, --window. `most` and `usual`: of a window.
  void declare(CLI::App& app, std::uint32_t most, std::uint32_t usual);
  /// Reads the file. kInvalid, naming it, where it is no UTF-8 or empty.
  [[nodiscard]] Status read(Context& context);

  struct Windows {
    std::vector<std::vector<TokenId>> all;  // each of at least two tokens
    std::uint64_t tokens = 0;               // of the text, in all of them
    std::size_t scored = 1;                 // the first token of a window that has others before it
  };
  /// Of the text that was read, each beginning with the model's first token where it has one.
  /// kInvalid where it is too short.
  [[nodiscard]] Result<Windows> cut(const runtime::Model& model) const;
  [[nodiscard]] const std::string& path() const { return *path_; }

 private:
  std::optional<std::string> path_;
  std::optional<std::int64_t> tokens_, window_;
  std::uint32_t usual_ = 0;
  std::string text_;
};

}  // namespace espalier::cli
