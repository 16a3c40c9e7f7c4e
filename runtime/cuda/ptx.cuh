// What needs an instruction by name, each with a twin for the host that does what the PTX ISA says.
//
// Products of small matrices by a whole warp (mma.sync): c += a * b, a of 16 rows, b of 8 columns.
// With g = lane / 4 and t = lane % 4, a lane holds (PTX ISA, "Matrix Fragments for mma.m16n8k..")
//
//   a, bytes:  word 0: row g,     k = 4t..4t+3       word 1: row g + 8, the same
//              word 2: row g,     k = 16 + 4t..      word 3: row g + 8, the same   (k 32 only)
//   b, bytes:  word 0: column g,  k = 4t..4t+3       word 1: k = 16 + 4t..         (k 32 only)
//   (E4M3 as bytes of k 32)
//   a, 16 bits: word 0: row g,     k = 2t, 2t+1       word 1: row g + 8, the same
//              word 2: row g,     k = 8 + 2t, +1     word 3: row g + 8, the same
//   b, 16 bits: word 0: column g,  k = 2t, 2t+1       word 1: k = 8 + 2t, +1
//   c:         0, 1: row g, columns 2t and 2t+1      2, 3: row g + 8, the same
//
// Low bytes come first. All 32 lanes must take part. Integer products are exact (they wrap where
// they would pass 32 bits, which these do not).
#pragma once

#include "runtime/cuda/simt.cuh"

#ifdef ESPALIER_HOST_CUDA
#include <cstring>

#include "runtime/model/e4m3.h"
#include "runtime/model/half.h"
#endif

namespace espalier::runtime::cuda {

#ifndef ESPALIER_HOST_CUDA

/// d = start + the product of 16 x 32 codes of 0..255 with 32 x 8 of -128..127.
__device__ inline void mma_16x8x32_u8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2], std::int32_t start) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(start));
}
/// The same with -128..127 on both sides.
__device__ inline void mma_16x8x32_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2], std::int32_t start) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(start));
}
/// 16 x 16 codes of 0..255 with 16 x 8 of -128..127.
__device__ inline void mma_16x8x16_u8(std::int32_t (&d)[4], const std::uint32_t (&a)[2],
                                      std::uint32_t b, std::int32_t start) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b), "r"(start));
}
/// The same with -128..127 on both sides.
__device__ inline void mma_16x8x16_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[2],
                                      std::uint32_t b, std::int32_t start) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b), "r"(start));
}
/// c += the product of 16 x 16 numbers of 16 bits with 16 x 8, in fp32.
__device__ inline void mma_16x8x16_f16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                       std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void mma_16x8x16_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                        std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/// c += the product of 16 x 32 numbers of E4M3 with 32 x 8, in fp32 as the device's tensor cores
/// add. From sm_89 on; on older devices, where nothing launches it, it does nothing.
__device__ inline void mma_16x8x32_e4m3(float (&c)[4], const std::uint32_t (&a)[4],
                                        std::uint32_t b0, std::uint32_t b1) {
#if __CUDA_ARCH__ >= 890
  asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
/// Four floats as E4M3, the first in the low byte: runtime/model/e4m3.h's bits. From sm_89 on, as
/// above.
__device__ inline std::uint32_t floats_to_e4m3(float a, float b, float c, float d) {
  std::uint32_t codes = 0;
#if __CUDA_ARCH__ >= 890
  asm("{\n"
      ".reg .b16 low, high;\n"
      "cvt.rn.satfinite.e4m3x2.f32 low, %2, %1;\n"
      "cvt.rn.satfinite.e4m3x2.f32 high, %4, %3;\n"
      "mov.b32 %0, {low, high};\n"
      "}"
      : "=r"(codes)
      : "f"(a), "f"(b), "f"(c), "f"(d));
#endif
  return codes;
}
/// Four matrices of 8 x 8 numbers of 16 bits from shared memory, whose rows of 16 bytes lanes 8i to
/// 8i + 7 point to: of matrix i a lane gets, in word i, column g of rows 2t and 2t + 1.
__device__ inline void load_matrices_transposed(std::uint32_t (&to)[4], const void* row) {
  const auto from = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}
/// Where kernels start early (simt.cuh): waits until those before have ended and what they wrote
/// can be seen. Every kernel calls it, before it reads or writes what another one might have.
__device__ inline void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Lets the next kernel start as far as there is room, up to its wait_for_inputs().
__device__ inline void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// The same number, of which the compiler knows nothing: what follows from it is worked out where
/// it is needed, and not once for all before a loop, which takes registers.
__device__ inline unsigned opaque(unsigned number) {
  asm volatile("" : "+r"(number));
  return number;
}

/// Waits for all blocks of a launch_together(), in which every thread calls it, and makes what they
/// have written seen. `state` is 0 before its first launch; each barrier leaves it ready for the
/// next: blocks add ones and the first of them what turns the top bit, for which all wait.
__device__ inline void grid_barrier(std::uint32_t* state) {
  constexpr std::uint32_t kTurn = 0x80000000U;
  __syncthreads();
  if (threadIdx.x == 0) {
    const std::uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
    const bool first = blockIdx.x + blockIdx.y + blockIdx.z == 0;
    const std::uint32_t add = first ? kTurn - (blocks - 1) : 1U;
    std::uint32_t before;
    asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(state), "r"(add)
                 : "memory");
    std::uint32_t now = before;
    while (((before ^ now) & kTurn) == 0) {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(state) : "memory");
    }
  }
  __syncthreads();
}

