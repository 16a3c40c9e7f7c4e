// The llama architecture: RMS norms, rotary positions over adjacent pairs, grouped-query attention,
// SwiGLU, and an output head of its own or tied to the embedding. Llama 1 to 3, SmolLM2, TinyLlama,
// Mistral 7B.
#pragma once

#include "runtime/model/architecture.h"

namespace espalier::runtime {

const Architecture& llama_architecture();

}  // namespace espalier::runtime
