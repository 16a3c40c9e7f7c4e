#include "runtime/model/model.h"

#include <utility>

#include "base/cache_folder.h"
#include "grammar/json_schema.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/model/architecture.h"
#include "runtime/model/gguf.h"
#include "runtime/model/split.h"
#include "runtime/tokenizer/load_tokenizer.h"

namespace espalier::runtime {
namespace {

class LoadedModel final : public Model {
 public:
  LoadedModel(Gguf file, ModelShape shape, ModelWeights weights, ModelFacts facts,
              std::shared_ptr<const Tokenizer> tokenizer,
              std::shared_ptr<const ChatTemplate> chat_template)
      : file_(std::move(file)),
        shape_(std::move(shape)),
        weights_(std::move(weights)),
        facts_(std::move(facts)),
        tokenizer_(std::move(tokenizer)),
        chat_template_(std::move(chat_template)) {}

  const ModelShape& shape() const override { return shape_; }
  const ModelWeights& weights() const override { return weights_; }
  const ModelFacts& facts() const override { return facts_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return tokenizer_; }
  const std::shared_ptr<const ChatTemplate>& chat_template() const override {
    return chat_template_;
  }
  const std::string& path() const override { return file_.path(); }
  std::uint64_t file_bytes() const override { return file_.file_bytes(); }
  void discard(std::span<const std::byte> part) const override { file_.discard(part); }

 private:
  Gguf file_;  // keeps the mapping that the weights point into
  ModelShape shape_;
  ModelWeights weights_;
  ModelFacts facts_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_template_;
};

ModelFacts read_facts(const Gguf& file, std::size_t vocabulary) {
  ModelFacts out;
  const auto text = [&](std::string_view key) {
    const auto found = file.string(key);
    return found ? std::string(*found) : std::string();
  };
  out.name = text("general.name");
  out.tokenizer = text("tokenizer.ggml.model");
  out.pre_tokenizer = text("tokenizer.ggml.pre");
  out.files = static_cast<std::uint32_t>(file.files());
  constexpr std::string_view kPrefix = "tokenizer.ggml.";
  constexpr std::string_view kSuffix = "_token_id";
  for (const std::string_view key : file.keys_below(kPrefix)) {
    if (!key.ends_with(kSuffix)) continue;
    if (const auto id = file.integer(key, 0, vocabulary - 1)) {
      const auto role = key.substr(kPrefix.size(), key.size() - kPrefix.size() - kSuffix.size());
      out.special_tokens.push_back({std::string(role), static_cast<TokenId>(*id)});
    }
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, System& system,
                                                 const LoadOptions& options) {
  ESP_ASSIGN(auto file, open_split(path, system));
  ESP_ASSIGN(const Architecture* architecture, find_architecture(file));
  ESP_ASSIGN(auto tokenizer, load_tokenizer(file));
  if (auto folder = cache_folder("grammar", system))
    grammar::keep_tables(tokenizer->vocabulary(), std::move(*folder), system);
  ESP_ASSIGN(auto chat_template, load_chat_template(file, tokenizer));
  const ShapeRequest request{static_cast<std::uint32_t>(tokenizer->size()), options.context};
  ESP_ASSIGN(auto shape, architecture->read_shape(file, request));
  ESP_ASSIGN(auto weights, architecture->read_weights(file, shape));
  auto facts = read_facts(file, tokenizer->size());
  return std::make_shared<LoadedModel>(std::move(file), std::move(shape), std::move(weights),
                                       std::move(facts), std::move(tokenizer),
                                       std::move(chat_template));
}

}  // namespace espalier::runtime
