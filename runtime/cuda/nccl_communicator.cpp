#include "runtime/cuda/nccl_communicator.h"

#include <atomic>
#include <utility>

#include "runtime/cuda/library_functions.h"

namespace espalier::runtime::cuda {
namespace {

// The communicators of a group. Destroyed where all went well, else aborted, once.
class NcclGroup {
 public:
  NcclGroup(const NcclFunctions& functions, std::vector<NcclFunctions::Comm> comms)
      : nccl(functions), comms_(std::move(comms)) {}
  ~NcclGroup() {
    if (gone()) return;
    for (NcclFunctions::Comm comm : comms_) nccl.comm_destroy(comm);
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  [[nodiscard]] NcclFunctions::Comm comm(std::uint32_t rank) const { return comms_[rank]; }
  [[nodiscard]] std::uint32_t ranks() const { return static_cast<std::uint32_t>(comms_.size()); }
  [[nodiscard]] bool gone() const { return gone_.load(); }
  // What waits on a device for the rank that failed ends by this alone.
  void give_up() {
    if (gone_.exchange(true)) return;
    for (NcclFunctions::Comm comm : comms_) nccl.comm_abort(comm);
  }

  const NcclFunctions nccl;

 private:
  std::vector<NcclFunctions::Comm> comms_;
  std::atomic<bool> gone_ = false;
};

Status check_nccl(const NcclFunctions& nccl, int result, const char* what) {
  if (result == 0) return {};
  return fail(ErrorCode::kInternal,
              std::string("NCCL: ") + what + ": " + nccl.get_error_string(result));
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<NcclGroup> group, std::uint32_t rank)
      : group_(std::move(group)), rank_(rank) {}

  std::uint32_t rank() const override { return rank_; }
  std::uint32_t ranks() const override { return group_->ranks(); }

  Status all_gather(float* buffer, std::span<const std::uint64_t> offsets,
                    const Stream& stream) override {
    ESP_TRY(here());
    const NcclFunctions& nccl = group_->nccl;
    const std::uint64_t count = offsets[1] - offsets[0];
    bool even = true;
    for (std::uint32_t r = 1; r < ranks(); ++r) {
      even = even && offsets[r + 1] - offsets[r] == count;
    }
    if (even) {
      return check_nccl(nccl,
                        nccl.all_gather(buffer + offsets[rank_], buffer + offsets[0], count,
                                        kNcclFloat, comm(), stream.get()),
                        "gathering");
    }
    // Parts of different sizes: each rank's to all, as one operation.
    ESP_TRY(check_nccl(nccl, nccl.group_start(), "gathering"));
    int result = 0;
    for (std::uint32_t r = 0; r < ranks() && result == 0; ++r) {
      result = nccl.broadcast(buffer + offsets[r], buffer + offsets[r], offsets[r + 1] - offsets[r],
                              kNcclFloat, static_cast<int>(r), comm(), stream.get());
    }
    const int ended = nccl.group_end();
    return check_nccl(nccl, result != 0 ? result : ended, "gathering");
  }
  Status send(const float* from, std::uint64_t count, std::uint32_t to,
              const Stream& stream) override {
    ESP_TRY(here());
    return check_nccl(
        group_->nccl,
        group_->nccl.send(from, count, kNcclFloat, static_cast<int>(to), comm(), stream.get()),
        "sending");
  }
  Status receive(float* to, std::uint64_t count, std::uint32_t from,
                 const Stream& stream) override {
    ESP_TRY(here());
    return check_nccl(
        group_->nccl,
        group_->nccl.receive(to, count, kNcclFloat, static_cast<int>(from), comm(), stream.get()),
        "receiving");
  }
  bool records() const override { return true; }
  void give_up() override { group_->give_up(); }

 private:
  [[nodiscard]] NcclFunctions::Comm comm() const { return group_->comm(rank_); }
  [[nodiscard]] Status here() const {
    if (!group_->gone()) return {};
    return fail(ErrorCode::kCancelled, "NCCL: another device of the group failed");
  }

  std::shared_ptr<NcclGroup> group_;
  std::uint32_t rank_;
};

}  // namespace

Result<NcclFunctions> load_nccl(const std::string& library) {
  LibraryFunctions functions(library);
  NcclFunctions out;
  functions.find(out.get_version, "ncclGetVersion");
  functions.find(out.get_error_string, "ncclGetErrorString");
  functions.find(out.comm_init_all, "ncclCommInitAll");
  functions.find(out.comm_destroy, "ncclCommDestroy");
  functions.find(out.comm_abort, "ncclCommAbort");
  functions.find(out.group_start, "ncclGroupStart");
  functions.find(out.group_end, "ncclGroupEnd");
  functions.find(out.all_gather, "ncclAllGather");
  functions.find(out.broadcast, "ncclBroadcast");
  functions.find(out.send, "ncclSend");
  functions.find(out.receive, "ncclRecv");
  const std::string why = functions.why_not();
  if (why.empty()) return out;
  return fail(ErrorCode::kUnsupported, "NCCL: " + library + why);
}

std::string nccl_version(const NcclFunctions& nccl) {
  int version = 0;
  if (nccl.get_version(&version) != 0) return "of an unknown version";
  // 2.8 and before count the minor version in hundreds.
  const int major = version < 10000 ? version / 1000 : version / 10000;
  const int minor = version < 10000 ? version / 100 % 10 : version / 100 % 100;
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(version % 100);
}

Result<Group> nccl_group(const NcclFunctions& nccl, const std::vector<int>& devices) {
  std::vector<NcclFunctions::Comm> comms(devices.size());
  ESP_TRY(check_nccl(
      nccl, nccl.comm_init_all(comms.data(), static_cast<int>(devices.size()), devices.data()),
      "joining devices"));
  const auto group = std::make_shared<NcclGroup>(nccl, std::move(comms));
  Group out;
  for (std::uint32_t r = 0; r < devices.size(); ++r) {
    out.push_back(std::make_unique<NcclCommunicator>(group, r));
  }
  return out;
}

}  // namespace espalier::runtime::cuda
