#include "runtime/model/hyper_parameters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace espalier::runtime {
namespace {

constexpr double kMostFactor = 1e6;
// 2^24 positions times this stay within what the sine takes (2^30).
constexpr float kLeastDivisor = 1.0F / 64;
constexpr float kMostDivisor = 1e9F;

std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace

bool HyperParameters::has(std::string_view name) {
  const std::string full = key(name);
  asked_.insert(full);
  return file_.has(full);
}

Result<std::uint64_t> HyperParameters::integer(std::string_view name, std::uint64_t least,
                                               std::uint64_t most) {
  allow(name);
  return file_.integer(key(name), least, most);
}

Result<std::uint64_t> HyperParameters::integer_or(std::string_view name, std::uint64_t fallback,
                                                  std::uint64_t least, std::uint64_t most) {
  if (!has(name)) return fallback;
  return integer(name, least, most);
}

Result<double> HyperParameters::number(std::string_view name, double least, double most) {
  allow(name);
  return file_.number(key(name), least, most);
}

Result<double> HyperParameters::number_or(std::string_view name, double fallback, double least,
                                          double most) {
  if (!has(name)) return fallback;
  return number(name, least, most);
}

tl::unexpected<Error> HyperParameters::refuse(ErrorCode code, std::string_view name,
                                              const std::string& message) const {
  return file_.refuse(code, "key " + shown(key(name)) + ": " + message);
}

Status HyperParameters::refuse_rest() const {
  for (const char* part : {"attention.", "rope."}) {
    for (const std::string_view found : file_.keys_below(key(part))) {
      if (asked_.contains(found)) continue;
      return file_.refuse(ErrorCode::kUnsupported,
                          "key " + shown(found) +
                              " is not one that this architecture uses here, and may change what "
                              "the model computes");
    }
  }
  return {};
}

// Variants that would compute something else with the same weights.
Status HyperParameters::refuse_variants() {
  ESP_ASSIGN(const auto experts,
             integer_or("expert_count", 0, 0, std::numeric_limits<std::uint32_t>::max()));
  if (experts != 0) {
    return refuse(ErrorCode::kUnsupported, "expert_count",
                  "mixtures of experts are not supported (" + runtime::number(experts) + ")");
  }
  ESP_ASSIGN(const bool causal, file_.boolean_or(key("attention.causal"), true));
  allow("attention.causal");
  if (!causal) {
    return refuse(ErrorCode::kUnsupported, "attention.causal",
                  "attention to later positions is not supported");
  }
  ESP_ASSIGN(const bool parallel, file_.boolean_or(key("use_parallel_residual"), false));
  if (parallel) {
    return refuse(ErrorCode::kUnsupported, "use_parallel_residual",
                  "parallel residuals are not supported");
  }
  // Writers put 0 or 1 where nothing is scaled or capped.
  for (const char* name :
       {"embedding_scale", "residual_scale", "logit_scale", "attn_logit_softcapping"}) {
    constexpr double kMost = std::numeric_limits<float>::max();
    ESP_ASSIGN(const auto factor, number_or(name, 0.0, -kMost, kMost));
    if (factor != 0.0 && factor != 1.0) {
      return refuse(ErrorCode::kUnsupported, name, "is not supported for this architecture");
    }
  }
  allow("attention.layer_norm_epsilon");  // of the other kind of norm; written beside rms_epsilon
  return {};
}

Status HyperParameters::read_heads(ModelShape& shape) {
  ESP_ASSIGN(const auto heads, integer("attention.head_count", 1, kMaxHeads));
  ESP_ASSIGN(const auto kv_heads, integer_or("attention.head_count_kv", heads, 1, heads));
  if (heads % kv_heads != 0) {
    return refuse(
        ErrorCode::kCorrupt, "attention.head_count_kv",
        runtime::number(kv_heads) + " does not divide the " + runtime::number(heads) + " heads");
  }
  const std::uint64_t width = shape.width;
  if (!has("attention.key_length") && width % heads != 0) {
    return refuse(ErrorCode::kCorrupt, "attention.head_count",
                  runtime::number(heads) + " does not divide the width " + runtime::number(width));
  }
  ESP_ASSIGN(const auto head_width,
             integer_or("attention.key_length", width / heads, 1, kMaxHeadWidth));
  ESP_ASSIGN(const auto value_width,
             integer_or("attention.value_length", head_width, 1, kMaxHeadWidth));
  if (value_width != head_width) {
    return refuse(ErrorCode::kUnsupported, "attention.value_length",
                  runtime::number(value_width) + " differs from the keys' " +
                      runtime::number(head_width) + ", which is not supported");
  }
  if (head_width > kMaxHeadWidth || head_width % 2 != 0) {
    return file_.refuse(ErrorCode::kCorrupt, "heads of width " + runtime::number(head_width) +
                                                 "; an even number up to " +
                                                 runtime::number(kMaxHeadWidth) + " is needed");
  }
  ESP_ASSIGN(const auto rope_width, integer_or("rope.dimension_count", head_width, 2, head_width));
  if (rope_width % 2 != 0) {
    return refuse(ErrorCode::kCorrupt, "rope.dimension_count",
                  runtime::number(rope_width) + " is odd; positions rotate pairs");
  }
  shape.heads = static_cast<std::uint32_t>(heads);
  shape.kv_heads = static_cast<std::uint32_t>(kv_heads);
  shape.head_width = static_cast<std::uint32_t>(head_width);
  shape.rope_width = static_cast<std::uint32_t>(rope_width);
  ESP_ASSIGN(const auto scale, number_or("attention.scale", 0.0, 0.0, 1e6));
  shape.query_scale =
      scale != 0.0 ? static_cast<float>(scale) : 1.0F / std::sqrt(static_cast<float>(head_width));
  return {};
}

Status HyperParameters::read_yarn(ModelShape& shape, std::uint64_t original_context) {
  Rope::Yarn yarn;
  yarn.original_context = static_cast<std::uint32_t>(original_context);
  ESP_ASSIGN(const auto fast, number_or("rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6));
  ESP_ASSIGN(const auto slow, number_or("rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6));
  if (fast < slow) {
    return refuse(ErrorCode::kCorrupt, "rope.scaling.yarn_beta_fast",
                  std::to_string(fast) + " is less than yarn_beta_slow, " + std::to_string(slow));
  }
  // -1 stands for "as usual".
  ESP_ASSIGN(const auto mix, number_or("rope.scaling.yarn_ext_factor", -1.0, -1.0, 1.0));
  ESP_ASSIGN(const auto attention, number_or("rope.scaling.yarn_attn_factor", 0.0, -1.0, 100.0));
  ESP_ASSIGN(const auto logarithm, number_or("rope.scaling.yarn_log_multiplier", 0.0, 0.0, 100.0));
  if (mix == 0.0) return {};  // nothing is extrapolated: linear scaling
  yarn.beta_fast = static_cast<float>(fast);
  yarn.beta_slow = static_cast<float>(slow);
  yarn.extrapolation = mix < 0.0 ? 1.0F : static_cast<float>(mix);
  yarn.attention = static_cast<float>(std::max(0.0, attention));
  yarn.log_multiplier = static_cast<float>(logarithm);
  // The file states the context of training; YaRN is there to go beyond it.
  const double reach =
      static_cast<double>(original_context) * static_cast<double>(shape.rope.factor);
  shape.context = std::max(
      shape.context, static_cast<std::uint32_t>(std::min(reach, static_cast<double>(kMaxContext))));
  shape.rope.yarn = yarn;
  return {};
}

Status HyperParameters::read_rope(ModelShape& shape, bool long_rope) {
  ESP_ASSIGN(const auto base, number_or("rope.freq_base", 10000.0, 1.0, 1e12));
  shape.rope.base = static_cast<float>(base);
  std::string_view type = "linear";
  if (has("rope.scaling.type")) {
    ESP_ASSIGN(type, file_.string(key("rope.scaling.type")));
  }
  // 0 stands for "not scaled"; the second key is the older name of the first.
  ESP_ASSIGN(const auto older, number_or("rope.scale_linear", 0.0, 0.0, kMostFactor));
  ESP_ASSIGN(auto factor, number_or("rope.scaling.factor", older, 0.0, kMostFactor));
  if (factor == 0.0) factor = 1.0;
  ESP_ASSIGN(const auto magnitude, number_or("rope.scaling.attn_factor", 1.0, 1e-3, 100.0));
  shape.rope.magnitude = static_cast<float>(magnitude);
  ESP_ASSIGN(const auto original,
             integer_or("rope.scaling.original_context_length", shape.context, 1, kMaxContext));
  allow("rope.scaling.finetuned");
  if (type == "none" || (type == "longrope" && long_rope)) return {};
  if (factor < 1.0) {
    return refuse(ErrorCode::kUnsupported, "rope.scaling.factor",
                  std::to_string(factor) + "; 1 and more is supported");
  }
  shape.rope.factor = static_cast<float>(factor);
  if (type == "yarn") return read_yarn(shape, original);
  if (type == "linear") return {};
  return refuse(ErrorCode::kUnsupported, "rope.scaling.type",
                "rope scaling " + shown(type) + " is not supported; none, linear, yarn" +
                    (long_rope ? ", longrope" : "") + " are");
}

Result<ModelShape> HyperParameters::read_shape(const ShapeRequest& request, bool long_rope) {
  const auto field = [this](const char* name, std::uint64_t most) {
    return integer(name, 1, most);
  };
  ESP_TRY(refuse_variants());
  ModelShape shape;
  shape.architecture = prefix_.substr(0, prefix_.size() - 1);
  ESP_ASSIGN(const auto layers, field("block_count", kMaxLayers));
  ESP_ASSIGN(const auto width, field("embedding_length", kMaxWidth));
  ESP_ASSIGN(const auto feed_forward, field("feed_forward_length", kMaxFeedForward));
  ESP_ASSIGN(const auto context, field("context_length", kMaxContext));
  shape.layers = static_cast<std::uint32_t>(layers);
  shape.width = static_cast<std::uint32_t>(width);
  shape.feed_forward = static_cast<std::uint32_t>(feed_forward);
  shape.context = static_cast<std::uint32_t>(context);
  ESP_TRY(read_heads(shape));
  ESP_TRY(read_rope(shape, long_rope));
  ESP_ASSIGN(const auto epsilon, number("attention.layer_norm_rms_epsilon", 1e-12, 1.0));
  shape.norm_epsilon = static_cast<float>(epsilon);
  ESP_ASSIGN(const auto cap, number_or("final_logit_softcapping", 0.0, 0.0, 1e6));
  shape.logit_cap = static_cast<float>(cap);
  ESP_ASSIGN(const auto stated, integer_or("vocab_size", request.vocabulary, 1, kMaxVocabulary));
  if (stated != request.vocabulary) {
    return refuse(ErrorCode::kCorrupt, "vocab_size",
                  runtime::number(stated) + ", but the tokenizer has " +
                      runtime::number(request.vocabulary) + " tokens");
  }
  shape.vocabulary = request.vocabulary;
  if (request.context > shape.context) {
    return file_.refuse(ErrorCode::kInvalid, "a context of " + runtime::number(request.context) +
                                                 " positions was asked for; the model has " +
                                                 runtime::number(shape.context));
  }
  if (request.context != 0) shape.context = request.context;
  return shape;
}

Status HyperParameters::read_window(ModelShape& shape) {
  ESP_ASSIGN(const auto window, integer_or("attention.sliding_window", 0, 0,
                                           std::numeric_limits<std::uint32_t>::max()));
  if (window == 0) return {};
  shape.window = static_cast<std::uint32_t>(std::min<std::uint64_t>(window, shape.context));
  shape.local.assign(shape.layers, true);
  shape.local_rope = shape.rope;
  return {};
}

Result<std::vector<float>> HyperParameters::divisors(const ModelShape& shape,
                                                     const std::string& name) const {
  std::vector<float> out;
  if (file_.find(name) == nullptr) return out;
  ESP_ASSIGN(const Tensor tensor, file_.tensor(name, shape.rope_width / 2, 1));
  if (tensor.type != TensorType::kF32) {
    return file_.refuse(ErrorCode::kUnsupported, "tensor " + shown(name) + ": factors of type " +
                                                     std::string(tensor_traits(tensor.type)->name) +
                                                     "; F32 is supported");
  }
  out.resize(tensor.columns);
  dequantise_row(tensor, 0, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(out[i] >= kLeastDivisor && out[i] <= kMostDivisor)) {
      return file_.refuse(ErrorCode::kCorrupt, "tensor " + shown(name) + ": factor " +
                                                   runtime::number(i) + ", " +
                                                   std::to_string(out[i]) + ", is not in " +
                                                   std::to_string(kLeastDivisor) + " to " +
                                                   std::to_string(kMostDivisor));
    }
  }
  return out;
}

}  // namespace espalier::runtime
