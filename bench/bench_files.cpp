#include "bench/bench_files.h"

#include <lzma.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "base/system.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"
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
  ESP_ASSIGN(const auto tokenizer, runtime::load_hf_tokenizer_json(text, path));
  return tokenizer->vocabulary();
}

}  // namespace espalier::bench
