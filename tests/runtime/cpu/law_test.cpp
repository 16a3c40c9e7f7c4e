// The backend's law: a row's answer depends on its tokens alone. All comparisons are of bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cpu/isa.h"
#include "tests/runtime/cpu/reference_forward.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::testing {
namespace {

using espalier::testing::TinyLlama;
using Random = std::mt19937_64;

std::vector<std::uint32_t> types() {
  std::vector<std::uint32_t> out;
  for (const TensorType type : tensor_types()) out.push_back(static_cast<std::uint32_t>(type));
  return out;
}

// A tiny model's description whose widths fit the type's blocks.
TinyLlama described(std::uint32_t type) {
  TinyLlama out;
  out.matrix_type = type;
  if (tensor_traits(static_cast<TensorType>(type))->block_weights == 256) {
    out.width = 256;
    out.feed_forward = 256;
  }
  return out;
}

std::shared_ptr<const Model> tiny(const TinyLlama& description) {
  return load_bytes(description.writer().finish().bytes);
}

std::vector<TokenId> random_ids(Random& random, std::size_t n) {
  std::vector<TokenId> ids(n);
  for (auto& id : ids) id = static_cast<TokenId>(random() % TinyLlama::vocabulary());
  return ids;
}

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kBF16, KvType::kQ8};

CpuOptions options(const std::string& isa, unsigned threads, KvType kv_type = KvType::kF16) {
  return {.threads = threads, .kv_bytes = std::uint64_t{64} << 20, .kv_type = kv_type, .isa = isa};
}

// The oracle: one thread, scalar, everything in one step.
std::vector<float> alone(const std::shared_ptr<const Model>& model, const std::vector<TokenId>& ids,
                         KvType kv_type = KvType::kF16) {
  Rig rig(model, options("scalar", 1, kv_type));
  Sequence sequence = rig.sequence(static_cast<std::uint32_t>(ids.size()));
  return rig.feed(sequence, ids);
}

TEST(CpuForward, IsCloseToTheDefinitionForEveryTensorType) {
  Random random(1);
  for (const std::uint32_t type : types()) {
    TinyLlama description = described(type);
    description.tied = type != 1;
    const auto model = tiny(description);
    ASSERT_NE(model, nullptr);
    const auto ids = random_ids(random, 40);
    const auto expected = ReferenceForward(*model).logprobs(ids);
    Rig rig(model, options("", 1));
    Sequence sequence = rig.sequence(40);
    BatchBuilder builder;
    builder.append(sequence, ids);
    std::vector<std::uint32_t> rows(ids.size());
    for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
    const auto actual = rig.logprobs(builder.batch, rows);
    double worst = 0;
    for (std::size_t p = 0; p < ids.size(); ++p) {
      for (std::size_t id = 0; id < expected[p].size(); ++id) {
        worst = std::max(worst, std::abs(expected[p][id] - static_cast<double>(actual[p][id])));
      }
    }
    // fp32 activations: only K and V are rounded (to binary16). int8 activations: 1 part in 254.
    const bool blocks = tensor_traits(static_cast<TensorType>(type))->block_weights > 1;
    EXPECT_LT(worst, blocks ? 0.15 : 0.01) << "type " << type;
  }
}

// Rounding K and V to 8 bits and a scale, or to 8 bits of a bfloat16.
TEST(CpuForward, IsCloseToTheDefinitionForEveryTypeOfKeysAndValues) {
  Random random(11);
  for (const KvType kv_type : kKvTypes) {
    const auto model = tiny(described(0));
    ASSERT_NE(model, nullptr);
    const auto ids = random_ids(random, 300);
    const auto expected = ReferenceForward(*model).logprobs(ids).back();
    const auto actual = alone(model, ids, kv_type);
    double worst = 0;
    for (std::size_t id = 0; id < expected.size(); ++id) {
      worst = std::max(worst, std::abs(expected[id] - static_cast<double>(actual[id])));
    }
    EXPECT_LT(worst, kv_type == KvType::kF16 ? 0.01 : 0.05) << kv_type_name(kv_type);
    EXPECT_GT(worst, 0);
  }
}

