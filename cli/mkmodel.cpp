// espalier mkmodel: a model file of random weights, by its shape.
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/suggest.h"
#include "runtime/model/hyper_parameters.h"
#include "runtime/model/random_model.h"

namespace espalier::cli {
namespace {

std::string shape_names() {
  std::string names;
  for (const runtime::RandomShape& shape : runtime::known_shapes())
    names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return names;
}

class MakeModel final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("OUT", path_, "The .gguf file to make; a file that is there is replaced")
        ->required()
        ->type_name("");
    add_text(app, "--like", like_, "SHAPE",
             "The shape of a known model, which the options below change: " + shape_names());
    add_text(app, "--arch", architecture_, "A", "Architecture: llama, qwen2, qwen3, gemma3, …");
    add_integer(app, "--layers", layers_, 1, runtime::kMaxLayers, "Layers");
    add_integer(app, "--width", width_, 1, runtime::kMaxWidth, "Width of the embedding");
    add_integer(app, "--heads", heads_, 1, runtime::kMaxHeads, "Heads of queries");
    add_integer(app, "--kv-heads", kv_heads_, 1, runtime::kMaxHeads, "Heads of keys and values");
    add_integer(app, "--head-width", head_width_, 2, runtime::kMaxHeadWidth,
                "Width of a head [width / heads, or the shape's]");
    add_integer(app, "--feed-forward", feed_forward_, 1, runtime::kMaxFeedForward,
                "Width of the feed-forward blocks");
    add_integer(app, "--vocab", vocabulary_, 259, runtime::kMaxVocabulary, "Tokens");
    add_text(app, "--vocab-from", vocabulary_from_, "M",
             "Take tokenizer and chat template of this model (a name or a .gguf file)");
    add_integer(app, "--context", context_, 1, runtime::kMaxContext, "Positions");
    add_text(app, "--type", type_, "T",
             "Tensor type of the matrices: q4_1, q8_0, bf16, …, or q4_k_m [q4_1]");
    add_integer(app, "--seed", seed_, 0, std::int64_t{1} << 53, "The weights' seed [1]");
  }

  Result<int> run(Context& context) override {
    runtime::RandomModel model;
    if (like_) {
      const runtime::RandomShape* known = nullptr;
      for (const auto& shape : runtime::known_shapes())
        if (shape.name == *like_) known = &shape;
      if (known == nullptr)
        return usage_error(context, "mkmodel",
                           "no shape '" + *like_ + "'; there are " + shape_names());
      model.shape = *known;
    } else if (!layers_ || !width_ || !heads_ || !feed_forward_) {
      return usage_error(context, "mkmodel",
                         "--like SHAPE, or --layers, --width, --heads and --feed-forward");
    }
    apply(model.shape);
    auto types = runtime::RandomTypes::parse(type_.value_or("q4_1"));
    if (!types) return usage_error(context, "mkmodel", types.error().message);
    model.types = *types;
    model.seed = static_cast<std::uint64_t>(seed_.value_or(1));
    model.threads = context.system.processors();
    std::optional<runtime::Gguf> vocabulary;
    if (vocabulary_from_) {
      if (vocabulary_) {
        return usage_error(context, "mkmodel",
                           "--vocab-from has as many tokens as its model: --vocab goes without it");
      }
      ModelOptions from;
      from.model = *vocabulary_from_;
      // Loaded, so that what is copied is known to be whole.
      ESP_ASSIGN(const auto loaded, load_model(from, context));
      ESP_ASSIGN(vocabulary, runtime::Gguf::open(loaded->path(), context.system));
      model.vocabulary = &*vocabulary;
    }
    auto plan = model.plan();
    if (!plan) return usage_error(context, "mkmodel", plan.error().message);
    const std::uint64_t total = plan->bytes();
    {
      ProgressLine line(context.console, context.system);
      ESP_TRY(plan->write(path_, context.system, [&](std::uint64_t done) {
        line.show("writing", done, total, human_bytes(done) + " of " + human_bytes(total));
        return !context.interrupt.requested();
      }));
    }
    context.console.print_text(path_);
    return kDone;
  }

 private:
  void apply(runtime::RandomShape& shape) const {
    const auto set = [](std::uint32_t& target, const std::optional<std::int64_t>& value) {
      if (value) target = static_cast<std::uint32_t>(*value);
      return value.has_value();
    };
    const bool other =
        architecture_ || layers_ || width_ || heads_ || kv_heads_ || head_width_ || feed_forward_;
    if (other) shape.name = {};
    if (architecture_) shape.architecture = *architecture_;
    set(shape.layers, layers_);
    const bool resized = set(shape.width, width_);
    const bool reheaded = set(shape.heads, heads_);
    if (!set(shape.kv_heads, kv_heads_) && (reheaded || shape.kv_heads == 0))
      shape.kv_heads = shape.heads;
    if (!set(shape.head_width, head_width_) && (resized || reheaded || shape.head_width == 0))
      shape.head_width = shape.width / shape.heads;
    set(shape.feed_forward, feed_forward_);
    if (!set(shape.vocabulary, vocabulary_) && shape.vocabulary == 0) shape.vocabulary = 32768;
    if (!set(shape.context, context_) && shape.context == 0) shape.context = 8192;
    if (shape.architecture == "gemma3" && shape.window == 0) shape.window = 512;
    if (shape.architecture != "gemma3") shape.window = 0;
  }

  std::string path_;
  std::optional<std::string> like_, architecture_, vocabulary_from_, type_;
  std::optional<std::int64_t> layers_, width_, heads_, kv_heads_, head_width_, feed_forward_,
      vocabulary_, context_, seed_;
};

}  // namespace

std::unique_ptr<Command> make_mkmodel() { return std::make_unique<MakeModel>(); }

}  // namespace espalier::cli
