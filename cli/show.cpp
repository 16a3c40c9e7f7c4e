// espalier show: what a model file holds, and what memory it takes.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/hyper_parameters.h"
#include "runtime/model/weights.h"

namespace espalier::cli {
namespace {

std::string_view scaling(const runtime::Rope& rope) {
  if (rope.yarn) return "yarn";
  if (!rope.divisors.empty()) return "factors";
  return rope.factor != 1.0F ? "linear" : "none";
}

// 134515008 as "134.5 M".
std::string human_count(std::uint64_t count) {
  char text[32];
  if (count >= 1'000'000'000) {
    std::snprintf(text, sizeof text, "%.2f G", static_cast<double>(count) / 1e9);
  } else {
    std::snprintf(text, sizeof text, "%.1f M", static_cast<double>(count) / 1e6);
  }
  return text;
}

std::string short_number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

class Show final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("MODEL", model_.model,
                   "A model's name (see: espalier list) or the path of a .gguf file")
        ->type_name("")
        ->capture_default_str();
    add_integer(app, "--context", context_, 1, runtime::kMaxContext,
                "Tokens of the text whose memory is shown [all that the model has]");
    add_kv_type(app, kv_type_);
    app.add_flag("--json", json_, "Print one JSON object (fields: docs/cli.md)");
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(const auto model, load_model(model_, context));
    const std::uint32_t most = model->shape().context;
    const auto tokens = static_cast<std::uint32_t>(context_.value_or(most));
    if (tokens > most) {
      return fail(ErrorCode::kInvalid, "--context " + std::to_string(tokens) +
                                           ": the model has positions for " + std::to_string(most) +
                                           " tokens");
    }
    ESP_ASSIGN(const runtime::KvType kv_type, kv_type_of(kv_type_));
    const auto shares = runtime::weight_shares(model->weights());
    const Need need{tokens, runtime::CpuBackend::memory(*model, tokens, kv_type)};
    if (json_) {
      context.console.print_json(as_json(*model, shares, need));
    } else {
      print(*model, shares, need, context.console);
    }
    return kDone;
  }

 private:
  using Shares = std::vector<runtime::WeightShare>;
  struct Need {
    std::uint32_t tokens = 0;
    runtime::CpuMemory memory;
    [[nodiscard]] std::uint64_t total() const { return memory.weights + memory.keys_values; }
  };

  static std::uint64_t local_layers(const runtime::ModelShape& shape) {
    return static_cast<std::uint64_t>(std::count(shape.local.begin(), shape.local.end(), true));
  }
  static std::uint64_t total_weights(const Shares& shares) {
    std::uint64_t weights = 0;
    for (const auto& share : shares) weights += share.weights;
    return weights;
  }
  static std::uint64_t total_bytes(const Shares& shares) {
    std::uint64_t bytes = 0;
    for (const auto& share : shares) bytes += share.bytes;
    return bytes;
  }
  static double share_of(const runtime::WeightShare& share, const Shares& shares) {
    return static_cast<double>(share.bytes) / static_cast<double>(total_bytes(shares));
  }
  static std::string text_of(const runtime::Model& model, TokenId id) {
    return model.tokenizer()->decode({&id, 1}, true);
  }

  static Json as_json(const runtime::Model& model, const Shares& shares, const Need& need) {
    const runtime::ModelShape& shape = model.shape();
    const runtime::ModelFacts& facts = model.facts();
    const runtime::Rope& rope = shape.rope;
    Json positions{{"base", rope.base}, {"scaling", scaling(rope)}, {"factor", rope.factor}};
    if (local_layers(shape) > 0) {
      positions["window"] = shape.window;
      positions["local_layers"] = local_layers(shape);
      positions["local_base"] = shape.local_rope.base;
    }
    Json types = Json::array();
    for (const auto& share : shares) {
      types.push_back({{"type", runtime::tensor_traits(share.type)->name},
                       {"weights", share.weights},
                       {"bytes", share.bytes},
                       {"share", share_of(share, shares)}});
    }
    Json special = Json::object();
    for (const auto& token : facts.special_tokens) {
      special[token.role] = {{"id", token.id}, {"text", text_of(model, token.id)}};
    }
    return {{"name", facts.name},
            {"file", model.path()},
            {"files", facts.files},
            {"bytes", model.file_bytes()},
            {"architecture", shape.architecture},
            {"layers", shape.layers},
            {"width", shape.width},
            {"heads", shape.heads},
            {"kv_heads", shape.kv_heads},
            {"head_width", shape.head_width},
            {"feed_forward", shape.feed_forward},
            {"vocabulary", shape.vocabulary},
            {"weights", total_weights(shares)},
            {"context", shape.context},
            {"positions", std::move(positions)},
            {"types", std::move(types)},
            {"tokenizer",
             {{"family", facts.tokenizer},
              {"pre", facts.pre_tokenizer},
              {"tokens", model.tokenizer()->size()}}},
            {"template", model.chat_template()->family()},
            {"special", std::move(special)},
            {"memory",
             {{"context", need.tokens},
              {"weights", need.memory.weights},
              {"keys_values", need.memory.keys_values},
              {"total", need.total()}}}};
  }

