// Elementary functions from IEEE additions, multiplications and divisions alone, so that they give
// the same bits on every machine and with every C library. Accurate to about 1e-15; scalar, for
// tables and single values (the kernels have their own fp32 exponential).
#pragma once

namespace espalier::runtime::cpu {

struct SineCosine {
  double sine = 0;
  double cosine = 1;
};

/// For |x| < 2^30.
[[nodiscard]] SineCosine sine_cosine(double x);
/// Natural logarithm of a positive normal number.
[[nodiscard]] double logarithm(double x);
/// e^x for |x| < 700.
[[nodiscard]] double exponential(double x);

}  // namespace espalier::runtime::cpu
