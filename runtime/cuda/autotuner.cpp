#include "runtime/cuda/autotuner.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "runtime/cpu/autotuner.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/attention.h"
#include "runtime/fastest.h"

namespace espalier::runtime::cuda {
namespace {

// Part of each file's key: of what sizes mean, and how they are measured.
constexpr int kFormat = 2;
// Steps by how much they matter where time is short (of Tuning::kRows).
constexpr std::size_t kOrder[] = {0, 3, 5, 7, 6, 4, 2, 1};
// Weights that products pass: more than a cache holds.
constexpr std::uint64_t kPassedBytes = std::uint64_t{128} << 20;
constexpr std::uint32_t kMostLayers = 8;  // that attention passes
constexpr std::uint32_t kDepth = 1024;    // tokens that branches share, or that a prompt has before
constexpr std::uint64_t kCopiedBytes = std::uint64_t{16} << 20;
constexpr double kPieceCost = 1.05;  // of copies in pieces, beside one copy
constexpr double kNever = std::numeric_limits<double>::infinity();

// Bytes that are numbers of some size: zeros would be quicker.
void fill(const Stream& stream, void* to, int byte, std::uint64_t bytes) {
  if (to != nullptr) (void)cudaMemsetAsync(to, byte, bytes, stream.get());
}

void fill(const Stream& stream, const Activations& x, std::uint32_t rows, std::uint32_t columns) {
  const std::uint64_t blocks =
      std::uint64_t{(rows + kTileRows - 1) / kTileRows} * kTileRows * (columns / kBlock);
  fill(stream, x.floats, 0x3D, std::uint64_t{rows} * columns * sizeof(float));
  fill(stream, x.coded.codes, 0x15, blocks * kBlock);
  fill(stream, x.coded.scales, 0x3D, blocks * sizeof(float));
  fill(stream, x.coded.scaled_sums, 0x3D, blocks * sizeof(float));
  fill(stream, x.coded.scaled_half_sums, 0x3D, 2 * blocks * sizeof(float));
  fill(stream, x.e4m3.codes, 0x35, rows * x.e4m3.stride);
  fill(stream, x.e4m3.scales, 0x3D, rows * sizeof(float));
}

std::uint64_t bytes_of(const MatrixGroup& group) {
  std::uint64_t out = 0;
  for (const MatrixGroup::Part& part : group.parts) {
    out += matrix_bytes(part.matrix.format, part.matrix.rows, part.matrix.columns);
  }
  return out;
}

}  // namespace

ProductSizes fastest_product(std::uint32_t rows, bool dense,
                             const std::function<double(const ProductSizes&)>& run,
                             const std::function<bool()>& more) {
  ProductSizes best;
  const auto choose = [&](std::uint32_t ProductSizes::*field, std::span<const std::uint32_t> of) {
    std::vector<ProductSizes> variants{best};
    for (const std::uint32_t value : of) {
      variants.push_back(best);
      variants.back().*field = value;
    }
    best = variants[fastest(
        variants.size(), [&](std::size_t i) { return run(variants[i]); }, more)];
  };
  constexpr std::uint32_t kDenseRows[] = {1, 2, 4, 8};
  constexpr std::uint32_t kCodedRows[] = {8, 16, 32, 64};
  constexpr std::uint32_t kHalfWarps[] = {2, 4, 8, 16};
  constexpr std::uint32_t kWarps[] = {1, 2, 4, 8};
  constexpr std::uint32_t kAhead[] = {2, 4};
  const std::span<const std::uint32_t> all_rows = dense ? kDenseRows : kCodedRows;
  // No more than there are.
  const auto fit = static_cast<std::size_t>(
      std::count_if(all_rows.begin(), all_rows.end(),
                    [&](std::uint32_t value) { return value <= std::bit_ceil(rows); }));
  if (fit > 1) choose(&ProductSizes::rows, all_rows.first(fit));
  choose(&ProductSizes::warps, dense ? kHalfWarps : kWarps);
  const bool few = best.rows == 0 ? rows <= 8 : best.rows == 8;
  if (!dense && few) choose(&ProductSizes::ahead, kAhead);
  return best;
}

bool Autotuner::worth_it(const ModelShape& shape) { return cpu::Autotuner::worth_it(shape); }

Result<std::string> Autotuner::key(const Subject& of, System& system) {
  const Forward& forward = of.forward;
  const ModelShape& shape = forward.shape_;
  int driver = 0;
  ESP_TRY(check(cudaDriverGetVersion(&driver), "the driver's version"));
  std::string out = "CUDA sizes " + std::to_string(kFormat) + ", " + of.device.name + " " +
                    of.device.architecture + ", " + std::to_string(of.device.multiprocessors) +
                    " multiprocessors, driver " + std::to_string(driver) + " built with " +
                    std::to_string(CUDART_VERSION);
  // What the kernel's module says of itself, where there is one.
  if (const auto module = system.read("/proc/driver/nvidia/version", 1U << 16)) {
    out += " " + module->substr(0, module->find('\n'));
  }
  out += ", " + cpu::KvPool::format(of.pool.type, forward.numerics()) + ", shape";
  for (const std::uint32_t size :
       {shape.layers, shape.width, shape.heads, shape.kv_heads, shape.head_width,
        shape.feed_forward, shape.window, shape.vocabulary, forward.shares_.ranks()}) {
    out += " " + std::to_string(size);
  }
  std::set<std::string> matrices;
  const auto add = [&](const char* of_what, const MatrixGroup& group) {
    for (const MatrixGroup::Part& part : group.parts) {
      matrices.insert(std::string(of_what) + " " +
                      std::to_string(static_cast<int>(part.matrix.format)) + " " +
                      std::to_string(part.matrix.rows) + " " + std::to_string(part.matrix.columns));
    }
  };
  for (const DeviceLayer& layer : forward.weights_.layers) {
    add("heads", layer.heads);
    add("output", layer.output);
    add("hidden", layer.hidden);
    add("down", layer.down);
  }
  add("head", forward.weights_.head);
  for (const std::string& matrix : matrices) out += ", " + matrix;
  return out;
}

Status Autotuner::tune(const Subject& of, System::Clock::time_point until,
                       const Stopwatch& stopwatch, System& system) {
  ESP_ASSIGN(std::string what, key(of, system));
  const auto file = TuningFile<Tuning>::open(std::move(what), system);
  if (!file) return {};
  if (const auto kept = file->read()) {
    of.forward.set_tuning(*kept);
    return {};
  }
  if (!file->begin()) return {};
  Autotuner tuner(of, until, stopwatch, system);
  ESP_ASSIGN(const auto found, tuner.measure());
  // A step may need more scratch than what was measured.
  of.forward.reserved_rows_ = of.forward.reserved_head_rows_ = 0;
  if (!found) return {};
  of.forward.set_tuning(*found);
  (void)file->write(*found);  // lost, it is measured again
  return {};
}

Autotuner::Autotuner(const Subject& of, System::Clock::time_point until, const Stopwatch& stopwatch,
                     System& system)
    : of_(of), forward_(of.forward), until_(until), stopwatch_(stopwatch), system_(system) {}

Result<std::optional<Tuning>> Autotuner::measure() {
  const std::uint32_t head_rows = forward_.weights_.head.parts.empty() ? 0 : kHeadRows;
  std::uint32_t most = Tuning::kRows.back();
  if (!forward_.reserve(most, head_rows)) {
    most = kHeadRows;
    if (!forward_.reserve(most, head_rows)) return std::optional<Tuning>();
  }
  for (const std::size_t step : kOrder) {
    if (Tuning::kRows[step] > most || !more()) continue;
    measure_products(step);
    // What there is no memory for stays as it is.
    if (head_rows != 0 && Tuning::kRows[step] <= kHeadRows &&
        !forward_.on_tensor_cores(forward_.weights_.head, Tuning::kRows[step])) {
      (void)measure_head(step);
    }
    (void)measure_heads(step);
    (void)measure_attention(step);
    measure_layers(step);
  }
  (void)measure_pieces();
  ESP_TRY(forward_.stream_.wait("measuring sizes of work"));
  return std::optional(tuning_);
}

double Autotuner::seconds(const std::function<void()>& work) {
  const auto took = stopwatch_(forward_.stream_, work);
  return took ? *took : kNever;
}

void Autotuner::choose(std::uint32_t& field, std::initializer_list<std::uint32_t> values,
                       const std::function<double()>& run) {
  std::vector<std::uint32_t> variants{field};
  for (const std::uint32_t value : values) {
    if (value != field) variants.push_back(value);
  }
  const std::size_t chosen = fastest(
      variants.size(),
      [&](std::size_t i) {
        field = variants[i];
        return run();
      },
      [this] { return more(); });
  field = variants[chosen];
}

const MatrixGroup& Autotuner::group(ProductOf which, std::uint32_t layer) const {
  const DeviceLayer& it = forward_.weights_.layers[layer];
  switch (which) {
    case ProductOf::kHeads:
      return it.heads;
    case ProductOf::kOutput:
      return it.output;
    case ProductOf::kHidden:
      return it.hidden;
    case ProductOf::kDown:
      return it.down;
    case ProductOf::kHead:
      break;
  }
  return forward_.weights_.head;
}

std::uint32_t Autotuner::layers_to_pass(ProductOf which) const {
  if (which == ProductOf::kHead) return 1;
  const auto layers = static_cast<std::uint32_t>(forward_.weights_.layers.size());
  std::uint64_t bytes = 0;
  std::uint32_t out = 0;
  while (out < layers && bytes < kPassedBytes) bytes += bytes_of(group(which, out++));
  return out;
}

Autotuner::Place Autotuner::place_of(ProductOf which) {
  Forward& it = forward_;
  const std::uint32_t width = it.shape_.width;
  switch (which) {
    case ProductOf::kHeads:
      return {&it.normal_, width, it.heads_.as<float>(), 0};
    case ProductOf::kOutput:
      return {&it.attended_codes_, it.query_width_, it.x_.as<float>(), width};
    case ProductOf::kHidden:
      return {&it.normal_, width, it.hidden_.as<float>(), 0};
    case ProductOf::kDown:
      return {&it.hidden_codes_, it.hidden_width_, it.x_.as<float>(), width};
    case ProductOf::kHead:
      break;
  }
  return {&it.head_, width, it.logits_.as<float>(), it.logits_stride_};
}

void Autotuner::pass(ProductOf which, std::uint32_t rows, const ProductSizes& sizes,
                     const std::uint32_t* wanted) {
  const Place place = place_of(which);
  const std::uint32_t layers = layers_to_pass(which);
  for (std::uint32_t l = 0; l < layers; ++l) {
    const MatrixGroup& matrices = group(which, l);
    if (!place.room->fit(rows, place.columns, matrices)) return;  // reserve() has made room
    for (const MatrixGroup::Part& part : matrices.parts) {
      product(forward_.stream_.get(), part.matrix, place.room->view(), rows, place.out + part.first,
              place.stride == 0 ? matrices.outputs : place.stride, false, wanted, sizes);
    }
  }
}

void Autotuner::measure_products(std::size_t step) {
  const std::uint32_t rows = Tuning::kRows[step];
  for (std::size_t i = 0; i < kProductsOf; ++i) {
    const auto which = static_cast<ProductOf>(i);
    const MatrixGroup& first = group(which, 0);
    if (first.parts.empty() || (which == ProductOf::kHead && rows > kHeadRows)) continue;
    // Which have no such sizes, or none whose rule is in doubt.
    if (forward_.on_tensor_cores(first, rows) || first.e4m3) continue;
    const Place place = place_of(which);
    if (!place.room->fit(rows, place.columns, first)) continue;
    fill(forward_.stream_, place.room->view(), rows, place.columns);
    tuning_.steps[step].of(which) = fastest_product(
        rows, is_dense(first.parts[0].matrix.format),
        [&](const ProductSizes& sizes) {
          return seconds([&] { pass(which, rows, sizes, nullptr); });
        },
        [this] { return more(); });
  }
}

// The largest part of the head's panels, spread over it, with which it pays to leave the others
// out.
Status Autotuner::measure_head(std::size_t step) {
  const std::uint32_t rows = Tuning::kRows[step];
  const MatrixGroup& head = forward_.weights_.head;
  const std::uint32_t panels = (head.outputs + kPanelRows - 1) / kPanelRows;
  std::vector<std::uint32_t> order(panels);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  std::vector<std::uint32_t> bits((panels + 31) / 32);
  ESP_ASSIGN(const DeviceMemory wanted,
             DeviceMemory::allocate(bits.size() * sizeof(std::uint32_t), "panels"));
  StepSizes& sizes = tuning_.steps[step];
  for (const std::uint32_t part : {15U, 13U, 11U, 8U, 4U}) {
    std::fill(bits.begin(), bits.end(), 0U);
    for (std::uint32_t i = 0; i < std::uint64_t{panels} * part / 16; ++i) {
      bits[order[i] / 32] |= 1U << order[i] % 32;
    }
    ESP_TRY(forward_.stream_.copy_in(wanted.data(), bits.data(), wanted.size()));
    ESP_TRY(forward_.stream_.wait("measuring sizes of work"));
    bool ran = true;
    const std::size_t chosen = fastest(
        2,
        [&](std::size_t i) {
          const double took = seconds([&] {
            pass(ProductOf::kHead, rows, sizes.of(ProductOf::kHead),
                 i == 0 ? nullptr : wanted.as<std::uint32_t>());
          });
          ran = ran && took < kNever;
          return took;
        },
        [this] { return more(); });
    if (!ran || !more()) return {};
    sizes.most_of_head = chosen == 0 ? 1 : part + 1;
    if (chosen != 0) break;
  }
  return {};
}

Status Autotuner::measure_heads(std::size_t step) {
  const std::uint32_t rows = Tuning::kRows[step];
  const ModelShape& shape = forward_.shape_;
  Forward::View& view = forward_.view(0);
  std::vector<DeviceRow> facts(rows);
  std::vector<DeviceSlot> slots(rows);
  for (std::uint32_t i = 0; i < rows; ++i) {
    facts[i] = {i % shape.context, i, 1};
    slots[i] = {i / kPageTokens % of_.pages, i % kPageTokens};
  }
  const std::uint32_t positions = std::min(rows, shape.context);
  const Stream& stream = forward_.stream_;
  ESP_TRY(view.tables.reach(positions, stream));
  ESP_TRY(forward_.temperatures_.reach(shape, positions, stream));
  ESP_ASSIGN(const DeviceMemory facts_there,
             DeviceMemory::allocate(rows * sizeof(DeviceRow), "rows"));
  ESP_ASSIGN(const DeviceMemory slots_there,
             DeviceMemory::allocate(rows * sizeof(DeviceSlot), "slots"));
  ESP_TRY(stream.copy_in(facts_there.data(), facts.data(), facts_there.size()));
  ESP_TRY(stream.copy_in(slots_there.data(), slots.data(), slots_there.size()));
  fill(stream, forward_.heads_.data(), 0x3D,
       std::uint64_t{rows} * forward_.weights_.layers[0].heads.outputs * sizeof(float));
  ESP_TRY(stream.wait("measuring sizes of work"));
  std::uint32_t& together = tuning_.steps[step].heads_together;
  choose(together, {1, kMostHeadsTogether}, [&] {
    return seconds([&] {
      turn_heads(stream.get(), rows, forward_.heads_of(0), facts_there.as<DeviceRow>(),
                 slots_there.as<DeviceSlot>(), 0, of_.pool, together);
    });
  });
  return {};
}

// Rows of branches over one prefix of `depth` tokens, or of one prompt behind as many. Pages may be
// the same where the pool has few: nothing here depends on what is in them.
Batch Autotuner::made_up(std::uint32_t rows, std::uint32_t depth, bool prompt) const {
  const std::uint32_t shared = depth / kPageTokens;
  const auto pages_from = [&](std::uint32_t count) {
    std::vector<PageId> out(count);
    for (std::uint32_t i = 0; i < count; ++i) out[i] = i % of_.pages;
    return out;
  };
  Batch batch;
  if (prompt)
    batch.sequences.push_back(pages_from(shared + (rows + kPageTokens - 1) / kPageTokens));
  for (std::uint32_t i = 0; i < rows; ++i) {
    if (!prompt) {
      batch.sequences.push_back(pages_from(shared));
      batch.sequences.back().push_back((shared + i) % of_.pages);
    }
    batch.rows.push_back({0, prompt ? depth + i : depth, prompt ? 0 : i, 0, 0});
  }
  return batch;
}

// Of the most rows, those of one prompt.
Status Autotuner::measure_attention(std::size_t step) {
  const std::uint32_t rows = Tuning::kRows[step];
  const ModelShape& shape = forward_.shape_;
  const bool prompt = step + 1 == Tuning::kRows.size();
  const Batch batch = made_up(rows, kDepth, prompt);
  std::vector<std::uint32_t> numbers(rows);
  std::iota(numbers.begin(), numbers.end(), 0U);
  // Layers of one window: those that see everything, where there are such.
  const bool local = forward_.global_ == nullptr;
  std::vector<std::uint32_t> layers;
  for (std::uint32_t l = 0; l < shape.layers && layers.size() < kMostLayers; ++l) {
    if (shape.is_local(l) == local) layers.push_back(l);
  }
  const Stream& stream = forward_.stream_;
  const std::uint32_t query_stride = forward_.weights_.layers[0].heads.outputs;
  fill(stream, forward_.heads_.data(), 0x3D, std::uint64_t{rows} * query_stride * sizeof(float));
  StepSizes& sizes = tuning_.steps[step];
  AttentionPlan plan(shape, local ? shape.window : 0);
  DeviceMemory plan_there;
  std::vector<std::byte> bytes;
  const auto run = [&]() -> double {
    plan.set_limits(sizes.attention(of_.device.multiprocessors));
    plan.plan(batch, numbers);
    bytes.resize(plan.bytes());
    plan.write_to(bytes);
    if (!plan_there.fit(bytes.size(), "a plan of attention") ||
        !forward_.parts_.fit(std::uint64_t{plan.parts()} * shape.heads *
                                 part_floats(shape.head_width) * sizeof(float),
                             "parts of attention") ||
        !stream.copy_in(plan_there.data(), bytes.data(), bytes.size()) ||
        !stream.wait("measuring sizes of work")) {
      return kNever;
    }
    AttentionCall call;
    call.plan = plan_there.as<unsigned char>();
    call.pool = of_.pool;
    call.heads = shape.heads;
    call.scale = shape.query_scale;
    call.queries = forward_.heads_.as<float>();
    call.query_stride = query_stride;
    call.out = forward_.attended_.as<float>();
    call.out_stride = forward_.query_width_;
    call.parts = forward_.parts_.as<float>();
    return seconds([&] {
      for (const std::uint32_t layer : layers) {
        call.layer = layer;
        attend(stream.get(), plan.grid(), call);
      }
    });
  };
  // A row alone has nothing to share.
  if (rows > 1) choose(sizes.side_by_side, {1, 2, 4, 8}, run);
  if (prompt) choose(sizes.busy, {1, 2, 3, 6, 12}, run);
  return {};
}

// Steps of branches as they will run: what a stage has for itself is recorded and replayed.
void Autotuner::measure_layers(std::size_t step) {
  const std::uint32_t rows = Tuning::kRows[step];
  if (forward_.together_.most_blocks() == 0 || rows > kOneKernelRows) return;
  const Stream& stream = forward_.stream_;
  const Batch batch = made_up(
      rows, std::min(kDepth, (forward_.shape_.context - 1) / kPageTokens * kPageTokens), false);
  PageTransfers none;
  choose(tuning_.steps[step].one_kernel, {0, 1, 2}, [&]() -> double {
    forward_.set_tuning(tuning_);
    if (!forward_.prepare(batch, {}, {}, {})) return kNever;
    // Recorded the second time, replayed from the third on.
    for (int i = 0; i < 2; ++i) {
      if (!forward_.run(of_.pool, none)) return kNever;
    }
    if (!stream.wait("measuring sizes of work")) return kNever;
    return seconds([&] { (void)forward_.run(of_.pool, none); });
  });
}

// The smallest pieces that cost little: a step's first layers then wait least.
Status Autotuner::measure_pieces() {
  const std::uint64_t page = cpu::KvPool::page_bytes(forward_.shape_, of_.pool.type);
  const std::uint64_t bytes = std::min(kCopiedBytes, page * of_.pages);
  PinnedMemory from;
  ESP_TRY(from.fit(bytes, "measuring"));
  auto* const to = reinterpret_cast<std::byte*>(of_.pool.pages);
  const Stream& stream = forward_.stream_;
  const auto best = [&](std::uint64_t piece) {
    double out = kNever;
    for (int round = 0; round < kFastestRounds; ++round) {
      out = std::min(out, seconds([&] {
                       for (std::uint64_t at = 0; at < bytes; at += piece) {
                         (void)stream.copy_in(to + at, from.bytes().data() + at,
                                              std::min(piece, bytes - at));
                       }
                     }));
    }
    return out;
  };
  if (!more()) return {};
  const double whole = best(bytes);
  if (whole == kNever) return {};
  for (const std::uint32_t kib : {64U, 128U, 256U, 512U, 1024U, 2048U, 4096U}) {
    const std::uint64_t piece = std::uint64_t{kib} << 10;
    if (!more()) return {};
    // Pages are never cut finer than that.
    if (piece >= page) return {};
    if (best(piece) > kPieceCost * whole) continue;
    tuning_.piece_kib = kib;
    return {};
  }
  return {};
}

}  // namespace espalier::runtime::cuda
