// Biases, norms, rotations and pages of Q, K and V against the CPU's kernels and pool, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/kernels.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/kernels.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using Random = std::mt19937_64;

constexpr std::uint32_t kLayers = 3;
constexpr std::uint32_t kPositions = 50;

std::vector<float> normal(Random& random, std::size_t n) {
  std::normal_distribution<float> distribution;
  std::vector<float> out(n);
  for (float& x : out) x = distribution(random);
  return out;
}

ModelShape shape_of(std::uint32_t kv_heads, std::uint32_t width) {
  ModelShape shape;
  shape.layers = kLayers;
  shape.kv_heads = kv_heads;
  shape.head_width = width;
  return shape;
}

// A pool on the CPU and what of it lies on the device.
struct Pools {
  Pools(const ModelShape& shape, KvType type, std::uint32_t pages)
      : cpu(std::move(
            *cpu::KvPool::create(shape, type, pages * cpu::KvPool::page_bytes(shape, type)))) {
    for (PageId page = 0; page < pages; ++page) cpu.poison(page);
  }
  [[nodiscard]] std::vector<std::uint16_t> halves() const {
    std::vector<std::uint16_t> out;
    for (PageId page = 0; page < cpu.pages(); ++page) {
      const auto bytes = cpu.bytes(page);
      const auto* from = reinterpret_cast<const std::uint16_t*>(bytes.data());
      out.insert(out.end(), from, from + bytes.size() / sizeof(std::uint16_t));
    }
    return out;
  }
  cpu::KvPool cpu;
};

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kBF16, KvType::kQ8};

struct Features {
  bool biases, norms, adjacent, temperatures;
};

// Heads of random rows, with what a layer has for them.
class Layer {
 public:
  Layer(std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t width, std::uint32_t rotated,
        Features features, KvType type, std::uint64_t seed)
      : type_(type),
        heads_(heads),
        kv_heads_(kv_heads),
        width_(width),
        pairs_(rotated / 2),
        features_(features),
        random_(seed),
        cosines_(normal(random_, std::size_t{kPositions} * pairs_)),
        sines_(normal(random_, std::size_t{kPositions} * pairs_)),
        temperatures_(normal(random_, kPositions)),
        query_bias_(normal(random_, std::size_t{heads} * width)),
        key_bias_(normal(random_, std::size_t{kv_heads} * width)),
        value_bias_(normal(random_, std::size_t{kv_heads} * width)),
        query_norm_(normal(random_, width)),
        key_norm_(normal(random_, width)) {}

