#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>

#include "runtime/model/e4m3.h"
#include "runtime/model/half.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/support/host_cuda/streams.h"

namespace espalier::runtime::cuda {

struct LtContext {
  int device;
};
struct LtOperation {
  int compute, scale;
  std::map<int, std::int32_t> set = {};
};
struct LtLayout {
  int type;
  std::uint64_t rows, columns;
  std::int64_t stride;
};
struct LtPreference {
  std::size_t workspace = 0;
  std::map<int, std::uint32_t> set = {};
};

namespace {

constexpr int kNotSupported = 15;
constexpr int kExecutionFailed = 13;

std::atomic<int> alive, asked, products;
std::atomic<bool> without_kernels;

template <class T, class... A>
int make(T** to, A... arguments) {
  *to = new T{arguments...};
  ++alive;
  return 0;
}
template <class T>
int destroy(T* it) {
  delete it;
  --alive;
  return 0;
}

// What an algorithm was chosen for; it is good for that alone.
struct Chosen {
  std::uint64_t outputs, rows, columns;
  std::uint32_t alignment;
};
static_assert(sizeof(Chosen) <= sizeof(LtAlgorithm));

int find(LtContext*, LtOperation* operation, LtLayout* a, LtLayout* b, LtLayout* c, LtLayout* d,
         LtPreference* preference, int wanted, LtFound* found, int* count) {
  ++asked;
  EXPECT_EQ(operation->compute, kLtComputeFloat);
  EXPECT_EQ(operation->scale, kLtFloat);
  EXPECT_EQ(operation->set, (std::map<int, std::int32_t>{{kLtOperationOnA, kLtTransposed}}));
  EXPECT_TRUE(a->type == kLtHalf || a->type == kLtBfloat16 || a->type == kLtE4m3);
  // What its kernels for 8 bits ask for.
  if (a->type == kLtE4m3) {
    EXPECT_EQ(a->rows % 16, 0U);
    EXPECT_EQ(a->columns % 16, 0U);
    EXPECT_EQ(c->stride % 4, 0);
  }
  EXPECT_EQ(a->type, b->type);
  EXPECT_EQ(c->type, kLtFloat);
  EXPECT_EQ(c, d);
  EXPECT_EQ(a->rows, b->rows);
  EXPECT_EQ(c->rows, a->columns);
  EXPECT_EQ(c->columns, b->columns);
  EXPECT_EQ(wanted, 1);
  EXPECT_GT(preference->workspace, 0U);
  EXPECT_EQ(preference->set[kLtReductions], std::uint32_t{kLtReduceInFloats});
  EXPECT_EQ(preference->set[kLtAlignmentOfC], preference->set[kLtAlignmentOfD]);
  *count = without_kernels ? 0 : 1;
  if (without_kernels) return kNotSupported;
  const Chosen chosen{c->rows, c->columns, a->rows, preference->set[kLtAlignmentOfC]};
  std::memcpy(&found->algorithm, &chosen, sizeof chosen);
  found->workspace_bytes = preference->workspace;
  found->status = 0;
  return 0;
}

// 256 bytes are what cuBLASLt takes for granted where nobody says less.
bool is_aligned(const void* address, std::size_t to) {
  return reinterpret_cast<std::uintptr_t>(address) % to == 0;
}

struct Product {
  int type;
  std::uint64_t outputs, rows, columns;
  std::int64_t a_stride, b_stride, stride;
  const void *a, *b;
  float* out;
  bool add;