/// Asks for memory to be brought near all multiprocessors, which nobody waits for. `threads` of
/// them share it, of which this one is `thread`. Address and bytes are multiples of 16.
__device__ inline void ask_for(const void* from, std::uint64_t bytes, unsigned thread,
                               unsigned threads) {
#if __CUDA_ARCH__ >= 900
  constexpr std::uint32_t kPiece = 1024;
#else
  constexpr std::uint32_t kPiece = 32;
#endif
  for (std::uint64_t at = std::uint64_t{thread} * kPiece; at < bytes;
       at += std::uint64_t{threads} * kPiece) {
    const auto* const piece = static_cast<const unsigned char*>(from) + at;
#if __CUDA_ARCH__ >= 900
    const auto size = static_cast<std::uint32_t>(bytes - at < kPiece ? bytes - at : kPiece);
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(piece), "r"(size));
#else
    asm volatile("prefetch.global.L2 [%0];" ::"l"(piece));
#endif
  }
}

/// Starts to copy 16 bytes from global to shared memory, both aligned to 16.
__device__ inline void copy_async_16(void* shared, const void* global) {
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}
/// Ends a group of the copies that this thread started.
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most the newest kPending of this thread's groups are under way. What others
/// copied is there after a barrier behind it.
template <int kPending>
__device__ inline void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// binary16 -> float, exact.
__device__ inline float half_bits_to_float(std::uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
/// float -> binary16, to nearest even.
__device__ inline std::uint16_t float_to_half_bits(float value) {
  std::uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}

#else

// A lane's share of a product.
struct MatrixFragments {
  std::int32_t* c;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

// c += a * b from all lanes' fragments. kWords: of a row's k in a lane (1 for k 16, else 2); A:
// what a byte of a is.
template <int kWords, class A>
inline void multiply_fragments(void* const* payloads) {
  constexpr int kDepth = 16 * kWords;
  const auto lane = [&](int g, int t) {
    return static_cast<const MatrixFragments*>(payloads[4 * g + t]);
  };
  std::int16_t a[16][kDepth];
  std::int16_t b[8][kDepth];
  for (int g = 0; g < 8; ++g) {
    for (int t = 0; t < 4; ++t) {
      for (int word = 0; word < kWords; ++word) {
        for (int i = 0; i < 4; ++i) {
          const int k = 16 * word + 4 * t + i;
          a[g][k] = static_cast<A>(lane(g, t)->a[2 * word] >> 8 * i);
          a[g + 8][k] = static_cast<A>(lane(g, t)->a[2 * word + 1] >> 8 * i);
          b[g][k] = static_cast<std::int8_t>(lane(g, t)->b[word] >> 8 * i);
        }
      }
    }
  }
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      std::int32_t sum = 0;
      for (int k = 0; k < kDepth; ++k) sum += a[m][k] * b[n][k];
      lane(m % 8, n / 2)->c[m / 8 * 2 + n % 2] += sum;
    }
  }
}