TEST(CpuLaw, NeitherChunksNorThreadsNorInstructionSetChangeABit) {
  Random random(2);
  for (const std::uint32_t type : types()) {
    TinyLlama description = described(type);
    description.context = 700;
    description.window = type == 2 ? 270 : type == 3 ? 33 : 0;
    const auto model = tiny(description);
    ASSERT_NE(model, nullptr);
    // Several segments, for types that are not slow there.
    const auto ids = random_ids(random, type == 3 ? 600 : description.width == 64 ? 290 : 60);
    const KvType kv_type = kKvTypes[type % std::size(kKvTypes)];
    const auto expected = alone(model, ids, kv_type);
    for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
      for (const unsigned threads : {1U, 2U, 3U}) {
        SCOPED_TRACE(std::string(kernels->name) + " type " + std::to_string(type) + " KV " +
                     kv_type_name(kv_type) + " threads " + std::to_string(threads));
        Rig rig(model, options(kernels->name, threads, kv_type));
        ASSERT_TRUE(rig);
        Sequence sequence = rig.sequence(static_cast<std::uint32_t>(ids.size()));
        std::size_t done = 0;
        std::vector<float> last;
        while (done < ids.size()) {
          const std::size_t count =
              std::min<std::size_t>(ids.size() - done, 1 + random() % (done % 2 == 0 ? 100 : 5));
          last = rig.feed(sequence, std::span(ids).subspan(done, count));
          done += count;
        }
        ASSERT_EQ(expected, last);
      }
    }
  }
}

// Random trees of branches that share pages, decoded together in random steps, with every page that
// a branch may not read filled with NaN.
TEST(CpuLaw, BranchesInABatchEqualBranchesAlone) {
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    TinyLlama description = described(types()[seed % types().size()]);
    description.heads = seed % 2 == 0 ? 4U : 8U;
    description.kv_heads = seed % 3 == 0 ? 1U : 2U;
    description.context = 700;
    description.window = seed % 4 < 2 ? 0 : static_cast<std::uint32_t>(1 + random() % 300);
    const auto model = tiny(description);
    ASSERT_NE(model, nullptr);
    const auto sets = cpu::supported_kernels();
    const KvType kv_type = kKvTypes[seed / 3 % std::size(kKvTypes)];
    Rig rig(model, options(sets[random() % sets.size()]->name, 1 + random() % 3, kv_type));
    ASSERT_TRUE(rig);
    for (PageId page = 0; page < rig.backend->info().pages; ++page) rig.backend->poison(page);
    rig.next_page = static_cast<PageId>(random() % 7);

    struct Branch {
      Sequence sequence;
      std::vector<TokenId> ids;
    };
    constexpr std::uint32_t kRoom = 480;
    std::vector<Branch> branches(1);
    branches[0].sequence = rig.sequence(kRoom);
    branches[0].ids = random_ids(random, 20 + random() % 330);
    rig.feed(branches[0].sequence, branches[0].ids);
    // Forks share whole pages; the boundary page's head is copied in the next step.
    std::vector<PageCopy> copies;
    const std::size_t forks = seed == 0 ? 31 : 3 + random() % 6;
    while (branches.size() <= forks) {
      const Branch& from = branches[random() % branches.size()];
      const auto length = static_cast<std::uint32_t>(
          from.sequence.length - random() % std::min<std::uint32_t>(40, from.sequence.length));
      Branch fork;
      fork.ids.assign(from.ids.begin(), from.ids.begin() + length);
      fork.sequence.length = length;
      const std::uint32_t whole = length / kPageTokens;
      fork.sequence.pages.assign(from.sequence.pages.begin(), from.sequence.pages.begin() + whole);
      const Sequence own = rig.sequence(kRoom - whole * kPageTokens);
      fork.sequence.pages.insert(fork.sequence.pages.end(), own.pages.begin(), own.pages.end());
      if (length % kPageTokens != 0) {
        copies.push_back({from.sequence.pages[whole], own.pages[0], length % kPageTokens});
      }
      branches.push_back(std::move(fork));
    }
    std::vector<std::vector<float>> last(branches.size());
    for (int step = 0; step < 4; ++step) {
      BatchBuilder builder;
      builder.batch.copies = std::move(copies);
      copies.clear();
      std::vector<std::uint32_t> rows;
      std::vector<std::size_t> owners;
      for (std::size_t i = 0; i < branches.size(); ++i) {
        if (step > 0 && random() % 4 == 0) continue;
        Branch& branch = branches[i];
        const auto more = random_ids(random, random() % 3 == 0 ? 1 + random() % 20 : 1);
        const auto first = builder.append(branch.sequence, more);
        branch.ids.insert(branch.ids.end(), more.begin(), more.end());
        rows.push_back(first + static_cast<std::uint32_t>(more.size()) - 1);
        owners.push_back(i);
      }
      if (rows.empty()) continue;
      const auto answers = rig.logprobs(builder.batch, rows);
      for (std::size_t k = 0; k < owners.size(); ++k) last[owners[k]] = answers[k];
    }
    for (std::size_t i = 0; i < branches.size(); ++i) {
      if (last[i].empty()) continue;
      ASSERT_EQ(last[i], alone(model, branches[i].ids, kv_type)) << "branch " << i;
    }
  }
}

