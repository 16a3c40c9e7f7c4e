#include "cli/text_windows.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "cli/input_text.h"
#include "cli/options.h"

namespace espalier::cli {

void TextWindows::declare(CLI::App& app, std::uint32_t most, std::uint32_t usual) {
  usual_ = usual;
  add_text(app, "--text", path_, "F", "The text, in UTF-8; - reads stdin")->required();
  add_integer(app, "--tokens", tokens_, 2, std::numeric_limits<std::int64_t>::max(),
              "Tokens of the text to read at most [all]");
  add_integer(app, "--window", window_, 2, most,
              "Tokens of a window, each of which is read by itself [" + std::to_string(usual) +
                  ", or as many positions as the model has]");
}

Status TextWindows::read(Context& context) {
  ESP_ASSIGN(text_, read_text(*path_, context));
  if (text_.empty()) return fail(ErrorCode::kInvalid, "'" + *path_ + "' is empty");
  const std::size_t malformed = utf8::find_malformed(text_);
  if (malformed == std::string::npos) return {};
  return fail(ErrorCode::kInvalid,
              "'" + *path_ + "' is not UTF-8: see byte " + std::to_string(malformed));
}

Result<TextWindows::Windows> TextWindows::cut(const runtime::Model& model) const {
  const runtime::Tokenizer& tokenizer = *model.tokenizer();
  const std::uint32_t context = model.shape().context;
  if (window_ && *window_ > context) {
    return fail(ErrorCode::kInvalid, "a window of " + std::to_string(*window_) +
                                         " tokens: the model has positions for " +
                                         std::to_string(context));
  }
  const auto size = window_ ? static_cast<std::size_t>(*window_)
                            : static_cast<std::size_t>(std::min(usual_, context));
  ESP_ASSIGN(std::vector<TokenId> ids, tokenizer.encode(text_));
  const bool begins = tokenizer.add_bos() && tokenizer.bos() != kNoToken;
  if (begins && !ids.empty() && ids.front() == tokenizer.bos()) ids.erase(ids.begin());
  const std::uint64_t most =
      static_cast<std::uint64_t>(tokens_.value_or(std::numeric_limits<std::int64_t>::max()));
  if (ids.size() > most) ids.resize(most);
  Windows out;
  const std::size_t own = size - (begins ? 1 : 0);
  for (std::size_t at = 0; at < ids.size(); at += own) {
    std::vector<TokenId> window;
    if (begins) window.push_back(tokenizer.bos());
    const std::size_t end = std::min(at + own, ids.size());
    window.insert(window.end(), ids.begin() + static_cast<std::ptrdiff_t>(at),
                  ids.begin() + static_cast<std::ptrdiff_t>(end));
    if (window.size() < 2) continue;  // a last token with nothing before it
    out.tokens += end - at;
    out.all.push_back(std::move(window));
  }
  if (!out.all.empty()) return out;
  return fail(ErrorCode::kInvalid, "'" + *path_ + "' has " + std::to_string(ids.size()) +
                                       (ids.size() == 1 ? " token" : " tokens") +
                                       "; a token is scored by those before it, so at least 2 are "
                                       "needed");
}

}  // namespace espalier::cli
