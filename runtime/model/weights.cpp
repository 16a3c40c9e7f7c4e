#include "runtime/model/weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

namespace espalier::runtime {
namespace {

// Takes tensors by name and remembers which, so that those nobody asked for can be refused.
class Taker {
 public:
  Taker(const Gguf& file, std::set<std::string, std::less<>> known)
      : file_(file), taken_(std::move(known)) {}

  [[nodiscard]] bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  [[nodiscard]] Status matrix(Tensor& into, const std::string& name, std::uint64_t columns,
                              std::uint64_t rows) {
    ESP_ASSIGN(into, file_.tensor(name, columns, rows));
    taken_.insert(name);
    return {};
  }
  // Norms and biases act on activations one by one in fp32, and are stored so.
  [[nodiscard]] Status vector(Tensor& into, const std::string& name, std::uint64_t columns,
                              std::string_view what) {
    ESP_TRY(matrix(into, name, columns, 1));
    if (into.type == TensorType::kF32) return {};
    return file_.refuse(ErrorCode::kUnsupported,
                        "tensor " + shown(name) + ": a " + std::string(what) + " of type " +
                            std::string(tensor_traits(into.type)->name) + "; F32 is supported");
  }
  [[nodiscard]] Status norm(Tensor& into, const std::string& name, std::uint64_t columns) {
    return vector(into, name, columns, "norm");
  }
  [[nodiscard]] Status refuse_rest(const std::string& architecture) const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name)) {
        return file_.refuse(ErrorCode::kUnsupported, "tensor " + shown(tensor.name) +
                                                         " is not one that architecture '" +
                                                         architecture + "' uses here");
      }
    }
    return {};
  }

 private:
  const Gguf& file_;
  std::set<std::string, std::less<>> taken_;
};

// Rows [first, first + rows) of a tensor, as one of its own.
Tensor rows_of(const Tensor& tensor, std::uint64_t first, std::uint64_t rows,
               std::string_view part) {
  const std::uint64_t row = tensor.row_bytes();
  return {tensor.name + "[" + std::string(part) + "]", tensor.type, tensor.columns, rows,
          tensor.data.subspan(first * row, rows * row)};
}

// Elements of a vector in F32.
Tensor elements_of(const Tensor& tensor, std::uint64_t first, std::uint64_t count,
                   std::string_view part) {
  return {tensor.name + "[" + std::string(part) + "]", tensor.type, count, 1,
          tensor.data.subspan(first * sizeof(float), count * sizeof(float))};
}

Status take_query_key_value(Taker& taker, LayerWeights& it, const std::string& prefix,
                            const ModelShape& shape, Presence biases) {
  const std::uint64_t query = std::uint64_t{shape.heads} * shape.head_width;
  const std::uint64_t key = std::uint64_t{shape.kv_heads} * shape.head_width;
  const auto biased = [&](const std::string& name) {
    return biases == Presence::kRequired ||
           (biases == Presence::kOptional && taker.has(prefix + name));
  };
  if (taker.has(prefix + "attn_qkv.weight")) {
    Tensor fused;
    ESP_TRY(taker.matrix(fused, prefix + "attn_qkv.weight", shape.width, query + 2 * key));
    it.query = rows_of(fused, 0, query, "query");
    it.key = rows_of(fused, query, key, "key");
    it.value = rows_of(fused, query + key, key, "value");
    if (biased("attn_qkv.bias")) {
      ESP_TRY(taker.vector(fused, prefix + "attn_qkv.bias", query + 2 * key, "bias"));
      it.query_bias = elements_of(fused, 0, query, "query");
      it.key_bias = elements_of(fused, query, key, "key");
      it.value_bias = elements_of(fused, query + key, key, "value");
    }
    return {};
  }
  const auto take = [&](Tensor& weight, Tensor& bias, const std::string& name,
                        std::uint64_t rows) -> Status {
    ESP_TRY(taker.matrix(weight, prefix + name + ".weight", shape.width, rows));
    if (!biased(name + ".bias")) return {};
    return taker.vector(bias, prefix + name + ".bias", rows, "bias");
  };
  ESP_TRY(take(it.query, it.query_bias, "attn_q", query));
  ESP_TRY(take(it.key, it.key_bias, "attn_k", key));
  return take(it.value, it.value_bias, "attn_v", key);
}

