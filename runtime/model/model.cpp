#include "runtime/model/model.h"

#include <utility>

#include "runtime/chat/load_chat_template.h"
#include "runtime/model/architecture.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/load_tokenizer.h"

namespace espalier::runtime {
namespace {

class LoadedModel final : public Model {
 public:
  LoadedModel(Gguf file, ModelShape shape, ModelWeights weights,
              std::shared_ptr<const Tokenizer> tokenizer,
              std::shared_ptr<const ChatTemplate> chat_template)
      : file_(std::move(file)),
        shape_(std::move(shape)),
        weights_(std::move(weights)),
        tokenizer_(std::move(tokenizer)),
        chat_template_(std::move(chat_template)) {}

  const ModelShape& shape() const override { return shape_; }
  const ModelWeights& weights() const override { return weights_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return tokenizer_; }
  const std::shared_ptr<const ChatTemplate>& chat_template() const override {
    return chat_template_;
  }
  const std::string& path() const override { return file_.path(); }
  std::uint64_t file_bytes() const override { return file_.file_bytes(); }
  void discard(std::span<const std::byte> part) const override { file_.mapping()->discard(part); }

 private:
  Gguf file_;  // keeps the mapping that the weights point into
  ModelShape shape_;
  ModelWeights weights_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_template_;
};

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, System& system,
                                                 const LoadOptions& options) {
  ESP_ASSIGN(auto file, Gguf::open(path, system));
  ESP_ASSIGN(const Architecture* architecture, find_architecture(file));
  ESP_ASSIGN(auto tokenizer, load_tokenizer(file));
  ESP_ASSIGN(auto chat_template, load_chat_template(file, *tokenizer));
  const ShapeRequest request{static_cast<std::uint32_t>(tokenizer->size()), options.context};
  ESP_ASSIGN(auto shape, architecture->read_shape(file, request));
  ESP_ASSIGN(auto weights, architecture->read_weights(file, shape));
  return std::make_shared<LoadedModel>(std::move(file), std::move(shape), std::move(weights),
                                       std::move(tokenizer), std::move(chat_template));
}

}  // namespace espalier::runtime
