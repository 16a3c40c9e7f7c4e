#include "runtime/cuda/weights.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "runtime/cuda/e4m3_weights.h"
#include "runtime/cuda/panels.h"
#include "runtime/model/model_part.h"

namespace espalier::runtime::cuda {
namespace {

// Matrices begin at multiples of it.
constexpr std::uint64_t kAlign = 256;
// Bytes laid out while as many are copied.
constexpr std::uint64_t kStage = std::uint64_t{32} << 20;
constexpr std::uint64_t kItem = std::uint64_t{256} << 10;

std::uint64_t aligned(std::uint64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// A tensor as the device has it: as the file's type is laid out, or as codes of 8 bits.
struct Laid {
  const Tensor& tensor;
  bool in_fp8;

  [[nodiscard]] WeightFormat format() const {
    return in_fp8 ? WeightFormat::kE4M3 : weight_format(tensor.type);
  }
  // Outputs are laid out in groups.
  [[nodiscard]] std::uint32_t groups() const {
    if (!in_fp8) return groups_of(tensor);
    return (static_cast<std::uint32_t>(tensor.rows) + kPanelRows - 1) / kPanelRows;
  }
  [[nodiscard]] std::uint64_t group_bytes() const {
    if (!in_fp8) return cuda::group_bytes(tensor);
    return matrix_bytes(WeightFormat::kE4M3, kPanelRows,
                        static_cast<std::uint32_t>(tensor.columns));
  }
  [[nodiscard]] std::uint64_t bytes() const { return groups() * group_bytes(); }
  [[nodiscard]] std::size_t scales() const { return std::size_t{groups()} * kPanelRows; }
  [[nodiscard]] std::span<const std::byte> source(std::uint32_t begin, std::uint32_t end) const {
    if (!in_fp8) return cuda::source(tensor, begin, end);
    const std::uint64_t first = std::uint64_t{begin} * kPanelRows;
    const std::uint64_t last =
        std::min<std::uint64_t>(std::uint64_t{end} * kPanelRows, tensor.rows);
    return tensor.data.subspan(first * tensor.row_bytes(), (last - first) * tensor.row_bytes());
  }
};

// Whether b's panels can follow a's: together they are one matrix.
bool joins(const Laid& a, const Laid& b) {
  return a.format() == b.format() && a.tensor.columns == b.tensor.columns &&
         a.tensor.rows % kPanelRows == 0;
}

// Of a layer's products: head and embedding stay what they are.
bool in_fp8(const Tensor& tensor, const Fp8Products* fp8, std::size_t layer,
            LayerProducts products) {
  return fp8 != nullptr && takes_fp8(tensor.type) && !fp8->keeps(layer, products);
}

// Bytes of all matrices, and of the scales that lie behind them.
struct Sizes {
  std::uint64_t matrices = 0;
  std::uint64_t scales = 0;

  void add(const Laid& laid) {
    matrices += aligned(laid.bytes());
    if (laid.in_fp8) scales += laid.scales() * sizeof(float);
  }
};

Sizes sizes_of(const Model& model, const Fp8Products* fp8) {
  Sizes out;
  for (std::size_t l = 0; l < model.weights().layers.size(); ++l) {
    const LayerWeights& it = model.weights().layers[l];
    const auto add = [&](LayerProducts products, std::initializer_list<const Tensor*> tensors) {
      for (const Tensor* tensor : tensors) out.add({*tensor, in_fp8(*tensor, fp8, l, products)});
    };
    add(LayerProducts::kHeads, {&it.query, &it.key, &it.value});
    add(LayerProducts::kOutput, {&it.attention_output});
    add(LayerProducts::kHidden, {&it.gate, &it.up});
    add(LayerProducts::kDown, {&it.down});
  }
  if (has_head(model)) out.add({model.weights().output, false});
  return out;
}

// Whether the head is the embedding, all of it.
bool tied(const Model& model) {
  const Tensor& head = model.weights().output;
  const Tensor& embedding = model.weights().embedding;
  return has_head(model) && head.data.data() == embedding.data.data() &&
         head.rows == embedding.rows;
}

class Loader {
 public:
  // `scales`: where those of codes of 8 bits go.
  Loader(const Model& model, cpu::WorkerPool& workers, const Stream& stream, std::byte* to,
         float* scales = nullptr)
      : model_(model), workers_(workers), stream_(stream), next_(to), scales_(scales) {}

  Status start(std::uint64_t bytes) {
    for (Stage& stage : stages_) {
      ESP_TRY(stage.memory.fit(std::min(bytes, kStage), "staging of weights"));
      ESP_TRY(check(cudaEventCreateWithFlags(&stage.copied, cudaEventDisableTiming), "event"));
    }
    return {};
  }
  ~Loader() {
    for (Stage& stage : stages_) {
      if (stage.copied != nullptr) cudaEventDestroy(stage.copied);
    }
  }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Sets where each tensor's outputs begin in `firsts`.
  Status group(std::initializer_list<Laid> tensors, MatrixGroup& out,
               std::initializer_list<std::uint32_t*> firsts = {}) {
    const Laid* before = nullptr;
    auto first = firsts.begin();
    for (const Laid& laid : tensors) {
      const WeightFormat format = laid.format();
      const auto rows = static_cast<std::uint32_t>(laid.tensor.rows);
      if (before != nullptr && first != firsts.end()) *(*first++) = out.outputs;
      if (before != nullptr && joins(*before, laid)) {
        // No room is left between them.
        out.parts.back().matrix.rows += rows;
      } else {
        next_ = base_ + aligned(static_cast<std::uint64_t>(next_ - base_));
        MatrixGroup::Part part;
        part.matrix.data = reinterpret_cast<const unsigned char*>(next_);
        part.matrix.rows = rows;
        part.matrix.columns = static_cast<std::uint32_t>(laid.tensor.columns);
        part.matrix.format = format;
        if (laid.in_fp8) part.matrix.scales = scales_ + made_scales_.size();
        part.first = out.outputs;
        out.parts.push_back(part);
      }
      out.outputs += (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
      const bool codes = !is_dense(format) && !laid.in_fp8;
      out.codes = out.codes || codes;
      out.floats = out.floats || is_dense(format);
      out.halves = out.halves || (codes && packing(format).groups == 2);
      out.e4m3 = out.e4m3 || laid.in_fp8;
      ESP_TRY(copy(laid));
      before = &laid;
    }
    return {};
  }
  // Behind all groups; what it copies from lives as long as this.
  Status finish() {
    return stream_.copy_in(scales_, made_scales_.data(), made_scales_.size() * sizeof(float));
  }

 private:
  struct Stage {
    PinnedMemory memory;
    cudaEvent_t copied = nullptr;
    bool busy = false;
  };

  Status copy(const Laid& laid) {
    const std::uint64_t bytes = laid.group_bytes();
    const std::uint32_t groups = laid.groups();
    const std::size_t first_scale = made_scales_.size();
    if (laid.in_fp8) {
      made_scales_.resize(first_scale + laid.scales());
      rows_.resize(std::size_t{workers_.threads()} * laid.tensor.columns);
    }
    // Groups [from, to) into `out`, by one thread.
    const auto make = [&](std::uint32_t from, std::uint32_t to, std::span<std::byte> out,
                          unsigned thread) {
      if (!laid.in_fp8) return lay_out(laid.tensor, from, to, out);
      const std::size_t columns = laid.tensor.columns;
      make_e4m3(laid.tensor, from * kPanelRows, to * kPanelRows, out,
                std::span(made_scales_)
                    .subspan(first_scale + std::size_t{from} * kPanelRows,
                             std::size_t{to - from} * kPanelRows),
                std::span(rows_).subspan(thread * columns, columns));
    };
    const auto slice =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kStage / bytes, 1, groups));
    const auto piece =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kItem / bytes, 1, slice));
    for (std::uint32_t begin = 0; begin < groups; begin += slice) {
      const std::uint32_t end = std::min(begin + slice, groups);
      Stage& stage = stages_[turn_];
      turn_ = 1 - turn_;
      if (stage.busy) ESP_TRY(check(cudaEventSynchronize(stage.copied), "copying weights"));
      ESP_TRY(stage.memory.fit(bytes * (end - begin), "staging of weights"));
      workers_.for_each(
          (end - begin + piece - 1) / piece, [&](std::uint32_t item, unsigned thread) {
            const std::uint32_t from = begin + item * piece;
            const std::uint32_t to = std::min(from + piece, end);
            make(from, to,
                 stage.memory.bytes().subspan((from - begin) * bytes, (to - from) * bytes), thread);
          });
      ESP_TRY(stream_.copy_in(next_, stage.memory.bytes().data(), bytes * (end - begin)));
      ESP_TRY(check(cudaEventRecord(stage.copied, stream_.get()), "copying weights"));
      stage.busy = true;
      next_ += bytes * (end - begin);
      model_.discard(laid.source(begin, end));
    }
    return {};
  }