inline void mma(const char* name, host_cuda::Complete complete, std::int32_t* c,
                const std::uint32_t* a, const std::uint32_t* b, const host_cuda::Where& where) {
  MatrixFragments mine{c, a, b};
  host_cuda::warp_collective(name, kFullWarp, complete, &mine, where);
}

inline void mma_16x8x32_u8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2], std::int32_t start,
                           host_cuda::Where where = host_cuda::Where::current()) {
  std::fill_n(d, 4, start);
  mma("mma_16x8x32_u8", multiply_fragments<2, std::uint8_t>, d, a, b, where);
}
inline void mma_16x8x32_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2], std::int32_t start,
                           host_cuda::Where where = host_cuda::Where::current()) {
  std::fill_n(d, 4, start);
  mma("mma_16x8x32_s8", multiply_fragments<2, std::int8_t>, d, a, b, where);
}
inline void mma_16x8x16_u8(std::int32_t (&d)[4], const std::uint32_t (&a)[2], std::uint32_t b,
                           std::int32_t start,
                           host_cuda::Where where = host_cuda::Where::current()) {
  std::fill_n(d, 4, start);
  mma("mma_16x8x16_u8", multiply_fragments<1, std::uint8_t>, d, a, &b, where);
}
inline void mma_16x8x16_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[2], std::uint32_t b,
                           std::int32_t start,
                           host_cuda::Where where = host_cuda::Where::current()) {
  std::fill_n(d, 4, start);
  mma("mma_16x8x16_s8", multiply_fragments<1, std::int8_t>, d, a, &b, where);
}

