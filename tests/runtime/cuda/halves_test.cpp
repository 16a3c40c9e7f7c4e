// A step in two halves: masks that come while the layers run, a second half that never comes, and
// failures in either.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/wrapped_backend.h"

namespace espalier::runtime::cuda {
namespace {

std::shared_ptr<const Model> tiny() { return four_layers(TensorType::kQ4_0, 4); }

// One device, and with a first layer on the CPU; ranks that share layers, in two stages, and behind
// layers on the CPU.
std::vector<std::pair<std::string, CudaOptions>> places() {
  return {{"one device", {}},
          {"layers on the CPU", {.layers = 3}},
          {"two ranks", ranks(1, 2)},
          {"two stages", ranks(2, 1)},
          {"two stages of two behind the CPU", ranks(2, 2, 3)}};
}

grammar::MaskRef some_mask(Random& random, std::uint32_t vocabulary, std::size_t tokens) {
  std::vector<std::uint64_t> words((vocabulary + 63) / 64);
  for (; tokens > 0; --tokens) {
    const auto id = random() % vocabulary;
    words[id / 64] |= std::uint64_t{1} << (id % 64);
  }
  return std::make_shared<const grammar::Mask>(std::move(words));
}

const Sampling kGreedy;
const Sampling kWarm = [] {
  Sampling out;
  out.temperature = 0.8F;
  return out;
}();
const Sampling kFiltered = [] {
  Sampling out;
  out.temperature = 0.8F;
  out.top_k = 3;
  return out;
}();

// Plans of some of the rows that were named, made by chance: few tokens, one, all; several a row;
// what only the host can choose, or is asked of log-probabilities.
std::vector<RowPlan> some_plans(Random& random, std::span<const std::uint32_t> wanted,
                                std::uint32_t vocabulary, int step) {
  std::vector<RowPlan> out;
  for (const std::uint32_t row : wanted) {
    // Of a row that was named nothing may be wanted after all; in step 3 of none.
    for (std::size_t n = step == 3 ? 0 : random() % 3; n > 0; --n) {
      RowPlan plan;
      plan.row = row;
      plan.sampling = random() % 2 == 0 ? &kGreedy : &kWarm;
      plan.key = RandomKey(random());
      // In step 5 one token each; in some few of them, so that panels are left out.
      const auto kind = step == 5 ? 0 : random() % (step % 4 == 1 || step % 4 == 2 ? 4 : 2);
      if (kind < 3) {
        plan.mask = some_mask(random, vocabulary, kind == 0 ? 1 : kind == 1 ? 2 : vocabulary);
      }
      if (step % 4 == 2 && random() % 8 == 0) plan.sampling = &kFiltered;
      if (step % 4 == 1 && random() % 4 == 0) {
        plan.want = Want::kLogprobs;
        plan.ids = {1, 2};
      }
      out.push_back(std::move(plan));
    }
  }
  return out;
}

void expect_same(const Result<std::vector<RowResult>>& actual,
                 const Result<std::vector<RowResult>>& expected) {
  ASSERT_TRUE(actual.has_value()) << actual.error().message;
  ASSERT_TRUE(expected.has_value()) << expected.error().message;
  ASSERT_EQ(actual->size(), expected->size());
  for (std::size_t i = 0; i < expected->size(); ++i) {
    EXPECT_EQ((*actual)[i].sampled.token, (*expected)[i].sampled.token) << i;
    EXPECT_EQ((*actual)[i].sampled.probability, (*expected)[i].sampled.probability) << i;
    EXPECT_EQ((*actual)[i].logprobs, (*expected)[i].logprobs) << i;
  }
}

// Steps of few rows, which are recorded and come again with other masks, and one with more rows
// than logits exist at a time.
void run_late_masks(const CudaOptions& options, std::uint64_t seed) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(seed);
  set_order(seed);
  Twins twins(model, options);
  ASSERT_TRUE(twins);
  const std::uint32_t vocabulary = model->shape().vocabulary;
  for (int step = 0; step < 24; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const std::uint32_t count = step == 4 ? 80 : 5;
    Sequence sequence = twins.cpu.sequence(80);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, count));
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t row = 0; row < count; ++row) {
      if (row > 0 || step % 2 == 0) wanted.push_back(row);
    }
    const Status begun = twins.device.backend->begin(builder.batch, wanted);
    ASSERT_TRUE(begun.has_value()) << begun.error().message;
    // Only now is anything known of masks.
    const auto plans = some_plans(random, wanted, vocabulary, step);
    const auto actual = twins.device.backend->finish(plans);
    ASSERT_NO_FATAL_FAILURE(
        expect_same(actual, run_step(*twins.cpu.backend, builder.batch, plans)));
    for (const PageId page : sequence.pages) twins.expect_same_page(page);
    twins.cpu.next_page -= static_cast<PageId>(sequence.pages.size());
  }
  set_order(0);
}

