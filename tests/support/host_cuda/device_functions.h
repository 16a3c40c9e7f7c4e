// The functions of device code: collectives, intrinsics, atomics. As CUDA's guide defines them;
// where it leaves a result undefined, bytes of 0xFF.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "execution.h"

// ---- barriers -----------------------------------------------------------------------------------

inline void __syncthreads(host_cuda::Where where = host_cuda::Where::current()) {
  host_cuda::block_barrier("__syncthreads", false, where);
}
inline int __syncthreads_or(int predicate, host_cuda::Where where = host_cuda::Where::current()) {
  return host_cuda::block_barrier("__syncthreads_or", predicate != 0, where).yes > 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, host_cuda::Where where = host_cuda::Where::current()) {
  const auto votes = host_cuda::block_barrier("__syncthreads_and", predicate != 0, where);
  return votes.yes == votes.all ? 1 : 0;
}
inline int __syncthreads_count(int predicate,
                               host_cuda::Where where = host_cuda::Where::current()) {
  return static_cast<int>(
      host_cuda::block_barrier("__syncthreads_count", predicate != 0, where).yes);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU,
                       host_cuda::Where where = host_cuda::Where::current()) {
  host_cuda::warp_collective("__syncwarp", mask, nullptr, nullptr, where);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
[[noreturn]] inline void __trap() {
  host_cuda::fail("__trap");
  __builtin_trap();
}

// ---- shuffles -----------------------------------------------------------------------------------

namespace host_cuda {

template <class T>
T exchange(const char* name, unsigned mask, T value, unsigned from, const Where& where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "CUDA shuffles words of 4 and 8 bytes");
  struct Payload {
    T value;
    T result;
    unsigned from;
  } mine{value, value, from};
  warp_collective(
      name, mask,
      [](void* const* payloads) {
        for (unsigned i = 0; i < 32; ++i) {
          if (payloads[i] == nullptr) continue;
          auto& to = *static_cast<Payload*>(payloads[i]);
          const auto* other = static_cast<const Payload*>(payloads[to.from]);
          if (other != nullptr) {
            to.result = other->value;
          } else {
            std::memset(&to.result, 0xFF, sizeof to.result);
          }
        }
      },
      &mine, where);
  return mine.result;
}

/// Every lane gets f(payloads' values of all that take part, their lanes).
template <class T, class R, R (*kCombine)(const T* values, unsigned present, unsigned lane)>
R combine(const char* name, unsigned mask, T value, const Where& where) {
  struct Payload {
    T value;
    R result;
  } mine{value, {}};
  warp_collective(
      name, mask,
      [](void* const* payloads) {
        T values[32] = {};
        unsigned present = 0;
        for (unsigned i = 0; i < 32; ++i) {
          if (payloads[i] == nullptr) continue;
          values[i] = static_cast<const Payload*>(payloads[i])->value;
          present |= 1U << i;
        }
        for (unsigned i = 0; i < 32; ++i) {
          if (payloads[i] == nullptr) continue;
          static_cast<Payload*>(payloads[i])->result = kCombine(values, present, i);
        }
      },
      &mine, where);
  return mine.result;
}

inline unsigned votes_of(const bool* values, unsigned present, unsigned /*lane*/) {
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if ((present >> i & 1U) != 0 && values[i]) votes |= 1U << i;
  }
  return votes;
}
inline int any_of(const bool* values, unsigned present, unsigned lane) {
  return votes_of(values, present, lane) != 0 ? 1 : 0;
}
inline int all_of(const bool* values, unsigned present, unsigned lane) {
  return votes_of(values, present, lane) == present ? 1 : 0;
}
template <class T>
unsigned equals_of(const T* values, unsigned present, unsigned lane) {
  unsigned same = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if ((present >> i & 1U) != 0 && values[i] == values[lane]) same |= 1U << i;
  }
  return same;
}
template <class T, T (*kStep)(T, T)>
T folded(const T* values, unsigned present, unsigned /*lane*/) {
  T result{};
  bool first = true;
  for (unsigned i = 0; i < 32; ++i) {
    if ((present >> i & 1U) == 0) continue;
    result = first ? values[i] : kStep(result, values[i]);
    first = false;
  }
  return result;
}
template <class T>
T sum_of(T a, T b) {
  return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
}
template <class T>
T least_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T largest_of(T a, T b) {
  return a < b ? b : a;
}

}  // namespace host_cuda

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              host_cuda::Where where = host_cuda::Where::current()) {
  const unsigned segment = static_cast<unsigned>(width) - 1U;
  const unsigned source = (host_cuda::lane() & ~segment) | (static_cast<unsigned>(from) & segment);
  return host_cuda::exchange("__shfl_sync", mask, value, source, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 host_cuda::Where where = host_cuda::Where::current()) {
  const unsigned lane = host_cuda::lane();
  const unsigned begin = lane & ~(static_cast<unsigned>(width) - 1U);
  const unsigned source = lane >= begin + delta ? lane - delta : lane;
  return host_cuda::exchange("__shfl_up_sync", mask, value, source, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   host_cuda::Where where = host_cuda::Where::current()) {
  const unsigned lane = host_cuda::lane();
  const unsigned last = lane | (static_cast<unsigned>(width) - 1U);
  const unsigned source = delta <= last - lane ? lane + delta : lane;
  return host_cuda::exchange("__shfl_down_sync", mask, value, source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  host_cuda::Where where = host_cuda::Where::current()) {
  const unsigned lane = host_cuda::lane();
  const unsigned last = lane | (static_cast<unsigned>(width) - 1U);
  const unsigned source = lane ^ static_cast<unsigned>(bits);
  return host_cuda::exchange("__shfl_xor_sync", mask, value, source <= last ? source : lane, where);
}

// ---- votes and reductions of a warp -------------------------------------------------------------

inline unsigned __activemask() { return 0xFFFFFFFFU; }
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              host_cuda::Where where = host_cuda::Where::current()) {
  return host_cuda::combine<bool, unsigned, host_cuda::votes_of>("__ballot_sync", mask,
                                                                 predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate,
                      host_cuda::Where where = host_cuda::Where::current()) {
  return host_cuda::combine<bool, int, host_cuda::any_of>("__any_sync", mask, predicate != 0,
                                                          where);
}
inline int __all_sync(unsigned mask, int predicate,
                      host_cuda::Where where = host_cuda::Where::current()) {
  return host_cuda::combine<bool, int, host_cuda::all_of>("__all_sync", mask, predicate != 0,
                                                          where);
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          host_cuda::Where where = host_cuda::Where::current()) {
  return host_cuda::combine<T, unsigned, host_cuda::equals_of<T>>("__match_any_sync", mask, value,
                                                                  where);
}
#define HOST_CUDA_REDUCE(name, type, step)                                                 \
  inline type name(unsigned mask, type value,                                              \
                   host_cuda::Where where = host_cuda::Where::current()) {                 \
    return host_cuda::combine<type, type, host_cuda::folded<type, host_cuda::step<type>>>( \
        #name, mask, value, where);                                                        \
  }
HOST_CUDA_REDUCE(__reduce_add_sync, unsigned, sum_of)
HOST_CUDA_REDUCE(__reduce_add_sync, int, sum_of)
HOST_CUDA_REDUCE(__reduce_min_sync, unsigned, least_of)
HOST_CUDA_REDUCE(__reduce_min_sync, int, least_of)
HOST_CUDA_REDUCE(__reduce_max_sync, unsigned, largest_of)
HOST_CUDA_REDUCE(__reduce_max_sync, int, largest_of)
#undef HOST_CUDA_REDUCE

// ---- loads and stores with hints ----------------------------------------------------------------

#define HOST_CUDA_LOAD(name) \
  template <class T>         \
  T name(const T* from) {    \
    return *from;            \
  }
HOST_CUDA_LOAD(__ldg)
HOST_CUDA_LOAD(__ldca)
HOST_CUDA_LOAD(__ldcg)
HOST_CUDA_LOAD(__ldcs)
#undef HOST_CUDA_LOAD
#define HOST_CUDA_STORE(name) \
  template <class T>          \
  void name(T* to, T value) { \
    *to = value;              \
  }
HOST_CUDA_STORE(__stcg)
HOST_CUDA_STORE(__stcs)
#undef HOST_CUDA_STORE

// ---- integers -----------------------------------------------------------------------------------

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __ffsll(long long x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1;
}
inline unsigned __brev(unsigned x) {
  unsigned out = 0;
  for (unsigned i = 0; i < 32; ++i) out |= (x >> i & 1U) << (31 - i);
  return out;
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const std::uint64_t bytes = std::uint64_t{y} << 32 | x;
  unsigned out = 0;
  for (unsigned i = 0; i < 4; ++i) {
    out |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7U) & 0xFFU) << 8 * i;
  }
  return out;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) << (shift & 31U) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) >> (shift & 31U));
}
inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(std::uint64_t{x} * y >> 32);
}
inline int __dp4a(int a, int b, int c) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<unsigned>(static_cast<std::int8_t>(a >> 8 * i) *
                                 static_cast<std::int8_t>(b >> 8 * i));
  }
  return static_cast<int>(sum);
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  for (unsigned i = 0; i < 4; ++i) c += (a >> 8 * i & 0xFFU) * (b >> 8 * i & 0xFFU);
  return c;
}

