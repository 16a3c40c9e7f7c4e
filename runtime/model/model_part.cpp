#include "runtime/model/model_part.h"

#include <algorithm>
#include <string>
#include <utility>

namespace espalier::runtime {
namespace {

class PartOfModel final : public Model {
 public:
  PartOfModel(std::shared_ptr<const Model> whole, ModelShape shape, ModelWeights weights)
      : whole_(std::move(whole)), shape_(std::move(shape)), weights_(std::move(weights)) {}

  const ModelShape& shape() const override { return shape_; }
  const ModelWeights& weights() const override { return weights_; }
  const ModelFacts& facts() const override { return whole_->facts(); }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return whole_->tokenizer(); }
  const std::shared_ptr<const ChatTemplate>& chat_template() const override {
    return whole_->chat_template();
  }
  const std::string& path() const override { return whole_->path(); }
  std::uint64_t file_bytes() const override { return whole_->file_bytes(); }
  void discard(std::span<const std::byte> part) const override { whole_->discard(part); }

 private:
  std::shared_ptr<const Model> whole_;
  ModelShape shape_;
  ModelWeights weights_;
};

template <class T>
void keep(std::vector<T>& of_layers, LayerRange layers) {
  if (of_layers.empty()) return;
  const auto first = of_layers.begin() + layers.first;
  of_layers = std::vector<T>(first, first + layers.count);
}

// Outputs that kernels form together: a rank has whole ones of them.
constexpr std::uint32_t kPanel = 16;

// Parts of n in units, as even as they can be; nothing where there are more ranks than units.
Cut cut(std::uint32_t n, std::uint32_t unit, std::uint32_t ranks) {
  const std::uint32_t units = (n + unit - 1) / unit;
  if (units < ranks) return {};
  Cut out;
  for (std::uint64_t r = 0; r <= ranks; ++r) {
    out.push_back(std::min(n, static_cast<std::uint32_t>(units * r / ranks) * unit));
  }
  return out;
}

// Rows [begin, end) of a matrix.
void keep_rows(Tensor& tensor, const Cut& cut, std::uint32_t rank, std::uint32_t each = 1) {
  if (tensor.data.empty()) return;
  const std::uint64_t first = std::uint64_t{cut[rank]} * each;
  const std::uint64_t count = std::uint64_t{cut[rank + 1] - cut[rank]} * each;
  tensor.data = tensor.data.subspan(first * tensor.row_bytes(), count * tensor.row_bytes());
  tensor.rows = count;
}

// Elements of a vector, whose type has no blocks.
void keep_elements(Tensor& vector, const Cut& cut, std::uint32_t rank, std::uint32_t each = 1) {
  if (vector.data.empty()) return;
  ESP_CHECK(tensor_traits(vector.type)->block_weights == 1);
  const std::uint64_t bytes = vector.row_bytes() / vector.columns;
  vector.columns = std::uint64_t{cut[rank + 1] - cut[rank]} * each;
  vector.data =
      vector.data.subspan(std::uint64_t{cut[rank]} * each * bytes, vector.columns * bytes);
}

}  // namespace

std::shared_ptr<const Model> layers_of(std::shared_ptr<const Model> whole, LayerRange layers) {
  const std::uint32_t all = whole->shape().layers;
  ESP_CHECK(layers.count > 0 && layers.first < all && layers.count <= all - layers.first);
  if (layers.count == all) return whole;
  ModelShape shape = whole->shape();
  shape.layers = layers.count;
  keep(shape.local, layers);
  ModelWeights weights = whole->weights();
  keep(weights.layers, layers);
  if (layers.first + layers.count < all) {
    weights.output_norm = {};
    weights.output = {};
  }
  return std::make_shared<PartOfModel>(std::move(whole), std::move(shape), std::move(weights));
}

Result<Shares> share_layers(const ModelShape& shape, std::uint32_t ranks) {
  ESP_CHECK(ranks > 0);
  Shares out;
  const auto share = [&](Cut& to, std::uint32_t n, std::uint32_t unit, const char* what) -> Status {
    to = cut(n, unit, ranks);
    if (!to.empty()) return {};
    return fail(ErrorCode::kUnsupported,
                std::to_string(ranks) + " devices a layer: the model has " + std::to_string(n) +
                    " " + what + ", at most " + std::to_string((n + unit - 1) / unit) +
                    " devices can share them");
  };
  ESP_TRY(share(out.kv_heads, shape.kv_heads, 1, "heads of keys and values"));
  ESP_TRY(share(out.width, shape.width, kPanel, "columns"));
  ESP_TRY(share(out.feed_forward, shape.feed_forward, kPanel, "columns of feed forward"));
  ESP_TRY(share(out.vocabulary, shape.vocabulary, kPanel, "tokens"));
  for (const std::uint32_t head : out.kv_heads) {
    out.queries.push_back(head * (shape.heads / shape.kv_heads) * shape.head_width);
  }
  return out;
}

std::shared_ptr<const Model> share_of(std::shared_ptr<const Model> whole, const Shares& shares,
                                      std::uint32_t rank) {
  ESP_CHECK(rank < shares.ranks());
  if (shares.ranks() == 1) return whole;
  ModelShape shape = whole->shape();
  const std::uint32_t width = shape.head_width;
  const std::uint32_t of_kv_head = shape.heads / shape.kv_heads;
  shape.kv_heads = shares.kv_heads[rank + 1] - shares.kv_heads[rank];
  shape.heads = shape.kv_heads * of_kv_head;
  shape.feed_forward = shares.feed_forward[rank + 1] - shares.feed_forward[rank];
  ModelWeights weights = whole->weights();
  for (LayerWeights& it : weights.layers) {
    keep_rows(it.query, shares.queries, rank);
    keep_elements(it.query_bias, shares.queries, rank);
    for (Tensor* matrix : {&it.key, &it.value}) keep_rows(*matrix, shares.kv_heads, rank, width);
    for (Tensor* bias : {&it.key_bias, &it.value_bias}) {
      keep_elements(*bias, shares.kv_heads, rank, width);
    }
    for (Tensor* matrix : {&it.gate, &it.up}) keep_rows(*matrix, shares.feed_forward, rank);
    for (Tensor* matrix : {&it.attention_output, &it.down}) keep_rows(*matrix, shares.width, rank);
  }
  keep_rows(weights.output, shares.vocabulary, rank);
  return std::make_shared<PartOfModel>(std::move(whole), std::move(shape), std::move(weights));
}

}  // namespace espalier::runtime