TEST(MasksThatComeAfterTheLayersHaveBegun, GiveTheSameIds) {
  std::uint64_t seed = 0;
  for (const auto& [name, options] : places()) {
    SCOPED_TRACE(name);
    ASSERT_NO_FATAL_FAILURE(run_late_masks(options, ++seed));
  }
#ifdef ESPALIER_HOST_CUDA
  // The same with a kernel a stage where layers would be one.
  host_cuda::set_together(false);
  run_late_masks({}, 17);
  host_cuda::reset_device();
#endif
}

#ifdef ESPALIER_HOST_CUDA

// A backend that tells of both halves.
class Told final : public WrappedBackend {
 public:
  Told(std::unique_ptr<Backend> inner, std::function<void()> begins, std::function<void()> begun,
       std::function<void()> finishes)
      : WrappedBackend(std::move(inner)),
        begins_(std::move(begins)),
        begun_(std::move(begun)),
        finishes_(std::move(finishes)) {}
  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override {
    begins_();
    Status out = WrappedBackend::begin(batch, wanted);
    begun_();
    return out;
  }
  Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) override {
    finishes_();
    return WrappedBackend::finish(plans);
  }

 private:
  std::function<void()> begins_, begun_, finishes_;
};

// Under the engine: when it makes the masks of a step, the step's kernels have been launched; the
// text is the CPU's.
TEST(AnEngine, MakesMasksWhileTheDeviceRunsTheLayers) {
  espalier::testing::TinyLlama description;
  description.matrix_type = static_cast<std::uint32_t>(TensorType::kQ4_0);
  const auto model = load_bytes(description.writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  grammar::Vocabulary::Spec spec;
  spec.bytes.resize(model->shape().vocabulary);
  for (std::size_t i = 0; i + 1 < spec.bytes.size() && i < 128; ++i) {
    spec.bytes[i] = std::string(1, static_cast<char>(i));
  }
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size() - 1);
  const auto vocabulary = grammar::Vocabulary::create(std::move(spec));
  ASSERT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  grammar::Type type;
  type.kind = grammar::TypeKind::kRegex;
  type.pattern = "[a-m]([n-z][0-9]|[0-4]x)[a-z]{2}([A-F]|[u-z]){3,9}";
  std::vector<std::vector<TokenId>> texts;
  for (const bool on_device : {false, true}) {
    const auto grammar = grammar::compile(*vocabulary, std::make_shared<const grammar::Type>(type),
                                          std::string_view(";"));
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    CpuOptions cpu;
    cpu.threads = 1;
    cpu.kv_bytes = pool_bytes(*model);
    auto made = on_device ? Twins::made(model, {}) : CpuBackend::create(model, cpu, real_system());
    ASSERT_TRUE(made.has_value()) << made.error().message;
    std::uint64_t launched = 0;
    std::size_t masks = 0;
    int made_meanwhile = 0;
    const auto work = [] { return host_cuda::launches_together() + host_cuda::graph_launches(); };
    auto told = std::make_unique<Told>(
        std::move(*made), [&] { launched = work(); },
        [&] {
          EXPECT_EQ(work() > launched, on_device);
          masks = (*grammar)->size().state_bytes;
        },
        [&] { made_meanwhile += (*grammar)->size().state_bytes > masks ? 1 : 0; });
    EngineOptions options;
    options.draft = false;
    auto engine = Engine::create(std::move(told), options, real_system());
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    Branch branch = (*engine)->open();
    branch.append(std::vector<TokenId>{5, 6, 7});
    GenerateRequest request;
    request.max_tokens = 30;
    request.matcher = (*grammar)->start();
    const auto out = branch.generate_now(std::move(request));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    texts.push_back(out->ids);
    EXPECT_GE(made_meanwhile, 5);
  }
  EXPECT_EQ(texts[0], texts[1]);
}

// Whoever begins a step and never finishes it: the next one is whole, and the backend can go.
TEST(AFirstHalfWhoseSecondNeverComes, LeavesNothingBehind) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(3);
  for (const auto& [name, options] : places()) {
    SCOPED_TRACE(name);
    set_order(7);
    const std::size_t held = host_cuda::allocated_bytes();
    {
      BatchBuilder last;
      Twins twins(model, options);
      ASSERT_TRUE(twins);
      Sequence sequence = twins.cpu.sequence(200);
      for (int step = 0; step < 6; ++step) {
        SCOPED_TRACE("step " + std::to_string(step));
        // Longer ones too: what grows meanwhile is what the given up step reads.
        Sequence lost = sequence;
        BatchBuilder given_up;
        given_up.append(lost, random_ids(random, *model, step == 3 ? 90 : 3));
        ASSERT_TRUE(twins.device.backend->begin(given_up.batch, std::vector<std::uint32_t>{2}));
        BatchBuilder builder;
        const auto first = builder.append(sequence, random_ids(random, *model, 4));
        ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, {first + 1, first + 3}));
      }
      const std::uint32_t whole = sequence.length / kPageTokens;
      for (std::uint32_t i = 0; i < whole; ++i) twins.expect_same_page(sequence.pages[i]);
      last.append(sequence, random_ids(random, *model, 4));
      ASSERT_TRUE(twins.device.backend->begin(last.batch, std::vector<std::uint32_t>{3}));
    }
    EXPECT_EQ(host_cuda::allocated_bytes(), held);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  set_order(0);
}

