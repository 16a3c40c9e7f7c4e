// Ranks get each other's floats, whole and in order, through either kind of communicator. NCCL's
// functions are stood in for by ones that copy between threads: what is tried is how they are
// called.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/cuda/nccl_communicator.h"
#include "runtime/cuda/thread_communicator.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {

struct NcclComm {
  Communicator* copies = nullptr;
  int device = 0;
};

namespace {

// ---- what stands in for NCCL

struct Fake {
  std::vector<std::pair<Group, std::vector<std::unique_ptr<NcclComm>>>> groups;
  std::mutex mutex;
  int gathers = 0, broadcasts = 0, destroyed = 0, aborted = 0;
  int fail_with = 0;
};
Fake& fake() {
  static Fake it;
  return it;
}
thread_local int open_groups = 0;

// The stream is not ours to wait on as a Stream: all that was enqueued on the device is.
int copied(const Status& status) { return status ? 0 : 3; }

NcclFunctions fake_nccl() {
  NcclFunctions out;
  out.get_version = [](int* version) {
    *version = 22703;
    return 0;
  };
  out.get_error_string = [](int result) { return result == 5 ? "five" : "another"; };
  out.comm_init_all = [](NcclFunctions::Comm* comms, int count, const int* numbers) {
    if (fake().fail_with != 0) return fake().fail_with;
    const std::lock_guard lock(fake().mutex);
    auto& [group, made] = fake().groups.emplace_back(
        thread_group(static_cast<std::uint32_t>(count)), std::vector<std::unique_ptr<NcclComm>>());
    for (int r = 0; r < count; ++r) {
      made.push_back(std::make_unique<NcclComm>());
      made.back()->copies = group[static_cast<std::size_t>(r)].get();
      made.back()->device = numbers[r];
      comms[r] = made.back().get();
    }
    return 0;
  };
  out.comm_destroy = [](NcclFunctions::Comm) {
    ++fake().destroyed;
    return 0;
  };
  out.comm_abort = [](NcclFunctions::Comm comm) {
    comm->copies->give_up();
    ++fake().aborted;
    return 0;
  };
  out.group_start = [] {
    ++open_groups;
    return 0;
  };
  out.group_end = [] {
    --open_groups;
    return 0;
  };
  out.all_gather = [](const void* from, void* to, std::size_t count, int type,
                      NcclFunctions::Comm comm, cudaStream_t stream) {
    if (fake().fail_with != 0) return fake().fail_with;
    EXPECT_EQ(type, kNcclFloat);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    std::vector<std::uint64_t> offsets;
    for (std::uint32_t r = 0; r <= comm->copies->ranks(); ++r) offsets.push_back(r * count);
    // In place, as NCCL has it.
    EXPECT_EQ(from, static_cast<float*>(to) + comm->copies->rank() * count);
    {
      const std::lock_guard lock(fake().mutex);
      ++fake().gathers;
    }
    auto own = Stream::create();
    return copied(comm->copies->all_gather(static_cast<float*>(to), offsets, *own));
  };
  out.broadcast = [](const void* from, void* to, std::size_t count, int type, int root,
                     NcclFunctions::Comm comm, cudaStream_t stream) {
    EXPECT_EQ(type, kNcclFloat);
    EXPECT_EQ(from, to);
    EXPECT_EQ(open_groups, 1);  // all of them are one operation
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    {
      const std::lock_guard lock(fake().mutex);
      ++fake().broadcasts;
    }
    // The root's floats are the only part.
    std::vector<std::uint64_t> offsets(comm->copies->ranks() + 1, count);
    for (int r = 0; r <= root; ++r) offsets[static_cast<std::size_t>(r)] = 0;
    auto own = Stream::create();
    return copied(comm->copies->all_gather(static_cast<float*>(to), offsets, *own));
  };
  out.send = [](const void* from, std::size_t count, int type, int to, NcclFunctions::Comm comm,
                cudaStream_t stream) {
    EXPECT_EQ(type, kNcclFloat);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    auto own = Stream::create();
    return copied(comm->copies->send(static_cast<const float*>(from), count,
                                     static_cast<std::uint32_t>(to), *own));
  };
  out.receive = [](void* to, std::size_t count, int type, int from, NcclFunctions::Comm comm,
                   cudaStream_t stream) {
    EXPECT_EQ(type, kNcclFloat);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    auto own = Stream::create();
    return copied(comm->copies->receive(static_cast<float*>(to), count,
                                        static_cast<std::uint32_t>(from), *own));
  };
  return out;
}

// ---- both kinds

struct Kind {
  const char* name;
  Group (*make)(std::uint32_t ranks);
};

Group through_nccl(std::uint32_t ranks) {
  std::vector<int> devices;
  for (std::uint32_t r = 0; r < ranks; ++r) devices.push_back(static_cast<int>(r));
  auto made = nccl_group(fake_nccl(), devices);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return std::move(*made);
}

void each_rank(Group& group, const std::function<void(Communicator&, const Stream&)>& work) {
  std::vector<std::thread> threads;
  threads.reserve(group.size());
  for (const auto& rank : group) {
    threads.emplace_back([&work, &rank] {
      const auto stream = Stream::create();
      ASSERT_TRUE(stream.has_value());
      work(*rank, *stream);
      EXPECT_TRUE(stream->wait("a rank").has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class EveryKind : public ::testing::TestWithParam<Kind> {};

TEST_P(EveryKind, GathersWhatEachRankHas) {
  for (const std::vector<std::uint64_t>& offsets : std::vector<std::vector<std::uint64_t>>{
           {0, 5, 10}, {0, 7, 10}, {0, 4, 8, 12, 16}, {0, 1, 8, 12, 30}, {0, 9}}) {
    Group group = GetParam().make(static_cast<std::uint32_t>(offsets.size() - 1));
    each_rank(group, [&](Communicator& rank, const Stream& stream) {
      for (int round = 0; round < 5; ++round) {
        std::vector<float> values(offsets.back(), -1.0F);
        const auto value = [&](std::uint64_t i) {
          return static_cast<float>(i + 100 * static_cast<unsigned>(round));
        };
        for (std::uint64_t i = offsets[rank.rank()]; i < offsets[rank.rank() + 1]; ++i) {
          values[i] = value(i);
        }
        const DeviceArray<float> buffer(values);
        const Status gathered = rank.all_gather(buffer.get(), offsets, stream);
        ASSERT_TRUE(gathered.has_value()) << gathered.error().message;
        ASSERT_TRUE(stream.wait("gathering").has_value());
        const std::vector<float> got = buffer.read();
        for (std::uint64_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], value(i)) << i;
      }
    });
  }
}

TEST_P(EveryKind, SendsFromRankToRank) {
  Group group = GetParam().make(3);
  each_rank(group, [&](Communicator& rank, const Stream& stream) {
    for (int round = 0; round < 5; ++round) {
      const DeviceArray<float> buffer(std::vector<float>(6, 0.5F));
      if (rank.rank() > 0) {
        ASSERT_TRUE(rank.receive(buffer.get(), 6, rank.rank() - 1, stream).has_value());
        ASSERT_TRUE(stream.wait("receiving").has_value());
        EXPECT_EQ(buffer.read(),
                  std::vector<float>(6, static_cast<float>(round + static_cast<int>(rank.rank()))));
      }
      DeviceArray<float> next(
          std::vector<float>(6, static_cast<float>(round + static_cast<int>(rank.rank()) + 1)));
      if (rank.rank() + 1 < rank.ranks()) {
        ASSERT_TRUE(rank.send(next.get(), 6, rank.rank() + 1, stream).has_value());
      }
    }
  });
}

// Nobody waits for a rank that has given up.
TEST_P(EveryKind, EndsForAllWhereOneGivesUp) {
  Group group = GetParam().make(3);
  each_rank(group, [&](Communicator& rank, const Stream& stream) {
    if (rank.rank() == 1) {
      rank.give_up();
      rank.give_up();  // again: nothing more
      return;
    }
    const DeviceArray<float> buffer(std::vector<float>(6, 0.5F));
    const std::vector<std::uint64_t> offsets{0, 2, 4, 6};
    EXPECT_FALSE(rank.all_gather(buffer.get(), offsets, stream).has_value());
    const Status later = rank.receive(buffer.get(), 6, 1, stream);
    ASSERT_FALSE(later.has_value());
    EXPECT_EQ(later.error().code, ErrorCode::kCancelled);
  });
}

INSTANTIATE_TEST_SUITE_P(Communicators, EveryKind,
                         ::testing::Values(Kind{"Threads", thread_group},
                                           Kind{"Nccl", through_nccl}),
                         [](const auto& named) { return std::string(named.param.name); });

TEST(Nccl, CommunicatorsAreDestroyedOrAbortedOnce) {
  Fake& it = fake();
  it.destroyed = it.aborted = 0;
  through_nccl(3).clear();
  EXPECT_EQ(it.destroyed, 3);
  EXPECT_EQ(it.aborted, 0);
  it.destroyed = 0;
  {
    Group group = through_nccl(2);
    group[0]->give_up();
    group[1]->give_up();
  }
  EXPECT_EQ(it.destroyed, 0);
  EXPECT_EQ(it.aborted, 2);
}

TEST(Nccl, EvenPartsAreOneGathering) {
  Fake& it = fake();
  for (const std::vector<std::uint64_t>& offsets :
       std::vector<std::vector<std::uint64_t>>{{0, 4, 8}, {0, 3, 8}}) {
    it.gathers = it.broadcasts = 0;
    Group group = through_nccl(2);
    each_rank(group, [&](Communicator& rank, const Stream& stream) {
      const DeviceArray<float> buffer(std::vector<float>(8, 1.0F));
      EXPECT_TRUE(rank.all_gather(buffer.get(), offsets, stream).has_value());
    });
    const bool even = offsets[1] == 4;
    EXPECT_EQ(it.gathers, even ? 2 : 0);
    EXPECT_EQ(it.broadcasts, even ? 0 : 4);
  }
}

TEST(Nccl, ErrorsSayWhatItCallsThem) {
  fake().fail_with = 5;
  const auto refused = nccl_group(fake_nccl(), {0, 1});
  fake().fail_with = 0;
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInternal);
  EXPECT_EQ(refused.error().message, "NCCL: joining devices: five");
}

TEST(Nccl, ALibraryThatIsNotThereOrIsAnotherIsRefusedByName) {
  const auto missing = load_nccl("/nowhere/libnccl.so.2");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(missing.error().message.find("/nowhere/libnccl.so.2"), std::string::npos);
  const auto other = load_nccl("libm.so.6");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(other.error().message.find("has no ncclGetVersion, "), std::string::npos)
      << other.error().message;
}

TEST(Nccl, VersionsAreWritten) {
  NcclFunctions nccl;
  nccl.get_version = [](int* version) {
    *version = 23203;
    return 0;
  };
  EXPECT_EQ(nccl_version(nccl), "2.32.3");
  nccl.get_version = [](int* version) {
    *version = 2708;
    return 0;
  };
  EXPECT_EQ(nccl_version(nccl), "2.7.8");
}

}  // namespace
}  // namespace espalier::runtime::cuda
