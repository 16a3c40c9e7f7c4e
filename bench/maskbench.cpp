// MaskBench (guidance-ai/jsonschemabench): masks and verdicts over real schemas, as one JSON
// object.
//
//   maskbench --tokenizer T --schemas F.jsonl[.xz] … [--threads N] [--limit N] [--out rows.jsonl]
//             [--check N] [--hold] [--spare N] [--tables DIR]
//
// T: a GGUF file, a Hugging Face tokenizer.json[.xz], or `bytes`. A row is {"id", "schema": text or
// object, "tests": [{"valid", "text", "toks"}]}; `toks` are ids of T, and where they are absent or
// T is `bytes` the text is spelled with the longest tokens. "gbnf" or "lark" in place of "schema"
// is a grammar's text. Each schema is compiled anew (nothing of another is kept but the
// vocabulary's tables); for each token the mask is filled into a row of bits, then the token fed,
// up to the first that is refused. Times are thread CPU time: a mask with its token, a compile with
// the start of its first mask. What only the vocabulary decides is made before, and timed apart.
// Strict: what is not enforced is refused. With --check, every n-th mask is held, not timed,
// against trying each token alone. Exit code 1 where an invalid text was accepted or a mask
// differed.
//
// Asking for a thread's CPU time is a system call, which takes as long as most masks do. So each
// mask is also timed by the monotonic clock, read inside of those calls, and the smaller of both
// counts: neither can be less than the CPU time that the mask took. `clock_us` is what an empty
// mask would be said to take, and `mask_cpu_us` has the times by CPU time alone.
//
// With --spare each mask is one near the end of a budget: where N tokens more are left than
// complete the text there. The texts are fed all the same.
//
// With --tables what only the vocabulary decides is then kept in a file of DIR, if it is not there,
// and got once more with its help, which is timed too; the rest is run with that.
//
// With --hold all grammars are kept: first every schema is compiled, then the texts of each are
// fed, and `held` says what memory there was before, after the first and after the second, beside
// what the grammars count themselves.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/bench_files.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/json_text.h"
#include "grammar/lark.h"
#include "grammar/token_trie.h"