  [[nodiscard]] float number(const void* of, std::int64_t at) const {
    if (type == kLtE4m3) return e4m3_to_float(static_cast<const std::uint8_t*>(of)[at]);
    const std::uint16_t bits = static_cast<const std::uint16_t*>(of)[at];
    return type == kLtHalf ? half_to_float(bits) : bfloat16_to_float(bits);
  }
  // Sums of 16 columns, then their sum: an order that nothing else here has.
  void run() const {
    const host_cuda::DeviceAccess access;
    for (std::uint64_t m = 0; m < rows; ++m) {
      const std::int64_t x = static_cast<std::int64_t>(m) * b_stride;
      for (std::uint64_t n = 0; n < outputs; ++n) {
        const std::int64_t w = static_cast<std::int64_t>(n) * a_stride;
        float sum = 0.0F;
        for (std::uint64_t k = 0; k < columns; k += 16) {
          float sixteen = 0.0F;
          for (std::uint64_t i = k; i < std::min(columns, k + 16); ++i) {
            const auto at = static_cast<std::int64_t>(i);
            sixteen += number(a, w + at) * number(b, x + at);
          }
          sum += sixteen;
        }
        float& to = out[static_cast<std::int64_t>(m) * stride + static_cast<std::int64_t>(n)];
        to = add ? to + sum : sum;
      }
    }
  }
};

int multiply(LtContext* context, LtOperation*, const void* alpha, const void* a, LtLayout* a_layout,
             const void* b, LtLayout* b_layout, const void* beta, const void* c, LtLayout* c_layout,
             void* d, LtLayout* d_layout, const LtAlgorithm* algorithm, void* workspace,
             std::size_t workspace_bytes, cudaStream_t stream) {
  if (host_cuda::enter() != cudaSuccess) return kExecutionFailed;
  EXPECT_EQ(context->device, host_cuda::current_number());
  Chosen chosen{};
  std::memcpy(&chosen, algorithm, sizeof chosen);
  EXPECT_EQ(chosen.outputs, d_layout->rows);
  EXPECT_EQ(chosen.rows, d_layout->columns);
  EXPECT_EQ(chosen.columns, a_layout->rows);
  const float factor = *static_cast<const float*>(alpha);
  const float kept = *static_cast<const float*>(beta);
  EXPECT_EQ(factor, 1.0F);
  EXPECT_TRUE(kept == 0.0F || kept == 1.0F);
  EXPECT_EQ(c, d);
  EXPECT_EQ(c_layout, d_layout);
  EXPECT_TRUE(is_aligned(a, 256));
  EXPECT_TRUE(is_aligned(b, 256));
  EXPECT_TRUE(is_aligned(d, chosen.alignment));
  EXPECT_GE(chosen.alignment, 16U) << "slower kernels";
  EXPECT_EQ(a_layout->stride % 64, 0) << "rows of weights of whole lines";
  EXPECT_TRUE(is_aligned(workspace, 256));
  EXPECT_GT(workspace_bytes, 0U);
  ++products;
  const Product product{a_layout->type,
                        d_layout->rows,
                        d_layout->columns,
                        a_layout->rows,
                        a_layout->stride,
                        b_layout->stride,
                        d_layout->stride,
                        a,
                        b,
                        static_cast<float*>(d),
                        kept == 1.0F};
  host_cuda::enqueue(stream, [product] { product.run(); });
  return 0;
}

}  // namespace

Result<CublasLtFunctions> find_cublaslt(const std::string&) {
  CublasLtFunctions out;
  out.get_version = []() -> std::size_t { return 130000; };
  out.get_status_string = [](int status) {
    return status == kNotSupported      ? "CUBLAS_STATUS_NOT_SUPPORTED"
           : status == kExecutionFailed ? "CUBLAS_STATUS_EXECUTION_FAILED"
                                        : "CUBLAS_STATUS_SUCCESS";
  };
  out.create = [](LtContext** to) { return make(to, host_cuda::current_number()); };
  out.destroy = destroy<LtContext>;
  out.operation_create = [](LtOperation** to, int compute, int scale) {
    return make(to, compute, scale);
  };
  out.operation_destroy = destroy<LtOperation>;
  out.operation_set = [](LtOperation* it, int attribute, const void* value, std::size_t bytes) {
    EXPECT_EQ(bytes, sizeof(std::int32_t));
    std::memcpy(&it->set[attribute], value, bytes);
    return 0;
  };
  out.layout_create = [](LtLayout** to, int type, std::uint64_t rows, std::uint64_t columns,
                         std::int64_t stride) {
    EXPECT_GE(stride, static_cast<std::int64_t>(rows));
    return make(to, type, rows, columns, stride);
  };
  out.layout_destroy = destroy<LtLayout>;
  out.preference_create = [](LtPreference** to) { return make(to); };
  out.preference_destroy = destroy<LtPreference>;
  out.preference_set = [](LtPreference* it, int attribute, const void* value, std::size_t bytes) {
    if (attribute == kLtMostWorkspace) {
      EXPECT_EQ(bytes, sizeof it->workspace);
      std::memcpy(&it->workspace, value, bytes);
    } else {
      EXPECT_EQ(bytes, sizeof(std::uint32_t));
      std::memcpy(&it->set[attribute], value, bytes);
    }
    return 0;
  };
  out.find = find;
  out.multiply = multiply;
  return out;
}

LtUse lt_use() { return {alive, asked, products}; }
void lt_without_kernels(bool without) { without_kernels = without; }

}  // namespace espalier::runtime::cuda