struct FloatFragments {
  float* c;
  const std::uint32_t *a, *b;
};
// c += a * b of numbers of sizeof(Code) bytes that kNumber widens: sums of exact products, rounded
// one by one.
template <class Code, float (*kNumber)(Code)>
inline void multiply_float_fragments(void* const* payloads) {
  constexpr int kOfWord = 4 / static_cast<int>(sizeof(Code));
  constexpr int kColumns = 8 * kOfWord;
  const auto lane = [&](int g, int t) {
    return static_cast<const FloatFragments*>(payloads[4 * g + t]);
  };
  float a[16][kColumns];
  float b[8][kColumns];
  for (int g = 0; g < 8; ++g) {
    for (int t = 0; t < 4; ++t) {
      for (int word = 0; word < 2; ++word) {
        for (int i = 0; i < kOfWord; ++i) {
          const int k = kOfWord * (4 * word + t) + i;
          const auto number = [i](std::uint32_t several) {
            return kNumber(static_cast<Code>(several >> (32 / kOfWord * i)));
          };
          a[g][k] = number(lane(g, t)->a[2 * word]);
          a[g + 8][k] = number(lane(g, t)->a[2 * word + 1]);
          b[g][k] = number(lane(g, t)->b[word]);
        }
      }
    }
  }
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      float& c = lane(m % 8, n / 2)->c[m / 8 * 2 + n % 2];
      for (int k = 0; k < kColumns; ++k) c += a[m][k] * b[n][k];
    }
  }
}
inline void mma_16x8x16_f16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                            std::uint32_t b1,
                            host_cuda::Where where = host_cuda::Where::current()) {
  const std::uint32_t b[2] = {b0, b1};
  FloatFragments mine{c, a, b};
  host_cuda::warp_collective("mma_16x8x16_f16", kFullWarp,
                             multiply_float_fragments<std::uint16_t, runtime::half_to_float>, &mine,
                             where);
}
inline void mma_16x8x16_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1,
                             host_cuda::Where where = host_cuda::Where::current()) {
  const std::uint32_t b[2] = {b0, b1};
  FloatFragments mine{c, a, b};
  host_cuda::warp_collective("mma_16x8x16_bf16", kFullWarp,
                             multiply_float_fragments<std::uint16_t, runtime::bfloat16_to_float>,
                             &mine, where);
}
inline void mma_16x8x32_e4m3(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1,
                             host_cuda::Where where = host_cuda::Where::current()) {
  const std::uint32_t b[2] = {b0, b1};
  FloatFragments mine{c, a, b};
  host_cuda::warp_collective("mma_16x8x32_e4m3", kFullWarp,
                             multiply_float_fragments<std::uint8_t, runtime::e4m3_to_float>, &mine,
                             where);
}
inline std::uint32_t floats_to_e4m3(float a, float b, float c, float d) {
  std::uint32_t out = 0;
  int shift = 0;
  for (const float value : {a, b, c, d}) {
    out |= static_cast<std::uint32_t>(runtime::float_to_e4m3(value)) << shift;
    shift += 8;
  }
  return out;
}
struct MatrixRows {
  std::uint32_t* to;
  const std::uint16_t* row;
};
inline void load_matrix_rows(void* const* payloads) {
  const auto lane = [&](int i) { return static_cast<const MatrixRows*>(payloads[i]); };
  for (int i = 0; i < 32; ++i) {
    for (int matrix = 0; matrix < 4; ++matrix) {
      const auto number = [&](int row) -> std::uint32_t {
        return lane(8 * matrix + row)->row[i / 4];
      };
      lane(i)->to[matrix] = number(i % 4 * 2) | number(i % 4 * 2 + 1) << 16;
    }
  }
}
inline void load_matrices_transposed(std::uint32_t (&to)[4], const void* row,
                                     host_cuda::Where where = host_cuda::Where::current()) {
  MatrixRows mine{to, static_cast<const std::uint16_t*>(row)};
  host_cuda::warp_collective("load_matrices_transposed", kFullWarp, load_matrix_rows, &mine, where);
}
inline unsigned opaque(unsigned number) { return number; }
inline void grid_barrier(std::uint32_t* /*state*/,
                         host_cuda::Where where = host_cuda::Where::current()) {
  host_cuda::grid_barrier(where);
}
// Reads what it may not ask for: it must be memory of the device.
inline void ask_for(const void* from, std::uint64_t bytes, unsigned thread, unsigned threads) {
  if ((reinterpret_cast<std::uintptr_t>(from) | bytes) % 16 != 0) {
    host_cuda::fail("asked for memory that is not aligned");
  }
  for (std::uint64_t at = std::uint64_t{thread} * 1024; at < bytes;
       at += std::uint64_t{threads} * 1024) {
    (void)*(static_cast<const volatile unsigned char*>(from) + at);
  }
}
inline void wait_for_inputs() {}
inline void let_next_start() {}
inline void copy_async_16(void* shared, const void* global) {
  host_cuda::copy_async(shared, global, 16);
}
inline void copy_async_commit() { host_cuda::copy_async_commit(); }
template <int kPending>
inline void copy_async_wait() {
  host_cuda::copy_async_wait(kPending);
}

inline float half_bits_to_float(std::uint16_t half) { return runtime::half_to_float(half); }
inline std::uint16_t float_to_half_bits(float value) { return runtime::float_to_half(value); }

#endif

}  // namespace espalier::runtime::cuda
