// MaskBench's schemas and instances (guidance-ai/jsonschemabench): what compiles, what is refused
// and why, and whether the automaton accepts the valid texts and only those.
//
//   maskbench_bench FILE.jsonl     one {"schema": text or object, "tests": [{"valid", "text"}]} a
//   line
//
// Instances are read byte by byte, as they stand in the file; a false reject is a valid text whose
// members are in another order, or whose spelling is left out (grammar/README.md). Exit code 1
// where an invalid text was accepted.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "grammar/json_schema.h"

namespace {

using namespace espalier;
using namespace espalier::grammar;

VocabularyRef bytes() {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = 256;
  spec.bytes.emplace_back();
  return Vocabulary::create(std::move(spec)).value();
}

bool accepts(const GrammarRef& grammar, const std::string& text) {
  Matcher matcher = grammar->start();
  for (const char c : text) {
    if (!matcher.advance(static_cast<unsigned char>(c))) return false;
  }
  return matcher.accepting();
}

// "`format`" out of "schema #/…/format: the keyword `format` is not enforced"; else the message's
// end.
std::string reason(const std::string& message) {
  const std::size_t open = message.find('`');
  const std::size_t close = open == std::string::npos ? open : message.find('`', open + 1);
  if (close != std::string::npos && message.find("the keyword") != std::string::npos) {
    return message.substr(open, close - open + 1);
  }
  const std::size_t colon = message.find(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2, 60);
}

void print_times(const char* what, std::vector<double>& micros) {
  if (micros.empty()) return;
  std::sort(micros.begin(), micros.end());
  const auto at = [&](double p) {
    return micros[static_cast<std::size_t>(p * static_cast<double>(micros.size() - 1))];
  };
  std::printf("%s: p50 %.0f us, p99 %.0f us, longest %.0f us\n", what, at(0.5), at(0.99),
              micros.back());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: maskbench_bench FILE.jsonl\n");
    return 2;
  }
  std::ifstream in(argv[1]);
  if (!in) {
    std::fprintf(stderr, "maskbench_bench: cannot read %s\n", argv[1]);
    return 1;
  }
  const VocabularyRef vocabulary = bytes();
  std::size_t schemas = 0, compiled = 0, valid = 0, invalid = 0, false_accepts = 0,
              false_rejects = 0;
  std::size_t clean = 0;
  std::map<std::string, std::size_t> reasons;
  std::vector<double> times;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const Json row = Json::parse(line, nullptr, false);
    if (row.is_discarded()) continue;
    ++schemas;
    const Json schema = row["schema"].is_string()
                            ? Json::parse(row["schema"].get<std::string>(), nullptr, false)
                            : row["schema"];
    const auto begin = std::chrono::steady_clock::now();
    const auto grammar = compile_json_schema(vocabulary, schema, {}, {true});
    const auto end = std::chrono::steady_clock::now();
    if (!grammar) {
      ++reasons[reason(grammar.error().message)];
      continue;
    }
    ++compiled;
    times.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    bool all_right = true;
    for (const Json& test : row["tests"]) {
      const bool is_valid = test["valid"].get<bool>();
      const bool accepted = accepts(*grammar, test["text"].get<std::string>());
      ++(is_valid ? valid : invalid);
      false_accepts += !is_valid && accepted ? 1 : 0;
      false_rejects += is_valid && !accepted ? 1 : 0;
      all_right = all_right && is_valid == accepted;
      if (is_valid != accepted && false_accepts + false_rejects <= 20) {
        std::printf("%s %s\n", accepted ? "FALSE ACCEPT" : "false reject",
                    row["id"].dump().c_str());
      }
    }
    clean += all_right ? 1 : 0;
  }
  std::printf("%zu schemas: %zu compiled, %zu of them with every instance right, %zu refused\n",
              schemas, compiled, clean, schemas - compiled);
  std::printf("%zu valid texts: %zu false rejects; %zu invalid texts: %zu false accepts\n", valid,
              false_rejects, invalid, false_accepts);
  print_times("compile", times);
  std::vector<std::pair<std::size_t, std::string>> top;
  for (const auto& [what, count] : reasons) top.emplace_back(count, what);
  std::sort(top.rbegin(), top.rend());
  for (std::size_t i = 0; i < std::min<std::size_t>(top.size(), 25); ++i) {
    std::printf("  refused %5zu  %s\n", top[i].first, top[i].second.c_str());
  }
  return false_accepts == 0 ? 0 : 1;
}
