#include "runtime/cpu/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "runtime/cpu/hadamard.h"
#include "runtime/model/half.h"

namespace espalier::runtime::cpu {
namespace {

using namespace std::string_literals;

constexpr std::size_t kKeyUnit = panel_unit_bytes(PanelType::kQ8_0);
constexpr std::size_t kKeyScales = panel_scales_at(PanelType::kQ8_0);
static_assert(panel_format(PanelType::kQ8_0).bias == 128);
static_assert(kKeyUnit == kTileTokens * kValueBlockBytes, "K and V tiles are equally large");

// Of one head, K or V.
std::size_t tile_bytes(const ModelShape& shape, KvType type) {
  if (type != KvType::kQ8) return sizeof(std::uint16_t) * shape.head_width * kPageTokens;
  return kKeyUnit * ((shape.head_width + kBlock - 1) / kBlock);
}

}  // namespace

std::string KvPool::format(KvType type, Numerics numerics, const std::string& calibration) {
  std::string version = numerics == Numerics::kExact ? "2" : numerics_name(numerics) + " 1"s;
  if (!calibration.empty()) version += " calibrated " + calibration;
  return "numerics " + version + ", layout cpu 1, " + kv_type_name(type);
}

std::uint64_t KvPool::page_bytes(const ModelShape& shape, KvType type) {
  return std::uint64_t{2} * shape.layers * shape.kv_heads * tile_bytes(shape, type);
}

Result<std::uint32_t> KvPool::pages_in(const ModelShape& shape, KvType type, std::uint64_t bytes) {
  const std::uint64_t page = page_bytes(shape, type);
  const std::uint64_t pages =
      std::min<std::uint64_t>(bytes / page, std::numeric_limits<std::uint32_t>::max() - 1);
  if (pages == 0) {
    return fail(ErrorCode::kLimit, "KV pool of " + std::to_string(bytes) +
                                       " bytes: one page of this model needs " +
                                       std::to_string(page));
  }
  return static_cast<std::uint32_t>(pages);
}

Result<KvPool> KvPool::create(const ModelShape& shape, KvType type, std::uint64_t bytes) {
  const std::uint64_t page = page_bytes(shape, type);
  ESP_ASSIGN(const std::uint32_t pages, pages_in(shape, type, bytes));
  KvPool pool;
  ESP_ASSIGN(pool.memory_, Memory::reserve(pages * page, Memory::Use::kSparse, "KV pool"));
  pool.type_ = type;
  pool.pages_ = pages;
  pool.layers_ = shape.layers;
  pool.heads_ = shape.kv_heads;
  pool.width_ = shape.head_width;
  pool.tile_bytes_ = tile_bytes(shape, type);
  pool.page_bytes_ = page;
  return pool;
}

void KvPool::reserve(KvRow& row) const {
  if (type_ == KvType::kQ8) {
    row.padded.resize(round_up(width_, kBlock));
    row.codes.reshape_codes(2 * heads_, row.padded.size());
  } else {
    row.key.resize(heads_ * width_);
    row.value.resize(heads_ * width_);
  }
}

void KvPool::encode(const Kernels& kernels, const float* key, const float* value,
                    KvRow& row) const {
  const std::size_t n = heads_ * width_;
  switch (type_) {
    case KvType::kF16:
      kernels.to_half(key, n, row.key.data());
      kernels.to_half(value, n, row.value.data());
      return;
    case KvType::kBF16:
      std::transform(key, key + n, row.key.data(), float_to_bfloat16);
      std::transform(value, value + n, row.value.data(), float_to_bfloat16);
      return;
    case KvType::kQ8:
      for (std::size_t i = 0; i < 2 * heads_; ++i) {
        const bool is_key = i < heads_;
        const float* from = is_key ? key + i * width_ : value + (i - heads_) * width_;
        std::copy(from, from + width_, row.padded.data());
        std::fill(row.padded.begin() + static_cast<std::ptrdiff_t>(width_), row.padded.end(), 0.0F);
        if (is_key) hadamard(row.padded.data(), row.padded.size() / kBlock);
        row.codes.set(kernels, i, row.padded.data());
      }
      return;
  }
}

void KvPool::write(KvSlot slot, std::size_t layer, const KvRow& row) {
  if (type_ == KvType::kQ8) {
    for (std::size_t head = 0; head < heads_; ++head) {
      write_codes(slot, layer, head, row.codes.quantised());
    }
    return;
  }
  const std::uint16_t* key = row.key.data();
  const std::uint16_t* value = row.value.data();
  for (std::size_t head = 0; head < heads_; ++head, key += width_, value += width_) {
    auto* k = reinterpret_cast<std::uint16_t*>(at(slot.page, layer, head)) + slot.slot;
    for (std::size_t d = 0; d < width_; ++d) k[d * kPageTokens] = key[d];
    std::memcpy(at(slot.page, layer, heads_ + head) + slot.slot * value_bytes(), value,
                value_bytes());
  }
}

void KvPool::write_codes(KvSlot slot, std::size_t layer, std::size_t head,
                         const QuantisedRows& rows) {
  const std::size_t blocks = rows.columns / kBlock;
  std::byte* k = at(slot.page, layer, head);
  std::byte* v = at(slot.page, layer, heads_ + head) + slot.slot * value_bytes();
  for (std::size_t b = 0; b < blocks; ++b, k += kKeyUnit, v += kValueBlockBytes) {
    const std::size_t of_key = code_place(head, b, blocks);
    const std::size_t of_value = code_place(heads_ + head, b, blocks);
    const std::int8_t* codes = rows.codes + of_key * kBlock;
    for (std::size_t t = 0; t < kBlock / 4; ++t) {
      std::uint32_t word;
      std::memcpy(&word, codes + 4 * t, sizeof word);
      word ^= 0x80808080U;  // a panel's codes are 128 more
      std::memcpy(k + 4 * kPanelRows * t + 4 * slot.slot, &word, sizeof word);
    }
    const std::uint16_t scale = float_to_half(rows.blocks[of_key].scale);
    std::memcpy(k + kKeyScales + 2 * slot.slot, &scale, sizeof scale);

    const std::uint16_t value_scale = float_to_half(rows.blocks[of_value].scale);
    std::memcpy(v, &value_scale, sizeof value_scale);
    std::memcpy(v + sizeof value_scale, rows.codes + of_value * kBlock, kBlock);
  }
}

void KvPool::copy(PageId from, PageId to, std::uint32_t slots) {
  // A K tile is strips of 16 tokens, `each` bytes a token.
  const auto strips = [&](const std::byte* k, std::byte* k_to, std::size_t count,
                          std::size_t each) {
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(k_to + i * each * kPageTokens, k + i * each * kPageTokens, slots * each);
    }
  };
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t head = 0; head < heads_; ++head) {
      const std::byte* k = at(from, layer, head);
      std::byte* k_to = at(to, layer, head);
      if (type_ == KvType::kQ8) {
        for (std::size_t unit = 0; unit < tile_bytes_; unit += kKeyUnit) {
          strips(k + unit, k_to + unit, kBlock / 4, 4);
          strips(k + unit + kKeyScales, k_to + unit + kKeyScales, 1, sizeof(std::uint16_t));
        }
      } else {
        strips(k, k_to, width_, sizeof(std::uint16_t));
      }
      std::memcpy(at(to, layer, heads_ + head), at(from, layer, heads_ + head),
                  slots * value_bytes());
    }
  }
}

void KvPool::poison(PageId page) {
  // Sixteen set bits are NaN in binary16 and bfloat16.
  std::ranges::fill(bytes(page), std::byte{0xFF});
}

}  // namespace espalier::runtime::cpu
