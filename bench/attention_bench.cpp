// What attention over a shared prefix costs, all layers of a model's shape, rows at the prefix's
// end: taken together, row by row over the same pages, and row by row over pages of each row's own.
// Prints milliseconds (the least of --repeat alternating runs, whose median ratio stands beside)
// for 3 and 7 query heads a KV head.
//
//   attention_bench [--prefix 2048] [--batch 4,8,16,32] [--threads 1] [--repeat 9] [--kv-type f16]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/random.h"
#include "runtime/cpu/attention.h"
#include "runtime/cpu/isa.h"

namespace {

using namespace espalier;
using namespace espalier::runtime;
using namespace espalier::runtime::cpu;

struct Settings {
  std::uint32_t prefix = 2048;
  std::vector<std::uint32_t> batches{4, 8, 16, 32};
  unsigned threads = 1;
  int repeat = 9;
  KvType type = KvType::kF16;
};

ModelShape shape_of(std::uint32_t layers, std::uint32_t heads, std::uint32_t kv_heads) {
  ModelShape shape;
  shape.layers = layers;
  shape.heads = heads;
  shape.kv_heads = kv_heads;
  shape.head_width = 64;
  shape.query_scale = 0.125F;
  return shape;
}

float some_number(std::uint64_t i) {
  return static_cast<float>(RandomKey(7).bits(i)[0] % 2001) / 1000.0F - 1.0F;
}

class Pages {
 public:
  Pages(const ModelShape& shape, const Kernels& kernels, KvType type, std::uint64_t pages)
      : pool_(KvPool::create(shape, type, pages * KvPool::page_bytes(shape, type)).value()) {
    const std::size_t width = std::size_t{shape.kv_heads} * shape.head_width;
    std::vector<float> key(width);
    std::vector<float> value(width);
    KvRow row;
    pool_.reserve(row);
    for (std::size_t k = 0; k < width; ++k) {
      key[k] = some_number(k);
      value[k] = some_number(width + k);
    }
    for (std::uint32_t slot = 0; slot < kPageTokens; ++slot) {
      std::rotate(key.begin(), key.begin() + 1, key.end());
      pool_.encode(kernels, key.data(), value.data(), row);
      for (std::uint32_t l = 0; l < shape.layers; ++l) pool_.write({0, slot}, l, row);
    }
    for (std::uint32_t page = 1; page < pool_.pages(); ++page) pool_.copy(0, page, kPageTokens);
  }
  [[nodiscard]] const KvPool& pool() const { return pool_; }

 private:
  KvPool pool_;
};

// Rows at the end of a prefix; with `own` pages each row has a copy of it.
Batch batch_of(std::uint32_t rows, std::uint32_t prefix, bool own) {
  Batch batch;
  const std::uint32_t pages = prefix / kPageTokens;
  for (std::uint32_t r = 0; r < rows; ++r) {
    std::vector<PageId>& table = batch.sequences.emplace_back();
    for (std::uint32_t p = 0; p < pages; ++p) table.push_back((own ? r * pages : 0) + p);
    batch.rows.push_back({0, prefix - 1, r, 0, 0});
  }
  return batch;
}

// Attention of a batch's rows, all at once or one by one.
class Case {
 public:
  Case(const ModelShape& shape, const Kernels& kernels, WorkerPool& workers, const Settings& with,
       Batch batch, bool together)
      : layers_(shape.layers), batch_(std::move(batch)) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t r = 0; r < batch_.rows.size(); ++r) rows.push_back(r);
    for (std::size_t at = 0; at < rows.size(); at += together ? rows.size() : 1) {
      parts_.push_back(std::make_unique<Attention>(shape, 0, kernels, workers, tuning_));
      parts_.back()->plan(batch_, std::span(rows).subspan(at, together ? rows.size() : 1),
                          with.type);
    }
    stride_ = std::size_t{shape.heads} * shape.head_width;
    for (std::size_t i = 0; i < rows.size() * stride_; ++i) queries_.push_back(some_number(i));
    out_.resize(queries_.size());
  }
  // Seconds.
  double run(const KvPool& pool) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t l = 0; l < layers_; ++l)
      for (const auto& part : parts_)
        part->run(pool, l, queries_.data(), stride_, out_.data(), stride_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  [[nodiscard]] const std::vector<float>& out() const { return out_; }

 private:
  std::uint32_t layers_;
  Batch batch_;
  Tuning tuning_;
  std::vector<std::unique_ptr<Attention>> parts_;
  std::size_t stride_ = 0;
  std::vector<float> queries_, out_;
};

