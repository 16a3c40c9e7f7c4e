#include "runtime/draft_backend.h"

#include <utility>

#include "runtime/cpu/kv_pool.h"
#include "runtime/tokenizer/same_tokens.h"

namespace espalier::runtime {

Result<std::unique_ptr<Backend>> load_draft(const std::string& path, const Model& model,
                                            std::uint32_t pages, BackendOptions options,
                                            System& system) {
  ESP_ASSIGN(const auto draft, Model::load(path, system));
  if (const auto difference = token_difference(*model.tokenizer(), *draft->tokenizer())) {
    return fail(ErrorCode::kInvalid, path + " cannot draft for " + model.path() + ": " +
                                         *difference +
                                         "; a draft model has the very tokens of the model");
  }
  // Those were of the other model.
  options.gpu_layers.reset();
  options.tensor_parallel = 0;
  options.fp8_calibration = nullptr;
  options.kv_bytes = pages * cpu::KvPool::page_bytes(draft->shape(), options.kv_type);
  ESP_ASSIGN(auto made, create_backend(draft, options, system));
  return std::move(made.backend);
}

}  // namespace espalier::runtime
