// Sizes of work: whatever they are, the bits stay; what was measured is kept and not trusted.
#include "runtime/cpu/tuning.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "runtime/cpu/forward.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/fastest.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_system.h"

namespace espalier::runtime::testing {
namespace {

using cpu::Tuning;
using espalier::testing::MemorySystem;
using espalier::testing::TinyLlama;

constexpr std::uint32_t kQ4_1 = 3;

// As small as a model is that sizes are measured for.
std::shared_ptr<const Model> model_to_tune() {
  TinyLlama description;
  description.layers = 1;
  description.width = 512;
  description.feed_forward = 512;
  description.matrix_type = kQ4_1;
  return load_bytes(description.writer().finish().bytes);
}

// Logits of every row of a prompt and of branches of it, with these sizes.
std::vector<float> logits_with(const Tuning& tuning, const std::shared_ptr<const Model>& model,
                               unsigned threads) {
  constexpr std::uint32_t kPrompt = 300, kBranches = 5;
  const auto kernels = cpu::choose_kernels("");
  auto workers = cpu::WorkerPool::create(threads);
  auto pool = cpu::KvPool::create(model->shape(), KvType::kF16, std::uint64_t{64} << 20);
  auto forward = cpu::Forward::create(model, **kernels, **workers);
  if (!kernels || !workers || !pool || !forward) {
    ADD_FAILURE();
    return {};
  }
  (*forward)->set_tuning(tuning);
  std::vector<float> out;
  const auto step = [&](const Batch& batch) {
    std::vector<std::uint32_t> rows(batch.rows.size());
    std::vector<cpu::HeadRow> wanted;
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      rows[i] = i;
      wanted.push_back({i, true, {}});
    }
    (*forward)->run(batch, rows, *pool);
    const std::size_t before = out.size();
    out.resize(before + rows.size() * (*forward)->logits_stride());
    (*forward)->logits(wanted, out.data() + before);
  };
  BatchBuilder prompt;
  Sequence trunk;
  for (PageId page = 0; page * kPageTokens < kPrompt; ++page) trunk.pages.push_back(page);
  std::vector<TokenId> ids;
  for (std::uint32_t i = 0; i < kPrompt; ++i)
    ids.push_back(static_cast<TokenId>(i * 7 % TinyLlama::vocabulary()));
  prompt.append(trunk, ids);
  step(prompt.batch);
  BatchBuilder branches;
  for (std::uint32_t i = 0; i < kBranches; ++i) {
    Sequence branch = trunk;
    branch.length = kPrompt / kPageTokens * kPageTokens;
    branch.pages.back() = 100 + i;
    branches.append(branch, std::vector<TokenId>{static_cast<TokenId>(i), 3});
  }
  step(branches.batch);
  return out;
}

TEST(Tuning, NeverChangesABit) {
  TinyLlama description;
  description.heads = 8;
  description.kv_heads = 2;
  for (const std::uint32_t type : {0U, kQ4_1}) {
    description.matrix_type = type;
    const auto model = load_bytes(description.writer().finish().bytes);
    ASSERT_NE(model, nullptr);
    const auto expected = logits_with({}, model, 1);
    std::mt19937_64 random(1);
    for (int round = 0; round < 12; ++round) {
      Tuning tuning;
      const auto size = [&] { return static_cast<std::uint32_t>(1 + random() % 200); };
      tuning.row_tile = size();
      tuning.chunk_panels = size();
      tuning.feed_forward_tile = size();
      tuning.fewest_queries = size();
      tuning.most_queries = tuning.fewest_queries + size();
      ASSERT_TRUE(tuning.valid());
      const auto actual = logits_with(tuning, model, 1 + round % 3);
      ASSERT_EQ(actual.size(), expected.size());
      ASSERT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0)
          << tuning.text();
    }
  }
}

TEST(Tuning, IsReadBackAsWrittenForTheSameMachineAndShapeAlone) {
  MemorySystem system;
  EXPECT_FALSE(cpu::tuning_file("shape 1", system)) << "no home";
  system.set_environment("HOME", "/home/x");
  system.put("/proc/cpuinfo",
             "processor : 0\nmodel name : A\ncache size : 32 MB\n\nprocessor : 1\n");
  const auto file = cpu::tuning_file("shape 1", system);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->read());
  const Tuning tuning{16, 2, 64, 12, 48};
  ASSERT_TRUE(file->write(tuning));
  EXPECT_EQ(cpu::tuning_file("shape 1", system)->read(), tuning);
  ASSERT_TRUE(file->begin()) << "what is kept stays until something else is";
  EXPECT_EQ(file->read(), tuning);
  MemorySystem full;
  full.set_environment("HOME", "/home/x");
  full.limit_disk(20);
  EXPECT_FALSE(cpu::tuning_file("shape 1", full)->begin());
  EXPECT_TRUE(full.paths().empty());
  EXPECT_FALSE(cpu::tuning_file("shape 2", system)->read());
  system.put("/proc/cpuinfo", "processor : 0\nmodel name : B\ncache size : 32 MB\n");
  EXPECT_FALSE(cpu::tuning_file("shape 1", system)->read());
}

