#include "runtime/cuda/tensor_products.h"

#include <string>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

// What cuBLASLt's kernels for Hopper want at most.
constexpr std::size_t kWorkspace = std::size_t{32} << 20;
// Chunks of prompts are of many sizes; asking again takes some microseconds.
constexpr std::size_t kMostPlans = 1024;

// A power of two that divides an address, to what is asked for by default.
std::uint32_t alignment_of(const void* address) {
  constexpr std::uintptr_t kMost = 256;
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | kMost;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

}  // namespace

TensorProducts::Plan::~Plan() {
  if (operation != nullptr) lt.operation_destroy(operation);
  for (LtLayout* layout : {weights, rows, out}) {
    if (layout != nullptr) lt.layout_destroy(layout);
  }
}

Status TensorProducts::check_lt(int status, const char* what) const {
  if (status == 0) return {};
  return fail(ErrorCode::kInternal,
              std::string("CUDA: cuBLASLt: ") + what + ": " + lt_.get_status_string(status));
}

Result<std::unique_ptr<TensorProducts>> TensorProducts::create(const CublasLtFunctions& functions) {
  std::unique_ptr<TensorProducts> out(new TensorProducts(functions));
  ESP_ASSIGN(out->workspace_, DeviceMemory::allocate(kWorkspace, "cuBLASLt's workspace"));
  ESP_TRY(out->check_lt(out->lt_.create(&out->context_), "starting"));
  return out;
}

TensorProducts::~TensorProducts() {
  plans_.clear();
  if (context_ != nullptr) lt_.destroy(context_);
}

// For cuBLASLt matrices lie column by column, so a row of weights, of activations or of outputs is
// a column of its: out = weights transposed * rows.
Status TensorProducts::choose(const Shape& shape, Plan& plan) {
  ESP_TRY(check_lt(lt_.operation_create(&plan.operation, kLtComputeFloat, kLtFloat),
                   "describing a product"));
  const std::int32_t transposed = kLtTransposed;
  ESP_TRY(
      check_lt(lt_.operation_set(plan.operation, kLtOperationOnA, &transposed, sizeof transposed),
               "describing a product"));
  const auto layout = [&](LtLayout*& to, int type, std::uint64_t rows, std::uint64_t columns,
                          std::uint64_t stride) {
    return check_lt(lt_.layout_create(&to, type, rows, columns, static_cast<std::int64_t>(stride)),
                    "describing a matrix");
  };
  ESP_TRY(layout(plan.weights, shape.type, shape.columns, shape.outputs, shape.columns));
  ESP_TRY(layout(plan.rows, shape.type, shape.columns, shape.rows, shape.columns));
  ESP_TRY(layout(plan.out, kLtFloat, shape.outputs, shape.rows, shape.stride));

  LtPreference* made = nullptr;
  ESP_TRY(check_lt(lt_.preference_create(&made), "choosing a kernel"));
  const std::unique_ptr<LtPreference, int (*)(LtPreference*)> preference(made,
                                                                         lt_.preference_destroy);
  const auto prefer = [&](int attribute, const auto& value) {
    return check_lt(lt_.preference_set(made, attribute, &value, sizeof value), "choosing a kernel");
  };
  // Sums of parts of the columns go through the workspace, in order, not by atomics.
  const std::uint32_t reductions = kLtReduceInFloats;
  ESP_TRY(prefer(kLtMostWorkspace, kWorkspace));
  ESP_TRY(prefer(kLtReductions, reductions));
  ESP_TRY(prefer(kLtAlignmentOfC, shape.alignment));
  ESP_TRY(prefer(kLtAlignmentOfD, shape.alignment));
  LtFound found{};
  int count = 0;
  const int status = lt_.find(context_, plan.operation, plan.weights, plan.rows, plan.out, plan.out,
                              made, 1, &found, &count);
  if (status != 0 || count == 0 || found.status != 0) {
    return fail(ErrorCode::kUnsupported,
                "CUDA: cuBLASLt has no kernel for " + std::to_string(shape.rows) + " rows of " +
                    std::to_string(shape.columns) + " columns and " +
                    std::to_string(shape.outputs) +
                    " outputs: " + lt_.get_status_string(status != 0 ? status : found.status));
  }
  plan.algorithm = found.algorithm;
  return {};
}

Result<const TensorProducts::Plan*> TensorProducts::plan(const Shape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second.get();
  if (plans_.size() >= kMostPlans) plans_.clear();
  auto made = std::make_unique<Plan>(lt_);
  ESP_TRY(choose(shape, *made));
  return plans_.emplace(shape, std::move(made)).first->second.get();
}

Status TensorProducts::product(const Stream& stream, const DeviceMatrix& matrix, const StripRows& x,
                               std::uint32_t rows, float* out, std::size_t stride, bool add) {
  ESP_CHECK(matrix.format == x.format && x.stride == strip_columns(matrix.columns));
  const Shape shape{
      matrix.rows, x.stride,          rows,
      stride,      alignment_of(out), matrix.format == WeightFormat::kF16 ? kLtHalf : kLtBfloat16};
  ESP_ASSIGN(const Plan* const how, plan(shape));
  return run(stream, *how, matrix.data, x.values, out, add);
}

// Its kernels for numbers of 8 bits take outputs and columns by 16 alone, and rows of outputs that
// begin at multiples of 16 bytes.
Result<bool> TensorProducts::code_product(const Stream& stream, const DeviceMatrix& matrix,
                                          const E4m3Rows& x, std::uint32_t rows, float* out,
                                          std::size_t stride) {
  ESP_CHECK(matrix.format == WeightFormat::kE4M3 && x.stride == strip_columns(matrix.columns));
  constexpr std::uint32_t kBy = 16;
  const Shape shape{matrix.rows, x.stride, rows, stride, alignment_of(out), kLtE4m3};
  if (matrix.rows % kBy != 0 || stride * sizeof(float) % kBy != 0 || shape.alignment < kBy) {
    return false;
  }
  auto how = plan(shape);
  if (!how && how.error().code == ErrorCode::kUnsupported) {
    plans_.emplace(shape, nullptr);
    return false;
  }
  if (!how) return fail(how.error());
  if (*how == nullptr) return false;
  ESP_TRY(run(stream, **how, matrix.data, x.codes, out, false));
  return true;
}

Status TensorProducts::run(const Stream& stream, const Plan& how, const void* weights,
                           const void* rows, float* out, bool add) {
  const float alpha = 1.0F;
  const float beta = add ? 1.0F : 0.0F;
  return check_lt(lt_.multiply(context_, how.operation, &alpha, weights, how.weights, rows,
                               how.rows, &beta, out, how.out, out, how.out, &how.algorithm,
                               workspace_.data(), kWorkspace, stream.get()),
                  "a product");
}

}  // namespace espalier::runtime::cuda
