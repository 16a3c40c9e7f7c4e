// Holds runtime/cuda/nccl_communicator.h against NCCL's own header and library: the functions have
// the signatures, the numbers are the numbers, and the library has them all. tools/nccl_check.sh
// builds and runs it.
#include "runtime/cuda/nccl_communicator.h"

#include <nccl.h>

#include <cstdio>
#include <type_traits>

namespace {

using espalier::runtime::cuda::NcclComm;
using espalier::runtime::cuda::NcclFunctions;

// A type of NCCL's as it is declared here.
template <class T>
struct Here {
  using Type = T;
};
template <>
struct Here<ncclResult_t> {
  using Type = int;
};
template <>
struct Here<ncclDataType_t> {
  using Type = int;
};
template <>
struct Here<ncclComm_t> {
  using Type = NcclComm*;
};
template <>
struct Here<ncclComm_t*> {
  using Type = NcclComm**;
};
template <class R, class... P>
auto here(R (*)(P...)) -> typename Here<R>::Type (*)(typename Here<P>::Type...);

template <class Declared, class Theirs>
constexpr bool is_same_function = std::is_same_v<Declared, decltype(here(Theirs{}))>;

static_assert(sizeof(ncclResult_t) == sizeof(int) && sizeof(ncclDataType_t) == sizeof(int));
static_assert(ncclSuccess == 0 && ncclFloat32 == espalier::runtime::cuda::kNcclFloat);
#define ESP_SAME(member, function) \
  static_assert(is_same_function<decltype(NcclFunctions::member), decltype(&(function))>)
ESP_SAME(get_version, ncclGetVersion);
ESP_SAME(get_error_string, ncclGetErrorString);
ESP_SAME(comm_init_all, ncclCommInitAll);
ESP_SAME(comm_destroy, ncclCommDestroy);
ESP_SAME(comm_abort, ncclCommAbort);
ESP_SAME(group_start, ncclGroupStart);
ESP_SAME(group_end, ncclGroupEnd);
ESP_SAME(all_gather, ncclAllGather);
ESP_SAME(broadcast, ncclBroadcast);
ESP_SAME(send, ncclSend);
ESP_SAME(receive, ncclRecv);

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const auto nccl = espalier::runtime::cuda::load_nccl(arguments[1]);
  if (!nccl) {
    std::fprintf(stderr, "nccl-check: %s\n", nccl.error().message.c_str());
    return 1;
  }
  std::printf("nccl-check: NCCL %s has what is declared (header %d.%d.%d)\n",
              espalier::runtime::cuda::nccl_version(*nccl).c_str(), NCCL_MAJOR, NCCL_MINOR,
              NCCL_PATCH);
  return 0;
}