namespace {

using namespace espalier;
using namespace espalier::grammar;

double micros(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

double thread_micros() { return micros(CLOCK_THREAD_CPUTIME_ID); }

// What the thread has worked since it was made, by both clocks.
class Stopwatch {
 public:
  struct Time {
    double least = 0, cpu = 0;
  };
  [[nodiscard]] Time read() const {
    const double wall = micros(CLOCK_MONOTONIC) - wall_;
    const double cpu = thread_micros() - cpu_;
    return {std::min(wall, cpu), cpu};
  }

 private:
  double cpu_ = thread_micros();
  double wall_ = micros(CLOCK_MONOTONIC);  // last: inside of the other
};

struct Outcome {
  std::string id;
  std::string refusal;
  double compile = 0;
  std::vector<double> masks, masks_cpu;
  std::size_t valid = 0, invalid = 0, false_accepts = 0, false_rejects = 0;
  std::size_t checked = 0, different = 0;
  double slowest = 0;
  std::string first_wrong, slowest_after;
};

// The first `…` of a message that names a keyword, else its last part.
std::string reason(const std::string& message) {
  const std::size_t at = message.find("the keyword `");
  if (at != std::string::npos) return message.substr(at, message.find('`', at + 13) - at + 1);
  const std::size_t colon = message.find(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2, 60);
}

// By the longest token each time; what no token begins is left out.
std::vector<TokenId> spell(const Vocabulary& vocabulary, std::string_view text) {
  std::vector<TokenId> out;
  const TokenTrie& trie = vocabulary.trie();
  for (std::size_t at = 0; at < text.size();) {
    std::uint32_t node = TokenTrie::kRoot;
    std::size_t length = 1;
    TokenId best = kNoToken;
    for (std::size_t e = at; e < text.size() && node != TokenTrie::kNone; ++e) {
      node = trie.child(node, static_cast<std::uint8_t>(text[e]));
      if (node == TokenTrie::kNone || trie.nodes()[node].token_count == 0) continue;
      best = trie.tokens_at(node)[0];
      length = e + 1 - at;
    }
    if (best != kNoToken) out.push_back(best);
    at += length;
  }
  return out;
}

bool has_text(const Json& row, const char* key) {
  return row.contains(key) && row[key].is_string();
}

bool has_source(const Json& row) {
  return row.contains("schema") || has_text(row, "gbnf") || has_text(row, "lark");
}

// The grammar, where there is one, and what compiling it took.
GrammarRef compile_row(const VocabularyRef& vocabulary, const Json& row, Outcome& out) {
  out.id = row.contains("id")
               ? (row["id"].is_string() ? row["id"].get<std::string>() : row["id"].dump())
               : "";
  const auto timed = [&](auto&& compile) -> GrammarRef {
    const double begin = thread_micros();
    const auto compiled = compile();
    out.compile = thread_micros() - begin;
    if (compiled) return *compiled;
    out.refusal = compiled.error().message;
    return nullptr;
  };
  const auto grammar_of = [](Result<ContextFreeGrammar> compiled) {
    return compiled.map([](const ContextFreeGrammar& made) { return made.grammar; });
  };
  if (has_text(row, "gbnf")) {
    const auto text = row["gbnf"].get<std::string>();
    return timed([&] { return grammar_of(compile_gbnf(vocabulary, text)); });
  }
  if (has_text(row, "lark")) {
    const auto text = row["lark"].get<std::string>();
    return timed([&] { return grammar_of(compile_lark(vocabulary, text)); });
  }
  const Json schema = row["schema"].is_string()
                          ? read_json_exactly(row["schema"].get<std::string>())
                                .value_or(Json(Json::value_t::discarded))
                          : row["schema"];
  SchemaOptions options;
  options.unknown_keywords = true;  // as the specification has it
  return timed([&] { return compile_json_schema(vocabulary, schema, {}, options); });
}

// Feeds the texts of the row.
void feed_row(const Grammar& grammar, const Json& row, bool bytes, std::size_t check,
              std::optional<std::uint32_t> spare, Outcome& out) {
  const VocabularyRef& vocabulary = grammar.vocabulary();
  std::vector<std::uint64_t> filled((vocabulary->size() + 63) / 64);
  for (const Json& test : row["tests"]) {
    const bool valid = test["valid"].get<bool>();
    const auto text = test["text"].get<std::string>();
    std::vector<TokenId> ids;
    if (!bytes && test.contains("toks")) {
      for (const Json& id : test["toks"]) ids.push_back(id.get<TokenId>());
    } else {
      ids = spell(*vocabulary, text);
    }
    Matcher matcher = grammar.start();
    bool accepted = true;
    std::size_t fed = 0;
    for (const TokenId id : ids) {
      const Matcher place = matcher;
      const std::uint32_t left = spare ? matcher.distance() + *spare : UINT32_MAX;
      const Stopwatch watch;
      const MaskRef mask = matcher.mask(left);
      mask->fill(reinterpret_cast<std::byte*>(filled.data()), filled.size() * sizeof filled[0]);
      accepted = spare || ((filled[static_cast<std::size_t>(id) / 64] >> (id % 64)) & 1) != 0;
      if (accepted) accepted = matcher.advance(id);
      const Stopwatch::Time took = watch.read();
      out.masks.push_back(took.least);
      out.masks_cpu.push_back(took.cpu);
      const auto before = [&] {
        std::string read;
        for (std::size_t i = 0; i < fed; ++i) read += vocabulary->bytes(ids[i]);
        return read;
      };
      if (out.masks.back() > out.slowest) {
        out.slowest = out.masks.back();
        out.slowest_after = before();
      }
      if (check > 0 && out.masks.size() % check == 0) {
        ++out.checked;
        if (!std::ranges::equal(mask->words(), place.plain_mask()->words())) {
          ++out.different;
          if (out.first_wrong.empty()) out.first_wrong = "another mask after: " + before();
        }
      }
      if (!accepted) break;
      ++fed;
    }
    accepted = accepted && matcher.accepting();
    ++(valid ? out.valid : out.invalid);
    out.false_accepts += !valid && accepted ? 1 : 0;
    out.false_rejects += valid && !accepted ? 1 : 0;
    if (valid != accepted && out.first_wrong.empty()) {
      std::string before;
      for (std::size_t i = 0; i < fed; ++i) before += vocabulary->bytes(ids[i]);
      out.first_wrong = (accepted ? "false accept: " : "false reject after: ") + before;
    }
  }
}

// What the process holds, in bytes: of memory, and of what was allocated where the library says it.
struct Memory {
  std::uint64_t resident = 0, allocated = 0;
  static Memory now() {
    Memory out;
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;  // the second is what is resident
    out.resident = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
#if defined(__GLIBC__)
    const struct mallinfo2 heap = mallinfo2();
    out.allocated = heap.uordblks + heap.hblkhd;
#endif
    return out;
  }
  [[nodiscard]] Json since(const Memory& before) const {
    const auto more = [](std::uint64_t now, std::uint64_t then) {
      return now > then ? now - then : 0;
    };
    return {{"resident_bytes", more(resident, before.resident)},
            {"allocated_bytes", more(allocated, before.allocated)}};
  }
};

// Medians of nothing at all.
Stopwatch::Time empty_time() {
  constexpr std::size_t kTimes = 1001;
  std::vector<double> least, cpu;
  for (std::size_t i = 0; i < kTimes; ++i) {
    const Stopwatch watch;
    const Stopwatch::Time took = watch.read();
    least.push_back(took.least);
    cpu.push_back(took.cpu);
  }
  const auto median = [](std::vector<double>& all) {
    std::nth_element(all.begin(), all.begin() + kTimes / 2, all.end());
    return all[kTimes / 2];
  };
  return {median(least), median(cpu)};
}

Json times(std::vector<double>& all) {
  if (all.empty()) return nullptr;
  std::sort(all.begin(), all.end());
  double sum = 0;
  for (const double m : all) sum += m;
  const auto at = [&](double p) {
    return all[static_cast<std::size_t>(p * static_cast<double>(all.size() - 1))];
  };
  return {{"count", all.size()}, {"avg", sum / static_cast<double>(all.size())},
          {"p50", at(0.5)},      {"p90", at(0.9)},
          {"p99", at(0.99)},     {"p99.9", at(0.999)},
          {"max", all.back()}};
}

// The rows that took longest by one of their times, with what they say of it.
Json longest(const std::vector<Outcome>& outcomes, double Outcome::*time) {
  constexpr std::size_t kRows = 5;
  std::vector<const Outcome*> rows;
  for (const Outcome& o : outcomes) {
    if (o.refusal.empty() && o.*time > 0) rows.push_back(&o);
  }
  const auto shown = rows.begin() + static_cast<std::ptrdiff_t>(std::min(kRows, rows.size()));
  std::partial_sort(rows.begin(), shown, rows.end(),
                    [&](const Outcome* a, const Outcome* b) { return a->*time > b->*time; });
  Json out = Json::array();
  for (auto row = rows.begin(); row != shown; ++row) {
    out.push_back({{"id", (*row)->id}, {"us", (*row)->*time}});
    if (time == &Outcome::slowest) out.back()["after"] = (*row)->slowest_after;
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("MaskBench's protocol over any rows of its format");
  std::string tokenizer;
  std::vector<std::string> files;
  std::size_t threads = 1;
  std::size_t limit = SIZE_MAX;
  std::size_t stride = 1;
  std::size_t check = 0;
  bool hold = false;
  std::optional<std::uint32_t> spare;
  std::string rows_file;
  std::string tables_folder;
  app.add_option("--tokenizer", tokenizer, "a GGUF file, a tokenizer.json[.xz], or `bytes`")
      ->required();
  app.add_option("--schemas", files, "JSON lines, may be packed with xz")->required();
  app.add_option("--threads", threads, "threads, each with schemas of its own");
  app.add_option("--limit", limit, "at most so many schemas");
  app.add_option("--every", stride, "only every n-th schema");
  auto* const check_option =
      app.add_option("--check", check, "hold every n-th mask against trying each token alone");
  app.add_option("--spare", spare, "masks where so many tokens more are left than are needed")
      ->excludes(check_option);
  app.add_flag("--hold", hold, "keep all grammars, and say what they hold");
  app.add_option("--tables", tables_folder, "a folder for what only the vocabulary decides");
  app.add_option("--out", rows_file, "one JSON line a schema");
  CLI11_PARSE(app, argc, argv);
  auto vocabulary = bench::read_vocabulary(tokenizer);
  if (!vocabulary) {
    std::fprintf(stderr, "maskbench: %s\n", vocabulary.error().message.c_str());
    return 2;
  }
  const auto prepare = [&] {
    const double begin = thread_micros();
    prepare_schemas(*vocabulary);
    return thread_micros() - begin;
  };
  const double tables = prepare();
  Json tables_read = nullptr;
  for (int run = 0; !tables_folder.empty() && run < 2; ++run) {  // the first may have to write
    vocabulary = bench::read_vocabulary(tokenizer);
    keep_tables(*vocabulary, tables_folder, real_system());
    tables_read = prepare();
  }
  std::vector<std::string> lines;
  std::size_t number = 0;
  for (const std::string& file : files) {
    const auto text = bench::read_file(file);
    if (!text) {
      std::fprintf(stderr, "maskbench: %s\n", text.error().message.c_str());
      return 2;
    }
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      if (end > at && number++ % std::max<std::size_t>(stride, 1) == 0 && lines.size() < limit) {
        lines.push_back(text->substr(at, end - at));
      }
      at = end + 1;
    }
  }
  std::vector<Outcome> outcomes(lines.size());
  std::vector<GrammarRef> held(hold ? lines.size() : 0);
  std::atomic<bool> malformed = false;
  // Calls f(i, row) for each line, on all threads.
  const auto each_row = [&](auto&& f) {
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      for (std::size_t i = next++; i < lines.size(); i = next++) {
        const Json row = Json::parse(lines[i], nullptr, false);
        if (!row.is_object() || !has_source(row) || !row.contains("tests")) {
          malformed = true;
          continue;
        }
        f(i, row);
      }
    };
    std::vector<std::thread> pool;
    for (std::size_t t = 1; t < threads; ++t) pool.emplace_back(work);
    work();
    for (std::thread& t : pool) t.join();
  };
  const bool bytes = tokenizer == "bytes";
  if (hold) {  // what is measured here is no part of it
    each_row([&](std::size_t i, const Json& row) {
      std::size_t masks = 0;
      for (const Json& test : row["tests"]) {
        masks += test.contains("toks") ? test["toks"].size() : 0;
      }
      for (std::vector<double>* times : {&outcomes[i].masks, &outcomes[i].masks_cpu}) {
        times->resize(masks);
        times->clear();
      }
    });
  }
#if defined(__GLIBC__)
  if (hold) malloc_trim(0);  // what making the tables left would hide what is held
#endif
  const Memory before = Memory::now();
  Json memory = nullptr;
  each_row([&](std::size_t i, const Json& row) {
    GrammarRef grammar = compile_row(*vocabulary, row, outcomes[i]);
    if (hold) {
      held[i] = std::move(grammar);
    } else if (grammar != nullptr) {
      feed_row(*grammar, row, bytes, check, spare, outcomes[i]);
    }
  });
  if (hold) {
    const auto counted = [&](const char* when, const Memory& now) {
      std::uint64_t sum = 0;
      for (const GrammarRef& grammar : held) sum += grammar != nullptr ? grammar->size().bytes : 0;
      memory[when] = now.since(before);
      memory[when]["counted_bytes"] = sum;
    };
    counted("compiled", Memory::now());
    each_row([&](std::size_t i, const Json& row) {
      if (held[i] != nullptr) feed_row(*held[i], row, bytes, check, spare, outcomes[i]);
    });
    counted("fed", Memory::now());
  }
  if (malformed) {
    std::fprintf(
        stderr, "maskbench: a line is no {\"schema\" (or \"gbnf\", \"lark\"), \"tests\"} object\n");
    return 2;
  }
  std::map<std::string, std::size_t> reasons;
  std::vector<double> masks, masks_cpu, compiles;
  std::size_t passed = 0, refused = 0, valid = 0, invalid = 0, accepts = 0, rejects = 0,
              accepting = 0, rejecting = 0, checked = 0, different = 0;
  for (const Outcome& o : outcomes) {
    if (!o.refusal.empty()) {
      ++refused;
      ++reasons[reason(o.refusal)];
      continue;
    }
    compiles.push_back(o.compile);
    masks.insert(masks.end(), o.masks.begin(), o.masks.end());
    masks_cpu.insert(masks_cpu.end(), o.masks_cpu.begin(), o.masks_cpu.end());
    valid += o.valid;
    invalid += o.invalid;
    checked += o.checked;
    different += o.different;
    accepts += o.false_accepts;
    rejects += o.false_rejects;
    accepting += o.false_accepts > 0 ? 1 : 0;
    rejecting += o.false_rejects > 0 ? 1 : 0;
    passed += o.false_accepts + o.false_rejects == 0 ? 1 : 0;
  }
  if (!rows_file.empty()) {
    std::ofstream rows(rows_file);
    for (const Outcome& o : outcomes) {
      Json row = {{"id", o.id},
                  {"compile_us", o.compile},
                  {"masks", o.masks.size()},
                  {"false_accepts", o.false_accepts},
                  {"false_rejects", o.false_rejects}};
      if (!o.masks.empty()) {
        row["max_mask_us"] = o.slowest;
        row["max_mask_after"] = o.slowest_after;
      }
      if (!o.refusal.empty()) row["refused"] = o.refusal;
      if (!o.first_wrong.empty()) row["wrong"] = o.first_wrong;
      rows << row.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    }
  }
  std::vector<std::pair<std::size_t, std::string>> top;
  top.reserve(reasons.size());
  for (const auto& [what, count] : reasons) top.emplace_back(count, what);
  std::sort(top.rbegin(), top.rend());
  Json refusals = Json::object();
  for (std::size_t i = 0; i < std::min<std::size_t>(top.size(), 20); ++i) {
    refusals[top[i].second] = top[i].first;
  }
  const Stopwatch::Time empty = empty_time();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const Json out = {{"schemas", outcomes.size()},
                    {"passed", passed},
                    {"refused", refused},
                    {"crashed", 0},  // a crash ends the program
                    {"instances", {{"valid", valid}, {"invalid", invalid}}},
                    {"false_accepts", {{"instances", accepts}, {"schemas", accepting}}},
                    {"false_rejects", {{"instances", rejects}, {"schemas", rejecting}}},
                    {"masks_checked", checked},
                    {"masks_different", different},
                    {"tables_us", tables},
                    {"tables_read_us", tables_read},
                    {"mask_us", times(masks)},
                    {"mask_cpu_us", times(masks_cpu)},
                    {"clock_us", {{"mask", empty.least}, {"mask_cpu", empty.cpu}}},
                    {"compile_us", times(compiles)},
                    {"longest_masks", longest(outcomes, &Outcome::slowest)},
                    {"longest_compiles", longest(outcomes, &Outcome::compile)},
                    {"held", memory},
                    {"peak_resident_bytes", static_cast<std::uint64_t>(usage.ru_maxrss) * 1024},
                    {"refusals", refusals}};
  std::printf("%s\n", out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  return accepts == 0 && different == 0 ? 0 : 1;
}