  const Model& model_;
  cpu::WorkerPool& workers_;
  const Stream& stream_;
  std::byte* next_;
  std::byte* const base_ = next_;
  float* const scales_;
  std::vector<float> made_scales_;
  std::vector<float> rows_;  // one a thread
  std::array<Stage, 2> stages_;
  std::size_t turn_ = 0;
};

}  // namespace

bool MatrixGroup::in_sixteen_bits() const {
  return std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
    const WeightFormat format = part.matrix.format;
    return format == parts[0].matrix.format &&
           (format == WeightFormat::kF16 || format == WeightFormat::kBF16);
  });
}

std::uint64_t DeviceWeights::bytes(const Model& model, const Fp8Products* fp8) {
  const Sizes sizes = sizes_of(model, fp8);
  return sizes.matrices + sizes.scales;
}

Result<DeviceWeights> DeviceWeights::load(const Model& model, cpu::WorkerPool& workers,
                                          const Stream& stream, const Fp8Products* fp8) {
  DeviceWeights out;
  const Sizes sizes = sizes_of(model, fp8);
  ESP_ASSIGN(out.matrices_, DeviceMemory::allocate(sizes.matrices + sizes.scales, "weights"));
  Loader loader(model, workers, stream, out.matrices_.data(),
                out.matrices_.as<float>(sizes.matrices));
  ESP_TRY(loader.start(sizes.matrices));

  // Vectors go in one piece; until it is there, their places are kept as offsets.
  std::vector<float> values;
  std::vector<std::pair<const float**, std::size_t>> places;
  const auto vector = [&](const Tensor& tensor, const float*& to) {
    if (tensor.data.empty()) return;
    const std::size_t at = values.size();
    places.emplace_back(&to, at);
    values.resize((at + tensor.columns + 63) / 64 * 64);
    dequantise_row(tensor, 0, std::span(values).subspan(at, tensor.columns));
  };
  out.layers.resize(model.weights().layers.size());
  for (std::size_t l = 0; l < out.layers.size(); ++l) {
    const LayerWeights& it = model.weights().layers[l];
    DeviceLayer& layer = out.layers[l];
    vector(it.attention_norm, layer.attention_norm);
    vector(it.feed_forward_norm, layer.feed_forward_norm);
    vector(it.query_bias, layer.query_bias);
    vector(it.key_bias, layer.key_bias);
    vector(it.value_bias, layer.value_bias);
    vector(it.query_norm, layer.query_norm);
    vector(it.key_norm, layer.key_norm);
    vector(it.post_attention_norm, layer.post_attention_norm);
    vector(it.post_feed_forward_norm, layer.post_feed_forward_norm);
    const auto laid = [&](const Tensor& tensor, LayerProducts products) {
      return Laid{tensor, in_fp8(tensor, fp8, l, products)};
    };
    ESP_TRY(
        loader.group({laid(it.query, LayerProducts::kHeads), laid(it.key, LayerProducts::kHeads),
                      laid(it.value, LayerProducts::kHeads)},
                     layer.heads, {&layer.key_first, &layer.value_first}));
    ESP_TRY(loader.group({laid(it.attention_output, LayerProducts::kOutput)}, layer.output));
    ESP_TRY(
        loader.group({laid(it.gate, LayerProducts::kHidden), laid(it.up, LayerProducts::kHidden)},
                     layer.hidden, {&layer.up_first}));
    ESP_TRY(loader.group({laid(it.down, LayerProducts::kDown)}, layer.down));
  }
  vector(model.weights().output_norm, out.output_norm);
  if (has_head(model)) ESP_TRY(loader.group({{model.weights().output, false}}, out.head));
  ESP_TRY(loader.finish());
  if (tied(model)) out.embedding = out.head;
  ESP_ASSIGN(out.vectors_, DeviceMemory::allocate(values.size() * sizeof(float), "vectors"));
  for (const auto& [place, at] : places) *place = out.vectors_.as<float>() + at;
  ESP_TRY(stream.copy_in(out.vectors_.data(), values.data(), values.size() * sizeof(float)));
  ESP_TRY(stream.wait("copying weights"));
  return out;
}

Status DeviceWeights::load_embedding(const Model& model, cpu::WorkerPool& workers,
                                     const Stream& stream) {
  const Tensor& tensor = model.weights().embedding;
  const std::uint64_t bytes = device_bytes(tensor);
  ESP_ASSIGN(auto memory, DeviceMemory::allocate(bytes, "embeddings"));
  Loader loader(model, workers, stream, memory.data());
  ESP_TRY(loader.start(bytes));
  MatrixGroup group;
  ESP_TRY(loader.group({{tensor, false}}, group));
  ESP_TRY(stream.wait("copying weights"));
  embedding_ = std::move(memory);
  embedding = std::move(group);
  return {};
}

}  // namespace espalier::runtime::cuda