  static void print(const runtime::Model& model, const Shares& shares, const Need& need,
                    Console& console) {
    const runtime::ModelShape& shape = model.shape();
    const runtime::ModelFacts& facts = model.facts();
    const auto line = [&](std::string label, const std::string& text) {
      label.resize(std::max<std::size_t>(label.size() + 1, 16), ' ');
      console.print_text(label + text);
    };
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    if (!facts.name.empty()) console.print_text(printable(facts.name));
    line("file", model.path() + " (" + human_bytes(model.file_bytes()) +
                     (facts.files > 1 ? ", " + number(facts.files) + " files)" : ")"));
    line("architecture", shape.architecture + ", " + human_count(total_weights(shares)) +
                             " weights: " + number(shape.layers) + " layers of width " +
                             number(shape.width) + ", feed-forward " + number(shape.feed_forward));
    line("attention", number(shape.heads) + " heads of " + number(shape.head_width) + ", " +
                          number(shape.kv_heads) + " of keys and values" + window_text(shape));
    line("context", number(shape.context) + " tokens; " + rope_text(shape));
    std::string types;
    for (const auto& share : shares) {
      types += (types.empty() ? "" : ", ") + std::string(runtime::tensor_traits(share.type)->name) +
               " " + percent(share_of(share, shares));
    }
    line("types", types + " of the bytes");
    line("tokenizer",
         printable(facts.tokenizer) +
             (facts.pre_tokenizer.empty() ? "" : "/" + printable(facts.pre_tokenizer)) + ", " +
             number(model.tokenizer()->size()) + " tokens");
    line("template", std::string(model.chat_template()->family()));
    std::string special;
    for (const auto& token : facts.special_tokens) {
      special += (special.empty() ? "" : ", ") + printable(token.role) + " " + number(token.id) +
                 " " + printable(text_of(model, token.id));
    }
    if (!special.empty()) line("special tokens", special);
    line("memory", human_bytes(need.total()) + " with a text of " + number(need.tokens) +
                       " tokens: weights " + human_bytes(need.memory.weights) +
                       ", keys and values " + human_bytes(need.memory.keys_values));
  }

  static std::string window_text(const runtime::ModelShape& shape) {
    if (local_layers(shape) == 0) return "";
    return "; " + std::to_string(local_layers(shape)) + " of " + std::to_string(shape.layers) +
           " layers see the last " + std::to_string(shape.window) + " tokens";
  }
  static std::string rope_text(const runtime::ModelShape& shape) {
    std::string text = "rotary base " + short_number(shape.rope.base);
    if (local_layers(shape) > 0 && shape.local_rope.base != shape.rope.base) {
      text += " (" + short_number(shape.local_rope.base) + " within the window)";
    }
    const std::string_view kind = scaling(shape.rope);
    if (kind == "factors") text += ", scaled by the file's factors";
    if (kind == "linear") text += ", scaled by " + short_number(shape.rope.factor);
    if (kind == "yarn") {
      text += ", YaRN by " + short_number(shape.rope.factor) + " from " +
              std::to_string(shape.rope.yarn->original_context);
    }
    return text;
  }

  ModelOptions model_;
  std::optional<std::int64_t> context_;
  std::optional<std::string> kv_type_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_show() { return std::make_unique<Show>(); }

}  // namespace espalier::cli