// A follower of the same step reads what a leader's row writes for it, into its own page.
TEST(CpuLaw, ARowWritesEverySlotItNamesBeforeAnyRowReads) {
  Random random(5);
  const auto model = tiny({.matrix_type = 3});
  ASSERT_NE(model, nullptr);
  const auto prompt = random_ids(random, 21);
  const TokenId next = 77;
  Rig rig(model, options("", 2));
  ASSERT_TRUE(rig);
  for (PageId page = 0; page < 64; ++page) rig.backend->poison(page);
  Sequence leader = rig.sequence(32);
  Sequence follower = rig.sequence(32);
  BatchBuilder builder;
  builder.append(leader, prompt);
  std::vector<KvSlot> writes;
  for (Row& row : builder.batch.rows) {
    const auto page = row.position / kPageTokens;
    const auto slot = row.position % kPageTokens;
    row.first_write = static_cast<std::uint32_t>(writes.size());
    row.writes = 2;
    writes.push_back({leader.pages[page], slot});
    writes.push_back({follower.pages[page], slot});
  }
  builder.batch.writes = writes;
  follower.length = leader.length;
  const auto row = builder.append(follower, std::vector{next});
  const auto answers = rig.logprobs(builder.batch, {20, row});
  EXPECT_EQ(answers[0], alone(model, prompt));
  auto longer = prompt;
  longer.push_back(next);
  EXPECT_EQ(answers[1], alone(model, longer));
}

TEST(CpuLaw, ARowWithoutWritesReadsWhatIsThere) {
  Random random(6);
  const auto model = tiny({.matrix_type = 2});
  ASSERT_NE(model, nullptr);
  const auto ids = random_ids(random, 50);
  Rig rig(model, options("", 1));
  Sequence sequence = rig.sequence(64);
  const auto expected = rig.feed(sequence, ids);
  Batch batch;
  batch.sequences = {sequence.pages};
  batch.rows = {{ids.back(), 49, 0, 0, 0}};
  EXPECT_EQ(rig.logprobs(batch, {0})[0], expected);
  EXPECT_EQ(expected, alone(model, ids));
}

TEST(CpuLaw, ThePrunedHeadEqualsTheWholeHead) {
  Random random(8);
  for (const std::uint32_t type : types()) {
    const auto model = tiny(described(type));
    ASSERT_NE(model, nullptr);
    for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
      Rig rig(model, options(kernels->name, 2));
      ASSERT_TRUE(rig);
      Sequence sequence = rig.sequence(48);
      const auto ids = random_ids(random, 40);
      BatchBuilder builder;
      builder.append(sequence, ids);
      std::vector<RowPlan> pruned;
      const Sampling greedy;
      const Sampling warm{.temperature = 0.9F, .top_k = 5, .top_p = 0.95F};
      for (std::uint32_t row = 0; row < 40; ++row) {
        for (int copy = 0; copy < 2; ++copy) {
          std::vector<std::uint64_t> words(TinyLlama::vocabulary() / 64 + 1);
          const std::size_t allowed = row % 5 == 0 ? 1 : 1 + random() % 30;
          for (std::size_t i = 0; i < allowed; ++i) {
            const std::size_t id = random() % TinyLlama::vocabulary();
            words[id / 64] |= std::uint64_t{1} << (id % 64);
          }
          RowPlan plan;
          plan.row = row;
          plan.mask = std::make_shared<const grammar::Mask>(std::move(words));
          plan.sampling = copy == 0 ? &greedy : &warm;
          plan.key = RandomKey(row);
          plan.counter = static_cast<std::uint64_t>(copy);
          pruned.push_back(std::move(plan));
        }
      }
      auto dense = pruned;
      for (RowPlan& plan : dense) plan.count = 1;  // asks for the whole head
      const auto a = run_step(*rig.backend, builder.batch, pruned);
      const auto b = run_step(*rig.backend, builder.batch, dense);
      ASSERT_TRUE(a && b);
      for (std::size_t i = 0; i < pruned.size(); ++i) {
        EXPECT_EQ((*a)[i].sampled.token, (*b)[i].sampled.token);
        EXPECT_EQ((*a)[i].sampled.probability, (*b)[i].sampled.probability);
        EXPECT_TRUE(pruned[i].mask->allows((*a)[i].sampled.token));
      }
    }
  }
}

