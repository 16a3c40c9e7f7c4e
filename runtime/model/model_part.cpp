#include "runtime/model/model_part.h"

#include <utility>

#include "base/result.h"

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

}  // namespace espalier::runtime
