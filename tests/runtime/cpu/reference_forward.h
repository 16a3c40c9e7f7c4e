// The llama forward pass in double, straight from its definition: dequantised weights, no cache, no
// blocks. Slow, for tiny models.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "base/token.h"
#include "runtime/model/model.h"

namespace espalier::runtime::testing {

class ReferenceForward {
 public:
  explicit ReferenceForward(const Model& model) : model_(model) {}

  /// Log-probabilities after each of `ids`.
  [[nodiscard]] std::vector<std::vector<double>> logprobs(std::span<const TokenId> ids) const {
    const ModelShape& s = model_.shape();
    const ModelWeights& w = model_.weights();
    std::vector<std::vector<double>> x;
    for (const TokenId id : ids) {
      x.push_back(row(w.embedding, static_cast<std::size_t>(id)));
    }
    const std::size_t group = s.heads / s.kv_heads;
    for (const LayerWeights& layer : w.layers) {
      std::vector<std::vector<double>> keys;
      std::vector<std::vector<double>> values;
      for (std::size_t p = 0; p < ids.size(); ++p) {
        const auto normal = norm(x[p], layer.attention_norm);
        auto query = multiply(layer.query, normal);
        auto key = multiply(layer.key, normal);
        rotate(query, p);
        rotate(key, p);
        keys.push_back(std::move(key));
        values.push_back(multiply(layer.value, normal));
        std::vector<double> attended(query.size());
        for (std::size_t h = 0; h < s.heads; ++h) {
          const std::size_t at = h / group * s.head_width;
          std::vector<double> weights(p + 1);
          double total = 0;
          for (std::size_t t = 0; t <= p; ++t) {
            double dot = 0;
            for (std::size_t d = 0; d < s.head_width; ++d) {
              dot += query[h * s.head_width + d] * keys[t][at + d];
            }
            weights[t] = std::exp(dot / std::sqrt(static_cast<double>(s.head_width)));
            total += weights[t];
          }
          for (std::size_t t = 0; t <= p; ++t) {
            for (std::size_t d = 0; d < s.head_width; ++d) {
              attended[h * s.head_width + d] += weights[t] / total * values[t][at + d];
            }
          }
        }
        accumulate(x[p], multiply(layer.attention_output, attended));
      }
      for (auto& position : x) {
        const auto normal = norm(position, layer.feed_forward_norm);
        auto hidden = multiply(layer.gate, normal);
        const auto up = multiply(layer.up, normal);
        for (std::size_t i = 0; i < hidden.size(); ++i) {
          hidden[i] = hidden[i] / (1 + std::exp(-hidden[i])) * up[i];
        }
        accumulate(position, multiply(layer.down, hidden));
      }
    }
    std::vector<std::vector<double>> out;
    for (const auto& position : x) {
      auto logits = multiply(w.output, norm(position, w.output_norm));
      double total = 0;
      for (const double logit : logits) total += std::exp(logit);
      for (double& logit : logits) logit -= std::log(total);
      out.push_back(std::move(logits));
    }
    return out;
  }

 private:
  static std::vector<double> row(const Tensor& tensor, std::size_t index) {
    std::vector<float> out(tensor.columns);
    dequantise_row(tensor, index, out);
    return {out.begin(), out.end()};
  }
  static std::vector<double> multiply(const Tensor& tensor, const std::vector<double>& x) {
    std::vector<double> out(tensor.rows);
    for (std::size_t n = 0; n < tensor.rows; ++n) {
      const auto weights = row(tensor, n);
      for (std::size_t k = 0; k < x.size(); ++k) out[n] += weights[k] * x[k];
    }
    return out;
  }
  [[nodiscard]] std::vector<double> norm(const std::vector<double>& x, const Tensor& weight) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) +
                                        static_cast<double>(model_.shape().norm_epsilon));
    auto out = row(weight, 0);
    for (std::size_t i = 0; i < x.size(); ++i) out[i] *= x[i] * factor;
    return out;
  }
  void rotate(std::vector<double>& heads, std::size_t position) const {
    const ModelShape& s = model_.shape();
    for (std::size_t start = 0; start < heads.size(); start += s.head_width) {
      for (std::size_t i = 0; i < s.rope_width / 2; ++i) {
        const double angle =
            static_cast<double>(position) * std::pow(static_cast<double>(s.rope.base),
                                                     -2.0 * static_cast<double>(i) / s.rope_width);
        const double a = heads[start + 2 * i];
        const double b = heads[start + 2 * i + 1];
        heads[start + 2 * i] = a * std::cos(angle) - b * std::sin(angle);
        heads[start + 2 * i + 1] = a * std::sin(angle) + b * std::cos(angle);
      }
    }
  }
  static void accumulate(std::vector<double>& to, const std::vector<double>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  }

  const Model& model_;
};

}  // namespace espalier::runtime::testing