  void expect_the_bits_of_the_cpu(std::uint32_t rows) {
    const std::size_t query_width = std::size_t{heads_} * width_;
    const std::size_t key_width = std::size_t{kv_heads_} * width_;
    const std::size_t query_stride = query_width + 3;
    const std::size_t key_stride = key_width + 1;
    const auto queries = normal(random_, rows * query_stride);
    auto keys = normal(random_, rows * key_stride);
    auto values = normal(random_, rows * key_stride);
    // Of some rows nothing is left in blocks of codes, or scales leave the range of binary16.
    for (std::uint32_t m = 0; m < rows; ++m) {
      const int power = random_() % 4 == 0 ? static_cast<int>(random_() % 160) - 130 : 0;
      for (std::size_t i = 0; i < key_width; ++i) {
        keys[m * key_stride + i] = std::ldexp(keys[m * key_stride + i], power);
        values[m * key_stride + i] = std::ldexp(values[m * key_stride + i], power);
      }
    }

    // 0 to 3 slots a row, all different; a prompt's rows write neighbouring ones.
    std::vector<DeviceRow> facts(rows);
    std::vector<DeviceSlot> slots;
    const bool prompt = random_() % 2 == 0;
    const std::uint32_t pages = rows * 3 / 16 + 1;
    std::vector<std::uint32_t> order(std::size_t{pages} * 16);
    std::iota(order.begin(), order.end(), 0U);
    if (!prompt) std::shuffle(order.begin(), order.end(), random_);
    for (DeviceRow& row : facts) {
      row.position = static_cast<std::uint32_t>(random_() % kPositions);
      row.first_write = static_cast<std::uint32_t>(slots.size());
      row.writes = prompt ? 1 : static_cast<std::uint32_t>(random_() % 4);
      for (std::uint32_t w = 0; w < row.writes; ++w) {
        const std::uint32_t at = order[slots.size()];
        slots.push_back({at / 16, at % 16});
      }
    }

    const auto shape = shape_of(kv_heads_, width_);
    Pools pools(shape, type_, pages);
    const std::uint32_t layer = 1;
    const DeviceArray<std::uint16_t> device_pages(pools.halves());

    std::vector<float> expected = queries;
    const cpu::Kernels& kernels = cpu::kScalarKernels;
    for (std::uint32_t m = 0; m < rows; ++m) {
      float* query = expected.data() + m * query_stride;
      turn_on_cpu(query, heads_, query_bias_, query_norm_, facts[m].position);
      if (features_.temperatures) {
        kernels.scale(query, temperatures_[facts[m].position], query_width, query);
      }
      std::vector<float> key(
          keys.begin() + static_cast<std::ptrdiff_t>(m * key_stride),
          keys.begin() + static_cast<std::ptrdiff_t>(m * key_stride + key_width));
      std::vector<float> value(
          values.begin() + static_cast<std::ptrdiff_t>(m * key_stride),
          values.begin() + static_cast<std::ptrdiff_t>(m * key_stride + key_width));
      turn_on_cpu(key.data(), kv_heads_, key_bias_, key_norm_, facts[m].position);
      for (std::size_t i = 0; i < key_width && features_.biases; ++i) value[i] += value_bias_[i];
      cpu::KvRow kept;
      pools.cpu.reserve(kept);
      pools.cpu.encode(kernels, key.data(), value.data(), kept);
      for (std::uint32_t w = 0; w < facts[m].writes; ++w) {
        const DeviceSlot slot = slots[facts[m].first_write + w];
        pools.cpu.write({slot.page, slot.slot}, layer, kept);
      }
    }

    const DeviceArray<float> device_queries(queries);
    const DeviceArray<float> device_keys(keys);
    const DeviceArray<float> device_values(values);
    const DeviceArray<float> cosines(cosines_);
    const DeviceArray<float> sines(sines_);
    const DeviceArray<float> temperatures(temperatures_);
    const DeviceArray<float> query_bias(query_bias_);
    const DeviceArray<float> key_bias(key_bias_);
    const DeviceArray<float> value_bias(value_bias_);
    const DeviceArray<float> query_norm(query_norm_);
    const DeviceArray<float> key_norm(key_norm_);
    const DeviceArray<DeviceRow> device_facts(facts);
    slots.emplace_back();  // an array of none cannot be
    const DeviceArray<DeviceSlot> device_slots(slots);
    Heads heads;
    heads.queries = device_queries.get();
    heads.keys = device_keys.get();
    heads.values = device_values.get();
    heads.query_stride = query_stride;
    heads.key_stride = key_stride;
    if (features_.biases) {
      heads.query_bias = query_bias.get();
      heads.key_bias = key_bias.get();
      heads.value_bias = value_bias.get();
    }
    if (features_.norms) {
      heads.query_norm = query_norm.get();
      heads.key_norm = key_norm.get();
    }
    heads.epsilon = kEpsilon;
    heads.heads = heads_;
    heads.pairs = pairs_;
    heads.adjacent = features_.adjacent;
    heads.cosines = cosines.get();
    heads.sines = sines.get();
    heads.temperatures = features_.temperatures ? temperatures.get() : nullptr;
    turn_heads(nullptr, rows, heads, device_facts.get(), device_slots.get(), layer,
               {device_pages.get(), kLayers, kv_heads_, width_, type_});
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    ASSERT_TRUE(same_bits(expected, device_queries.read()));
    ASSERT_TRUE(same_bits(pools.halves(), device_pages.read()));
  }

 private:
  static constexpr float kEpsilon = 1e-5F;

