// Ranks that give each other their columns through NCCL.
//
// The library is found when the program runs (libnccl.so.2, or what $ESPALIER_NCCL names), so that
// builds need none: the few functions below are declared here as its interface has had them since
// version 2.7. tools/nccl_check.sh holds them against NCCL's own header and library.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "runtime/cuda/communicator.h"

namespace espalier::runtime::cuda {

/// What NCCL's handles point to: nothing that is known here.
struct NcclComm;

/// NCCL's functions, with its types as they cross the interface: enumerations are ints.
struct NcclFunctions {
  using Comm = NcclComm*;
  int (*get_version)(int* version) = nullptr;
  const char* (*get_error_string)(int result) = nullptr;
  int (*comm_init_all)(Comm* comms, int devices, const int* numbers) = nullptr;
  int (*comm_destroy)(Comm comm) = nullptr;
  int (*comm_abort)(Comm comm) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*all_gather)(const void* from, void* to, std::size_t count, int type, Comm comm,
                    cudaStream_t stream) = nullptr;
  int (*broadcast)(const void* from, void* to, std::size_t count, int type, int root, Comm comm,
                   cudaStream_t stream) = nullptr;
  int (*send)(const void* from, std::size_t count, int type, int to, Comm comm,
              cudaStream_t stream) = nullptr;
  int (*receive)(void* to, std::size_t count, int type, int from, Comm comm,
                 cudaStream_t stream) = nullptr;
};
/// ncclFloat32.
inline constexpr int kNcclFloat = 7;

/// kUnsupported where there is no such library, or it lacks a function. It stays loaded.
[[nodiscard]] Result<NcclFunctions> load_nccl(const std::string& library);
/// "2.32.3".
[[nodiscard]] std::string nccl_version(const NcclFunctions& nccl);

/// Rank r on devices[r], all different. kInternal, as NCCL calls the error.
[[nodiscard]] Result<Group> nccl_group(const NcclFunctions& nccl, const std::vector<int>& devices);

}  // namespace espalier::runtime::cuda
