// The part of a tokenizer that is the same for every family: special tokens and user-defined ones
// are found in the text, the runs between them go to the family's RunEncoder; decoding is by the
// bytes of each token.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/run_encoder.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {

/// What a family makes of a source.
struct Family {
  std::unique_ptr<const RunEncoder> encoder;
  std::vector<std::string> bytes;  // by id; empty for control, unknown and unused tokens
  std::string run_prefix;          // put before a run
  TokenId bos = kNoToken;          // this and the next three: where the file does not say
  TokenId eos = kNoToken;
  bool add_bos = false;
  bool add_eos = false;
};

/// The result keeps nothing of `source`.
[[nodiscard]] Result<std::shared_ptr<const Tokenizer>> make_text_tokenizer(
    const TokenizerSource& source, Family family);

}  // namespace espalier::runtime
