// Files that the grammar benchmarks read: text that may be packed with xz, and vocabularies.
#pragma once

#include <string>

#include "base/result.h"
#include "grammar/vocabulary.h"

namespace espalier::bench {

/// The content of a file, unpacked where its name ends in .xz.
Result<std::string> read_file(const std::string& path);

/// The vocabulary of a GGUF file or of a Hugging Face tokenizer.json (also .xz), byte-level or
/// SentencePiece's. "bytes": one token a byte.
Result<grammar::VocabularyRef> read_vocabulary(const std::string& path);

}  // namespace espalier::bench
