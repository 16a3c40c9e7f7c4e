// The vectors of a layer on the device; null where the model has no such.
#pragma once

namespace espalier::runtime::cuda {

struct LayerVectors {
  const float* attention_norm = nullptr;
  const float* feed_forward_norm = nullptr;
  const float* query_bias = nullptr;
  const float* key_bias = nullptr;
  const float* value_bias = nullptr;
  const float* query_norm = nullptr;
  const float* key_norm = nullptr;
  const float* post_attention_norm = nullptr;
  const float* post_feed_forward_norm = nullptr;
};

}  // namespace espalier::runtime::cuda
