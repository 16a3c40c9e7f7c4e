// CUDA's built-in vector types, as far as kernels use them.
#pragma once

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint3 {
  unsigned x, y, z;
};

#define HOST_CUDA_VECTORS(scalar, name)                                       \
  struct alignas(2 * sizeof(scalar)) name##2 {                                \
    scalar x, y;                                                              \
  };                                                                          \
  struct alignas(4 * sizeof(scalar) < 16 ? 4 * sizeof(scalar) : 16) name##4 { \
    scalar x, y, z, w;                                                        \
  };                                                                          \
  inline name##2 make_##name##2(scalar x, scalar y) { return {x, y}; }        \
  inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
HOST_CUDA_VECTORS(signed char, char)
HOST_CUDA_VECTORS(unsigned char, uchar)
HOST_CUDA_VECTORS(short, short)
HOST_CUDA_VECTORS(unsigned short, ushort)
HOST_CUDA_VECTORS(int, int)
HOST_CUDA_VECTORS(unsigned, uint)
HOST_CUDA_VECTORS(float, float)
HOST_CUDA_VECTORS(double, double)
#undef HOST_CUDA_VECTORS
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }
