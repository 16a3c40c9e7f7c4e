#include "runtime/tokenizer/pre_tokenizer.h"

#include <string>

namespace espalier::runtime {
namespace {

constexpr PreTokenizer kAll[] = {
    {"gpt-2", internal::split_gpt2},
    {"smollm", internal::split_smollm},
    {"starcoder", internal::split_smollm},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& it : kAll) {
    if (it.name == name) return &it;
  }
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const PreTokenizer& it : kAll) names += (names.empty() ? "" : ", ") + std::string(it.name);
  return names;
}

}  // namespace espalier::runtime