Status take_feed_forward(Taker& taker, LayerWeights& it, const std::string& prefix,
                         const ModelShape& shape, bool fused) {
  const std::uint64_t width = shape.width;
  const std::uint64_t hidden = shape.feed_forward;
  if (fused) {
    Tensor both;
    ESP_TRY(taker.matrix(both, prefix + "ffn_up.weight", width, 2 * hidden));
    it.gate = rows_of(both, 0, hidden, "gate");
    it.up = rows_of(both, hidden, hidden, "up");
  } else {
    ESP_TRY(taker.matrix(it.gate, prefix + "ffn_gate.weight", width, hidden));
    ESP_TRY(taker.matrix(it.up, prefix + "ffn_up.weight", width, hidden));
  }
  return taker.matrix(it.down, prefix + "ffn_down.weight", hidden, width);
}

// All that the model has, in the order in which they are used. A tied head comes once.
template <class F>
void each_tensor(const ModelWeights& weights, const F& f) {
  const auto one = [&](const Tensor& tensor) {
    if (!tensor.data.empty()) f(tensor);
  };
  one(weights.embedding);
  for (const LayerWeights& it : weights.layers) {
    for (const Tensor* tensor :
         {&it.attention_norm, &it.query, &it.key, &it.value, &it.attention_output, &it.query_bias,
          &it.key_bias, &it.value_bias, &it.query_norm, &it.key_norm, &it.post_attention_norm,
          &it.feed_forward_norm, &it.gate, &it.up, &it.down, &it.post_feed_forward_norm}) {
      one(*tensor);
    }
  }
  one(weights.output_norm);
  if (weights.output.data.data() != weights.embedding.data.data()) one(weights.output);
}

}  // namespace

Result<ModelWeights> read_weights(const Gguf& file, const ModelShape& shape,
                                  const LayerParts& parts, const std::set<std::string>& known) {
  Taker taker(file, {known.begin(), known.end()});
  ModelWeights out;
  const std::uint64_t width = shape.width;
  ESP_TRY(taker.matrix(out.embedding, "token_embd.weight", width, shape.vocabulary));
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    // Grown one by one: a block count that the file does not hold ends at its first missing tensor.
    LayerWeights& it = out.layers.emplace_back();
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    ESP_TRY(taker.norm(it.attention_norm, prefix + "attn_norm.weight", width));
    ESP_TRY(take_query_key_value(taker, it, prefix, shape, parts.biases));
    if (parts.query_key_norms) {
      ESP_TRY(taker.norm(it.query_norm, prefix + "attn_q_norm.weight", shape.head_width));
      ESP_TRY(taker.norm(it.key_norm, prefix + "attn_k_norm.weight", shape.head_width));
    }
    ESP_TRY(taker.matrix(it.attention_output, prefix + "attn_output.weight",
                         std::uint64_t{shape.heads} * shape.head_width, width));
    ESP_TRY(taker.norm(it.feed_forward_norm, prefix + "ffn_norm.weight", width));
    if (parts.post_norms) {
      ESP_TRY(taker.norm(it.post_attention_norm, prefix + "post_attention_norm.weight", width));
      ESP_TRY(taker.norm(it.post_feed_forward_norm, prefix + "post_ffw_norm.weight", width));
    }
    ESP_TRY(take_feed_forward(taker, it, prefix, shape, parts.fused_gate));
  }
  ESP_TRY(taker.norm(out.output_norm, "output_norm.weight", width));
  if (taker.has("output.weight")) {
    ESP_TRY(taker.matrix(out.output, "output.weight", width, shape.vocabulary));
  } else {
    out.output = out.embedding;
  }
  ESP_TRY(taker.refuse_rest(shape.architecture));
  return out;
}

std::vector<WeightShare> weight_shares(const ModelWeights& weights) {
  std::map<TensorType, WeightShare> shares;
  each_tensor(weights, [&](const Tensor& tensor) {
    WeightShare& share = shares[tensor.type];
    share.type = tensor.type;
    share.weights += tensor.rows * tensor.columns;
    share.bytes += tensor.data.size();
  });
  std::vector<WeightShare> out;
  for (const auto& [type, share] : shares) out.push_back(share);
  std::stable_sort(out.begin(), out.end(),
                   [](const WeightShare& a, const WeightShare& b) { return a.bytes > b.bytes; });
  return out;
}

std::string place_not_finite(const ModelWeights& weights) {
  std::string place;
  std::vector<float> values;
  each_tensor(weights, [&](const Tensor& tensor) {
    values.resize(tensor.columns);
    for (std::uint64_t row = 0; row < tensor.rows && place.empty(); ++row) {
      dequantise_row(tensor, row, values);
      if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
        place = "tensor " + shown(tensor.name) + ", row " + std::to_string(row);
    }
  });
  return place;
}

}  // namespace espalier::runtime