const Kernels& fastest() { return *choose_kernels("").value(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool measure(const char* name, const ModelShape& shape, const Settings& with) {
  const Kernels& kernels = fastest();
  const auto workers = WorkerPool::create(with.threads).value();
  const std::uint32_t widest = *std::max_element(with.batches.begin(), with.batches.end());
  const Pages pages(shape, kernels, with.type, std::uint64_t{widest} * (with.prefix / kPageTokens));
  bool equal = true;
  for (const std::uint32_t rows : with.batches) {
    Case together(shape, kernels, *workers, with, batch_of(rows, with.prefix, false), true);
    Case alone(shape, kernels, *workers, with, batch_of(rows, with.prefix, false), false);
    Case copies(shape, kernels, *workers, with, batch_of(rows, with.prefix, true), true);
    std::vector<double> times[3];
    for (int i = 0; i <= with.repeat; ++i) {
      const double taken[3] = {together.run(pages.pool()), alone.run(pages.pool()),
                               copies.run(pages.pool())};
      for (std::size_t k = 0; i > 0 && k < 3; ++k) times[k].push_back(taken[k]);
    }
    const auto ratio = [&](std::size_t k) {
      std::vector<double> out;
      for (std::size_t i = 0; i < times[0].size(); ++i) out.push_back(times[k][i] / times[0][i]);
      return median(std::move(out));
    };
    const auto least = [&](std::size_t k) {
      return 1e3 * *std::min_element(times[k].begin(), times[k].end());
    };
    equal = equal && together.out() == alone.out();
    std::printf("%-28s %5u %10.2f %10.2f %6.2f %10.2f %6.2f\n", name, rows, least(0), least(1),
                ratio(1), least(2), ratio(2));
    std::fflush(stdout);
  }
  return equal;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Attention over a shared prefix: together, row by row, and with pages of each row's own");
  Settings with;
  std::string type = "f16";
  app.add_option("--prefix", with.prefix, "Tokens that all rows share; a multiple of 16")
      ->check(CLI::Range(16, 1 << 20));
  app.add_option("--batch", with.batches, "Rows")->delimiter(',')->check(CLI::Range(1, 1024));
  app.add_option("--threads", with.threads, "Threads")->check(CLI::Range(1, 256));
  app.add_option("--repeat", with.repeat, "Alternating runs")->check(CLI::Range(1, 1000));
  app.add_option("--kv-type", type, "f16, bf16 or q8")->check(CLI::IsMember({"f16", "bf16", "q8"}));
  CLI11_PARSE(app, argc, argv);
  with.prefix = with.prefix / kPageTokens * kPageTokens;
  with.type = type == "q8" ? KvType::kQ8 : type == "bf16" ? KvType::kBF16 : KvType::kF16;
  std::printf("%s, %u threads, a prefix of %u tokens in %s; milliseconds\n", fastest().name,
              with.threads, with.prefix, type.c_str());
  std::printf("%-28s %5s %10s %10s %6s %10s %6s\n", "query heads a KV head", "rows", "together",
              "alone", "ratio", "copies", "ratio");
  bool equal = measure("3 (9 and 3, 30 layers)", shape_of(30, 9, 3), with);
  equal = measure("7 (14 and 2, 24 layers)", shape_of(24, 14, 2), with) && equal;
  if (!equal) std::printf("error: taken together, rows have other bits than alone\n");
  return equal ? 0 : 1;
}