TEST(Tuning, IsNotBegunWhereItCouldNotBeKept) {
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  const auto file = cpu::tuning_file("shape 1", system);
  ASSERT_TRUE(file);
  system.put(file->path() + "/x", "");  // a folder
  EXPECT_FALSE(file->begin());
  EXPECT_FALSE(file->read());
}

TEST(Tuning, OfADamagedFileIsNotUsed) {
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  const auto file = cpu::tuning_file("shape 1", system);
  ASSERT_TRUE(file && file->write({}));
  const std::string good = system.get(file->path());
  for (std::size_t i = 0; i < good.size(); ++i) {
    system.put(file->path(), good.substr(0, i));
    const auto cut = file->read();
    EXPECT_TRUE(!cut || (i + 2 >= good.size() && *cut == Tuning{})) << i;
    for (const char c : {'0', '9', '-', '"', 'x', '\0'}) {
      std::string changed = good;
      changed[i] = c;
      system.put(file->path(), changed);
      const auto kept = file->read();
      EXPECT_TRUE(!kept || kept->valid()) << changed;
    }
  }
  for (const char* fields : {"0, 4, 32, 24, 96", "64, 4, 32, 97, 96", "64, 4, 1025, 24, 96"}) {
    std::vector<std::uint32_t> sizes;
    for (const char* at = fields; *at != '\0';) {
      char* end = nullptr;
      sizes.push_back(static_cast<std::uint32_t>(std::strtoul(at, &end, 10)));
      at = *end == ',' ? end + 1 : end;
    }
    EXPECT_FALSE((Tuning{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]}).valid()) << fields;
    ASSERT_TRUE(file->write({sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]}));
    EXPECT_FALSE(file->read()) << fields;
  }
}

TEST(Tuning, IsMeasuredOnceAndKept) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  CpuOptions options;
  options.threads = 1;
  options.kv_bytes = std::uint64_t{16} << 20;
  options.tune = true;
  auto first = CpuBackend::create(model, options, system);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_EQ(system.paths().size(), 1U);
  const std::string path = system.paths()[0];
  EXPECT_TRUE(path.starts_with("/home/x/.cache/espalier/tuning/")) << path;

  // What is there is what counts, and no longer measured.
  const Tuning other{8, 1, 16, 3, 7};
  std::string changed = system.get(path);
  const auto set = [&](const std::string& name, std::uint32_t value) {
    const std::size_t at = changed.find(':', changed.find("\"" + name + "\"")) + 1;
    changed.replace(at, changed.find_first_of(",\n", at) - at, " " + std::to_string(value));
  };
  set("row_tile", other.row_tile);
  set("chunk_panels", other.chunk_panels);
  set("feed_forward_tile", other.feed_forward_tile);
  set("fewest_queries", other.fewest_queries);
  set("most_queries", other.most_queries);
  system.put(path, changed);
  auto second = CpuBackend::create(model, options, system);
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->info().tuning, other.text());

  // Nothing is measured where it cannot be kept, nor where nobody asks.
  system.die_at(1);
  auto third = CpuBackend::create(model, options, system);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_EQ((*third)->info().tuning, Tuning{}.text());
  system.restart();
  options.tune = false;
  auto fourth = CpuBackend::create(model, options, system);
  ASSERT_TRUE(fourth);
  EXPECT_EQ((*fourth)->info().tuning, Tuning{}.text());
}

TEST(Fastest, TakesAVariantThatIsFasterTwice) {
  const auto always = [] { return true; };
  const auto pick = [&](const std::vector<std::vector<double>>& seconds) {
    std::vector<std::size_t> runs(seconds.size());
    return fastest(
        seconds.size(),
        [&](std::size_t i) {
          const auto& mine = seconds[i];
          return mine[std::min(runs[i]++ / kFastestRounds, mine.size() - 1)];
        },
        always);
  };
  EXPECT_EQ(pick({{1.0}, {0.9}, {0.5}, {2.0}}), 2U);
  EXPECT_EQ(pick({{1.0}, {0.97}}), 0U) << "not 5 % faster";
  EXPECT_EQ(pick({{1.0}, {0.5, 1.0}}), 0U) << "by chance";
  EXPECT_EQ(pick({{1.0}}), 0U);
}

TEST(Fastest, CountsTheFastestRunOfEach) {
  int calls = 0;
  const auto noisy = [&](std::size_t i) {
    return (i == 1 ? 0.8 : 1.0) + (++calls % 4 == 0 ? 0.0 : 5.0 * (calls % 3));
  };
  EXPECT_EQ(fastest(3, noisy, [] { return true; }), 1U);
}

TEST(Fastest, LeavesTheSizeWhereTimeIsUp) {
  int left = 0;
  const auto run = [](std::size_t i) { return i == 1 ? 0.1 : 1.0; };
  const auto more = [&] { return left-- > 0; };
  constexpr int kAll = (2 + 2 * 2) * kFastestRounds;
  for (int calls = 0; calls < kAll; ++calls) {
    left = calls;
    EXPECT_EQ(fastest(2, run, more), 0U) << calls;
  }
  left = kAll;
  EXPECT_EQ(fastest(2, run, more), 1U);
}

}  // namespace
}  // namespace espalier::runtime::testing
