#include "runtime/cuda/tuning.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

constexpr const char* kProductNames[kProductsOf] = {"heads", "output", "hidden", "down", "head"};

// f(name, size, its limits) of each size of `tuning`, in the order that files have.
template <class T, class F>
void each_size(T& tuning, F&& f) {
  for (std::size_t i = 0; i < tuning.steps.size(); ++i) {
    const std::string rows = std::to_string(Tuning::kRows[i]) + " ";
    auto& step = tuning.steps[i];
    for (std::size_t of = 0; of < kProductsOf; ++of) {
      const std::string name = rows + kProductNames[of];
      auto& product = step.products[of];
      f(name + "_rows", product.rows, SizeLimits{0, 64});
      f(name + "_warps", product.warps, SizeLimits{0, 16});
      f(name + "_ahead", product.ahead, SizeLimits{0, 4});
    }
    f(rows + "attention_side_by_side", step.side_by_side, SizeLimits{1, 64});
    f(rows + "attention_busy", step.busy, SizeLimits{1, 64});
    f(rows + "heads_together", step.heads_together, SizeLimits{1, kMostHeadsTogether});
    f(rows + "most_of_head", step.most_of_head, SizeLimits{1, 16});
    f(rows + "one_kernel", step.one_kernel, SizeLimits{0, kOneKernelByRule});
  }
  f(std::string("piece_kib"), tuning.piece_kib, SizeLimits{16, 65536});
}

}  // namespace

AttentionLimits StepSizes::attention(std::uint32_t multiprocessors) const {
  AttentionLimits out;
  out.multiprocessors = std::max(1U, multiprocessors * side_by_side / 2);
  out.busy_blocks = multiprocessors * busy / 2;
  return out;
}

const StepSizes& Tuning::of(std::uint32_t rows) const {
  std::size_t i = 0;
  while (i + 1 < kRows.size() && rows > kRows[i]) ++i;
  return steps[i];
}

bool Tuning::valid() const {
  bool out = true;
  each_size(*this, [&](const std::string&, std::uint32_t size, SizeLimits limits) {
    out = out && size >= limits.least && size <= limits.most;
  });
  return out;
}

std::string Tuning::text() const {
  const std::vector<std::uint32_t> rules = Tuning().numbers();
  std::string out = "rules";
  std::size_t i = 0;
  each_size(*this, [&](const std::string& name, std::uint32_t size, SizeLimits) {
    if (size == rules[i++]) return;
    out += (out == "rules" ? " but " : ", ") + name + " " + std::to_string(size);
  });
  return out;
}

std::vector<std::string> Tuning::names() {
  std::vector<std::string> out;
  Tuning any;
  each_size(any, [&](const std::string& name, std::uint32_t, SizeLimits) { out.push_back(name); });
  return out;
}

std::vector<std::uint32_t> Tuning::numbers() const {
  std::vector<std::uint32_t> out;
  each_size(*this,
            [&](const std::string&, std::uint32_t size, SizeLimits) { out.push_back(size); });
  return out;
}

std::vector<SizeLimits> Tuning::limits() {
  std::vector<SizeLimits> out;
  Tuning any;
  each_size(any,
            [&](const std::string&, std::uint32_t, SizeLimits limits) { out.push_back(limits); });
  return out;
}

std::optional<Tuning> Tuning::of(std::span<const std::uint32_t> numbers) {
  Tuning out;
  std::size_t i = 0;
  each_size(out, [&](const std::string&, std::uint32_t& size, SizeLimits) {
    if (i < numbers.size()) size = numbers[i];
    ++i;
  });
  if (i != numbers.size() || !out.valid()) return std::nullopt;
  return out;
}

}  // namespace espalier::runtime::cuda
