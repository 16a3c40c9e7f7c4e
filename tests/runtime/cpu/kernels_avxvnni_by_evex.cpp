// The AVX-VNNI kernels with AVX-512's encoding of their one instruction, so that machines which
// have only that test their arithmetic, too.
#if defined(__x86_64__)
#define ESPALIER_DOT_EVEX
#include "runtime/cpu/kernels_avxvnni.cpp"
#endif