TEST(CpuBackend, ReadingAPoisonedPageIsAnErrorAndNotAnAnswer) {
  Random random(9);
  for (const KvType kv_type : kKvTypes) {
    const auto model = tiny({.matrix_type = kv_type == KvType::kF16 ? 0U : 3U});
    ASSERT_NE(model, nullptr);
    Rig rig(model, options("", 1, kv_type));
    Sequence sequence = rig.sequence(64);
    rig.feed(sequence, random_ids(random, 40));
    rig.backend->poison(sequence.pages[1]);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, 1));
    const Sampling greedy;
    RowPlan plan;
    plan.sampling = &greedy;
    const auto result = run_step(*rig.backend, builder.batch, std::vector{plan});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInternal);
  }
}

// One damaged block: the error says in which tensor and row, of every type.
TEST(CpuBackend, WeightsThatAreNotFiniteAreNamed) {
  for (const std::uint32_t type : types()) {
    std::string bytes = described(type).writer().finish().bytes;
    const auto whole = load_bytes(bytes);
    ASSERT_NE(whole, nullptr);
    const Tensor& down = whole->weights().layers[1].down;
    const std::string_view data(reinterpret_cast<const char*>(down.data.data()), down.data.size());
    const std::size_t row = bytes.find(data) + 3 * down.row_bytes();
    ASSERT_LT(row, bytes.size());
    const std::uint32_t block = tensor_traits(static_cast<TensorType>(type))->block_bytes;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(row), block, '\xFF');
    const auto model = load_bytes(bytes);
    ASSERT_NE(model, nullptr);
    Rig rig(model, options("", 1));
    Sequence sequence = rig.sequence(16);
    BatchBuilder builder;
    builder.append(sequence, std::vector<TokenId>{1, 2, 3});
    const Sampling greedy;
    RowPlan plan;
    plan.row = 2;
    plan.sampling = &greedy;
    const auto result = run_step(*rig.backend, builder.batch, std::vector{plan});
    ASSERT_FALSE(result) << type;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << type;
    EXPECT_NE(result.error().message.find("tensor 'blk.1.ffn_down.weight', row 3"),
              std::string::npos)
        << result.error().message;
  }
}

TEST(CpuBackend, RefusesWhatItCannotDoByName) {
  const auto model = tiny({});
  ASSERT_NE(model, nullptr);
  const auto refused = [&](const CpuOptions& with) {
    auto made = CpuBackend::create(model, with, real_system());
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(refused({.threads = 1, .kv_bytes = 0, .isa = "z80"}).code, ErrorCode::kInvalid);
  EXPECT_EQ(refused({.threads = 1, .kv_bytes = 100, .isa = ""}).code, ErrorCode::kLimit);
  EXPECT_EQ(refused({.threads = 100000, .kv_bytes = 0, .isa = ""}).code, ErrorCode::kInvalid);
}

TEST(CpuBackend, AStepWithoutRowsOrPlansIsFine) {
  const auto model = tiny({});
  ASSERT_NE(model, nullptr);
  Rig rig(model, options("", 2));
  EXPECT_TRUE(run_step(*rig.backend, {}, {}));
  Sequence sequence = rig.sequence(16);
  BatchBuilder builder;
  builder.append(sequence, std::vector<TokenId>{1, 2, 3});
  EXPECT_TRUE(run_step(*rig.backend, builder.batch, {}));
}

}  // namespace
}  // namespace espalier::runtime::testing