  void turn_on_cpu(float* x, std::uint32_t count, const std::vector<float>& bias,
                   const std::vector<float>& norm, std::uint32_t position) const {
    const cpu::Kernels& kernels = cpu::kScalarKernels;
    for (std::size_t i = 0; i < bias.size() && features_.biases; ++i) x[i] += bias[i];
    for (std::uint32_t h = 0; h < count; ++h, x += width_) {
      if (features_.norms) kernels.rms_norm(x, norm.data(), width_, kEpsilon, x);
      (features_.adjacent ? kernels.rotate : kernels.rotate_halves)(
          x, cosines_.data() + std::size_t{position} * pairs_,
          sines_.data() + std::size_t{position} * pairs_, pairs_);
    }
  }

  KvType type_;
  std::uint32_t heads_, kv_heads_, width_, pairs_;
  Features features_;
  Random random_;
  std::vector<float> cosines_, sines_, temperatures_;
  std::vector<float> query_bias_, key_bias_, value_bias_, query_norm_, key_norm_;
};

TEST(CudaHeads, HaveTheBitsOfTheCpuForEveryWidthAndFeature) {
  std::uint64_t seed = 1;
  for (const std::uint32_t width : {2U, 10U, 64U, 66U, 80U, 96U, 128U, 256U}) {
    for (std::uint32_t features = 0; features < 16; ++features) {
      SCOPED_TRACE("width " + std::to_string(width) + " features " + std::to_string(features));
      set_order(seed);
      const std::uint32_t kv_heads = 1 + seed % 3;
      const std::uint32_t rotated = features % 3 == 0 ? width : 2 * (1 + width / 8);
      Layer layer(
          kv_heads * (1 + seed % 4), kv_heads, width, rotated,
          {(features & 1) != 0, (features & 2) != 0, (features & 4) != 0, (features & 8) != 0},
          kKvTypes[features % 3], seed);
      layer.expect_the_bits_of_the_cpu(1 + static_cast<std::uint32_t>(seed % 4));
      ++seed;
    }
  }
  set_order(0);
}

TEST(CudaHeads, OfPromptsHaveTheBitsOfTheCpu) {
  for (const std::uint32_t rows : {15U, 16U, 17U, 45U}) {
    for (const KvType type : kKvTypes) {
      SCOPED_TRACE(std::string(kv_type_name(type)) + " rows " + std::to_string(rows));
      in_all_orders([&] {
        Layer layer(4, 2, 36, 20, {true, true, rows % 2 == 0, false}, type, rows);
        layer.expect_the_bits_of_the_cpu(rows);
      });
    }
  }
}

TEST(CudaPages, CopiesAreOfTheFirstSlotsAlone) {
  Random random(7);
  for (const std::uint32_t width : {2U, 10U, 64U}) {
    for (const KvType type : kKvTypes) {
      SCOPED_TRACE(std::string(kv_type_name(type)) + " width " + std::to_string(width));
      const auto shape = shape_of(2, width);
      Pools pools(shape, type, 8);
      for (PageId page = 0; page < 8; ++page) {
        for (std::byte& byte : pools.cpu.bytes(page)) byte = static_cast<std::byte>(random());
      }
      const DeviceArray<std::uint16_t> pages(pools.halves());
      std::vector<DeviceCopy> copies;
      for (std::uint32_t i = 0; i < 4; ++i) {
        copies.push_back({i, 4 + i, i == 0 ? 16U : 1 + static_cast<std::uint32_t>(random() % 15)});
        pools.cpu.copy(copies[i].from, copies[i].to, copies[i].slots);
      }
      const DeviceArray<DeviceCopy> on_device(copies);
      copy_pages(nullptr, 4, on_device.get(), {pages.get(), kLayers, 2, width, type});
      EXPECT_EQ(cudaGetLastError(), cudaSuccess);
      EXPECT_TRUE(same_bits(pools.halves(), pages.read()));
    }
  }
}

}  // namespace
}  // namespace espalier::runtime::cuda
