// The values that 4-bit codes stand for where a tensor type has a table. Data alone, so that kernel
// files may include it.
#pragma once

#include <stdint.h>

namespace espalier::runtime {

/// Of IQ4_NL and IQ4_XS.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
/// Of MXFP4: E2M1, doubled to be integers.
inline constexpr int8_t kMxfp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace espalier::runtime