// Memory that lacks in either half fails that step alone.
TEST(MemoryThatLacks, InEitherHalfFailsTheStepAlone) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(6);
  for (const auto& [name, options] : places()) {
    SCOPED_TRACE(name);
    int early = 0;
    int late = 0;
    for (unsigned n = 1; n < 30; n += n < 4 ? 1 : in_full() ? 5 : 9) {
      Twins twins(model, options);
      ASSERT_TRUE(twins);
      Sequence sequence = twins.cpu.sequence(60);
      Sequence failing;
      for (PageId page = 0; page < 4; ++page) failing.pages.push_back(kPages - 1 - page);
      const auto ids = random_ids(random, *model, 6);
      const std::vector<std::uint32_t> wanted{1, 5};
      std::vector<RowPlan> plans(2);
      for (std::size_t i = 0; i < plans.size(); ++i) {
        plans[i].row = wanted[i];
        plans[i].sampling = &kWarm;
        plans[i].mask = some_mask(random, model->shape().vocabulary, 9);
      }
      for (const bool second : {false, true}) {
        Sequence lost = failing;
        BatchBuilder builder;
        builder.append(lost, ids);
        if (!second) host_cuda::fail_next_malloc(n);
        const Status begun = twins.device.backend->begin(builder.batch, wanted);
        if (!begun) {
          ++early;
          EXPECT_EQ(begun.error().code, ErrorCode::kExhausted) << begun.error().message;
          host_cuda::reset_device();
          continue;
        }
        host_cuda::reset_device();
        if (second) host_cuda::fail_next_malloc(n);
        const auto answered = twins.device.backend->finish(plans);
        if (!answered) {
          ++late;
          EXPECT_EQ(answered.error().code, ErrorCode::kExhausted) << answered.error().message;
        }
        host_cuda::reset_device();
      }
      // Of other rows, so that what of the last one still ran would be seen.
      BatchBuilder builder;
      builder.append(sequence, random_ids(random, *model, 2));
      plans[0].row = 0;
      plans[1].row = 1;
      ASSERT_NO_FATAL_FAILURE(expect_same(run_step(*twins.device.backend, builder.batch, plans),
                                          run_step(*twins.cpu.backend, builder.batch, plans)));
      for (PageId page = 0; page < twins.cpu.next_page; ++page) twins.expect_same_page(page);
    }
    EXPECT_GT(early, 0);
    EXPECT_GT(late, 0);
  }
}

// A device that is lost between the halves, or in either: the step says so, and so does the next.
TEST(ADeviceThatIsLost, InEitherHalfIsAnErrorOfTheStep) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(4);
  for (const auto& [name, options] : places()) {
    SCOPED_TRACE(name);
    int early = 0;
    int late = 0;
    for (const unsigned calls : {0U, 5U, 40U, 100U, 1'000'000U}) {
      SCOPED_TRACE(calls);
      host_cuda::reset_device();
      Rig rig(Twins::made(model, options));
      ASSERT_TRUE(rig);
      Sequence sequence = rig.sequence(60);
      BatchBuilder builder;
      builder.append(sequence, random_ids(random, *model, 4));
      std::vector<RowPlan> plans(1);
      plans[0].row = 3;
      plans[0].sampling = &kGreedy;
      const std::vector<std::uint32_t> wanted{3};
      const auto expect_lost = [](const Error& error) {
        EXPECT_EQ(error.code, ErrorCode::kInternal) << error.message;
        EXPECT_NE(error.message.find("CUDA: "), std::string::npos) << error.message;
      };
      host_cuda::lose_device_after(calls);
      const Status begun = rig.backend->begin(builder.batch, wanted);
      if (!begun) {
        ++early;
        expect_lost(begun.error());
      } else {
        if (calls == 1'000'000U) host_cuda::lose_device_after(0);  // between the halves
        const auto answered = rig.backend->finish(plans);
        if (!answered) {
          ++late;
          expect_lost(answered.error());
        }
        EXPECT_FALSE(calls == 1'000'000U && answered.has_value());
      }
      host_cuda::lose_device_after(0);
      const auto next = run_step(*rig.backend, builder.batch, plans);
      ASSERT_FALSE(next.has_value()) << "a lost device came back";
      expect_lost(next.error());
    }
    EXPECT_GT(early, 0);
    EXPECT_GT(late, 0);
  }
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
