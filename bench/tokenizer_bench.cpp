// How fast texts become ids, one thread: MB/s of ordinary text and of hostile ones, 1 MB each and a
// quarter of it (the figures agree where the time is linear), and the time to load.
//
//   tokenizer_bench FILE.gguf... [--text FILE]
//
// Without --text the ordinary text is a mix of prose in several scripts, code and numbers.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/system.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/load_tokenizer.h"

namespace {

using namespace espalier;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBytes = 1'000'000;

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

std::string repeated(std::string_view atom) {
  std::string out;
  while (out.size() < kBytes) out += atom;
  return out;
}

// Sentences in an order of chance, so that no piece's neighbourhood repeats for long.
std::string mixed() {
  static constexpr std::string_view kParts[] = {
      "The quick brown fox jumps over the lazy dog, and then it sleeps until Monday morning. ",
      "Invoice no. 2024-00173 of 12 March: 3 x 17.50 EUR, plus 19% VAT, total 62.48 EUR.\n",
      "for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];\n",
      "def render(self, items):\n    return \", \".join(str(item) for item in items)\n",
      "{\"name\": \"Ada\", \"tags\": [\"a\", \"b\"], \"score\": 0.75, \"parent\": null}\n",
      "In principio creavit Deus caelum et terram; terra autem erat inanis et vacua. ",
      "Съешь же ещё этих мягких французских булок, да выпей чаю. ",
      "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。",
      "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. ",
      "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता है। ",
      "It's what they'd said: \"We'll see — won't we?\" 🙂 \n\n",
  };
  std::string out;
  for (std::uint64_t i = 0; out.size() < kBytes; ++i)
    out += kParts[RandomKey(1).bits(i)[0] % std::size(kParts)];
  return out;
}

// The best of a few runs.
void measure(const runtime::Tokenizer& tokenizer, const char* name, std::string_view text) {
  const auto megabytes_a_second = [&](std::string_view part, std::size_t& ids) {
    double best = std::numeric_limits<double>::max();
    for (int run = 0; run < 3; ++run) {
      const auto start = Clock::now();
      const auto out = tokenizer.encode(part);
      best = std::min(best, seconds(Clock::now() - start));
      ids = out ? out->size() : 0;
    }
    return static_cast<double>(part.size()) / best / 1e6;
  };
  std::size_t ids = 0;
  const double quarter = megabytes_a_second(text.substr(0, text.size() / 4), ids);
  const double whole = megabytes_a_second(text, ids);
  std::printf("  %-24s %7.2f MB/s   a quarter of it %7.2f MB/s   %zu ids\n", name, whole, quarter,
              ids);
}

int run(const std::string& path, const std::string& text) {
  const auto start = Clock::now();
  const auto file = runtime::Gguf::open(path, real_system());
  const auto tokenizer =
      file ? runtime::load_tokenizer(*file) : tl::unexpected<Error>(file.error());
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
    return 1;
  }
  std::printf("%s: loaded in %.0f ms\n", path.c_str(), seconds(Clock::now() - start) * 1e3);
  measure(**tokenizer, "text", text);
  const std::pair<const char*, std::string_view> hostile[] = {
      {"one letter", "a"},           {"spaces", " "},
      {"line breaks", "\n"},         {"digits", "1"},
      {"combining marks", "\u0301"}, {"joined emoji", "👨‍👩‍👧‍👦\u200d"},
      {"letter and space", "a "},    {"letter and mark", "a\u0301"},
      {"ideographs", "中"},          {"malformed bytes", "\xFF"},
      {"marks of tokens", "<|<|im_"}};
  for (const auto& [name, atom] : hostile) measure(**tokenizer, name, repeated(atom));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  std::string text = mixed();
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--text" && i + 1 < argc) {
      std::ifstream in(argv[++i], std::ios::binary);
      text.assign(std::istreambuf_iterator<char>(in), {});
    } else {
      files.emplace_back(argv[i]);
    }
  }
  if (files.empty() || text.empty()) {
    std::fprintf(stderr, "usage: tokenizer_bench FILE.gguf... [--text FILE]\n");
    return 2;
  }
  int status = 0;
  for (const std::string& file : files) status = std::max(status, run(file, text));
  return status;
}