// ---- floats -------------------------------------------------------------------------------------

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
/// To the nearest, ties to even; NaN gives 0, what is out of range the nearest end.
inline int __float2int_rn(float x) {
  if (std::isnan(x)) return 0;
  if (x >= 2147483648.0F) return 2147483647;
  if (x < -2147483648.0F) return -2147483647 - 1;
  return static_cast<int>(std::nearbyint(x));
}

// CUDA has these for device code in the global namespace, for all types of numbers.
#define HOST_CUDA_LEAST(type)                               \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
HOST_CUDA_LEAST(int)
HOST_CUDA_LEAST(unsigned)
HOST_CUDA_LEAST(long)
HOST_CUDA_LEAST(unsigned long)
HOST_CUDA_LEAST(long long)
HOST_CUDA_LEAST(unsigned long long)
#undef HOST_CUDA_LEAST

// ---- atomics: fibers do not interrupt each other ------------------------------------------------

#define HOST_CUDA_ATOMIC(name, type, result)    \
  inline type name(type* address, type value) { \
    const type old = *address;                  \
    *address = result;                          \
    return old;                                 \
  }
#define HOST_CUDA_ATOMICS(type)                                     \
  HOST_CUDA_ATOMIC(atomicAdd, type, static_cast<type>(old + value)) \
  HOST_CUDA_ATOMIC(atomicMin, type, value < old ? value : old)      \
  HOST_CUDA_ATOMIC(atomicMax, type, value > old ? value : old)      \
  HOST_CUDA_ATOMIC(atomicAnd, type, old& value)                     \
  HOST_CUDA_ATOMIC(atomicOr, type, old | value)                     \
  HOST_CUDA_ATOMIC(atomicXor, type, old ^ value)                    \
  HOST_CUDA_ATOMIC(atomicExch, type, value)                         \
  inline type atomicCAS(type* address, type compare, type value) {  \
    const type old = *address;                                      \
    if (old == compare) *address = value;                           \
    return old;                                                     \
  }
HOST_CUDA_ATOMICS(int)
HOST_CUDA_ATOMICS(unsigned)
HOST_CUDA_ATOMICS(unsigned long long)
HOST_CUDA_ATOMIC(atomicAdd, float, old + value)
HOST_CUDA_ATOMIC(atomicAdd, double, old + value)
HOST_CUDA_ATOMIC(atomicExch, float, value)
#undef HOST_CUDA_ATOMICS
#undef HOST_CUDA_ATOMIC
