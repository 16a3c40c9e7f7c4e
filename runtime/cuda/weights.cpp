#include "runtime/cuda/weights.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

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

// Whether b's panels can follow a's: together they are one matrix.
bool joins(const Tensor& a, const Tensor& b) {
  return a.type == b.type && a.columns == b.columns && a.rows % kPanelRows == 0;
}

std::uint64_t group_size(std::initializer_list<const Tensor*> tensors) {
  std::uint64_t out = 0;
  for (const Tensor* tensor : tensors) out += aligned(device_bytes(*tensor));
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
  Loader(const Model& model, cpu::WorkerPool& workers, const Stream& stream, std::byte* to)
      : model_(model), workers_(workers), stream_(stream), next_(to) {}

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
  Status group(std::initializer_list<const Tensor*> tensors, MatrixGroup& out,
               std::initializer_list<std::uint32_t*> firsts = {}) {
    const Tensor* before = nullptr;
    auto first = firsts.begin();
    for (const Tensor* tensor : tensors) {
      const WeightFormat format = weight_format(tensor->type);
      const auto rows = static_cast<std::uint32_t>(tensor->rows);
      if (before != nullptr && first != firsts.end()) *(*first++) = out.outputs;
      if (before != nullptr && joins(*before, *tensor)) {
        // No room is left between them.
        out.parts.back().matrix.rows += rows;
      } else {
        next_ = base_ + aligned(static_cast<std::uint64_t>(next_ - base_));
        MatrixGroup::Part part;
        part.matrix.data = reinterpret_cast<const unsigned char*>(next_);
        part.matrix.rows = rows;
        part.matrix.columns = static_cast<std::uint32_t>(tensor->columns);
        part.matrix.format = format;
        part.first = out.outputs;
        out.parts.push_back(part);
      }
      out.outputs += (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
      out.codes = out.codes || !is_dense(format);
      out.floats = out.floats || is_dense(format);
      out.halves = out.halves || (!is_dense(format) && packing(format).groups == 2);
      ESP_TRY(copy(*tensor));
      before = tensor;
    }
    return {};
  }

 private:
  struct Stage {
    PinnedMemory memory;
    cudaEvent_t copied = nullptr;
    bool busy = false;
  };

  Status copy(const Tensor& tensor) {
    const std::uint64_t bytes = group_bytes(tensor);
    const std::uint32_t groups = groups_of(tensor);
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
      workers_.for_each((end - begin + piece - 1) / piece, [&](std::uint32_t item, unsigned) {
        const std::uint32_t from = begin + item * piece;
        const std::uint32_t to = std::min(from + piece, end);
        lay_out(tensor, from, to,
                stage.memory.bytes().subspan((from - begin) * bytes, (to - from) * bytes));
      });
      ESP_TRY(stream_.copy_in(next_, stage.memory.bytes().data(), bytes * (end - begin)));
      ESP_TRY(check(cudaEventRecord(stage.copied, stream_.get()), "copying weights"));
      stage.busy = true;
      next_ += bytes * (end - begin);
      model_.discard(source(tensor, begin, end));
    }
    return {};
  }

  const Model& model_;
  cpu::WorkerPool& workers_;
  const Stream& stream_;
  std::byte* next_;
  std::byte* const base_ = next_;
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

std::uint64_t DeviceWeights::bytes(const Model& model) {
  std::uint64_t out = 0;
  for (const LayerWeights& it : model.weights().layers) {
    out += group_size(
        {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down});
  }
  return has_head(model) ? out + group_size({&model.weights().output}) : out;
}

Result<DeviceWeights> DeviceWeights::load(const Model& model, cpu::WorkerPool& workers,
                                          const Stream& stream) {
  DeviceWeights out;
  ESP_ASSIGN(out.matrices_, DeviceMemory::allocate(bytes(model), "weights"));
  Loader loader(model, workers, stream, out.matrices_.data());
  ESP_TRY(loader.start(bytes(model)));

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
    ESP_TRY(loader.group({&it.query, &it.key, &it.value}, layer.heads,
                         {&layer.key_first, &layer.value_first}));
    ESP_TRY(loader.group({&it.attention_output}, layer.output));
    ESP_TRY(loader.group({&it.gate, &it.up}, layer.hidden, {&layer.up_first}));
    ESP_TRY(loader.group({&it.down}, layer.down));
  }
  vector(model.weights().output_norm, out.output_norm);
  if (has_head(model)) ESP_TRY(loader.group({&model.weights().output}, out.head));
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
  ESP_TRY(loader.group({&tensor}, group));
  ESP_TRY(stream.wait("copying weights"));
  embedding_ = std::move(memory);
  embedding = std::move(group);
  return {};
}

}  // namespace espalier::runtime::cuda
