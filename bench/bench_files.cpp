#include "bench/bench_files.h"

#include <lzma.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "base/system.h"
#include "grammar/json.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/load_tokenizer.h"

namespace espalier::bench {
namespace {

Result<std::string> unpack(const std::string& packed, const std::string& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK) {
    return fail(ErrorCode::kExhausted, path + ": no memory for the decoder");
  }
  std::string out;
  std::string chunk(1 << 20, '\0');
  stream.next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  lzma_ret state = LZMA_OK;
  while (state == LZMA_OK) {
    stream.next_out = reinterpret_cast<std::uint8_t*>(chunk.data());
    stream.avail_out = chunk.size();
    state = lzma_code(&stream, LZMA_FINISH);
    out.append(chunk, 0, chunk.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (state != LZMA_STREAM_END) return fail(ErrorCode::kCorrupt, path + ": not an xz file");
  return out;
}

// "<0x0A>" is a byte, "\u2581" a space.
std::string sentencepiece_bytes(const std::string& piece) {
  if (piece.size() == 6 && piece.starts_with("<0x") && piece.back() == '>') {
    return std::string(1, static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16)));
  }
  std::string out;
  for (std::size_t i = 0; i < piece.size();) {
    if (piece.compare(i, 3, "\xe2\x96\x81") == 0) {
      out += ' ';
      i += 3;
    } else {
      out += piece[i++];
    }
  }
  return out;
}

Result<grammar::VocabularyRef> from_tokenizer_json(const std::string& text,
                                                   const std::string& path) {
  const Json file = Json::parse(text, nullptr, false);
  if (!file.is_object() || !file.contains("model") || !file["model"].contains("vocab")) {
    return fail(ErrorCode::kCorrupt, path + ": not a tokenizer.json");
  }
  const bool bytes_fallback = file["model"].value("byte_fallback", false);
  grammar::Vocabulary::Spec spec;
  const auto slot = [&](std::size_t id) -> std::string& {
    if (id >= spec.bytes.size()) spec.bytes.resize(id + 1);
    return spec.bytes[id];
  };
  for (const auto& [piece, id] : file["model"]["vocab"].items()) {
    if (!id.is_number_unsigned())
      return fail(ErrorCode::kCorrupt, path + ": a token without a number");
    slot(id.get<std::size_t>()) = bytes_fallback
                                      ? sentencepiece_bytes(piece)
                                      : runtime::byte_level_decode(piece).value_or(std::string());
  }
  for (const Json& token : file.value("added_tokens", Json::array())) {
    const auto id = token["id"].get<std::size_t>();
    const auto content = token["content"].get<std::string>();
    slot(id) = token.value("special", false) ? "" : content;
    for (const char* end :
         {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end_of_text|>", "<eos>"}) {
      if (content == end && spec.end_of_turn == kNoToken)
        spec.end_of_turn = static_cast<TokenId>(id);
    }
  }
  return grammar::Vocabulary::create(std::move(spec));
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kNotFound, path + ": cannot be read");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  return path.ends_with(".xz") ? unpack(text, path) : Result<std::string>(std::move(text));
}

Result<grammar::VocabularyRef> read_vocabulary(const std::string& path) {
  if (path == "bytes") {
    grammar::Vocabulary::Spec spec;
    for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
    spec.end_of_turn = 256;
    spec.bytes.emplace_back();
    return grammar::Vocabulary::create(std::move(spec));
  }
  if (path.ends_with(".gguf")) {
    ESP_ASSIGN(const auto file, runtime::Gguf::open(path, real_system()));
    ESP_ASSIGN(const auto tokenizer, runtime::load_tokenizer(file));
    return tokenizer->vocabulary();
  }
  ESP_ASSIGN(const std::string text, read_file(path));
  return from_tokenizer_json(text, path);
}

}  // namespace espalier::bench
