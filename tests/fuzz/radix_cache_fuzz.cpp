// Bytes as operations on the radix cache, four a piece, against the naive model: see
// tests/support/radix_model.h.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/support/radix_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier::radix_cache::model;
  if (size < 1) return 0;
  Setting setting;
  setting.pages = 1u << (data[0] % 8);
  setting.alphabet = 2 + (data[0] >> 3) % 3;
  setting.hash_mask = (data[0] & 0x80) != 0 ? 0 : ~std::uint64_t{0};
  if ((data[0] & 0x40) != 0) setting.retained = setting.pages / 4;
  std::vector<Operation> operations;
  for (std::size_t i = 1; i + 4 <= size && operations.size() < 400; i += 4) {
    operations.push_back({data[i], data[i + 1], data[i + 2], data[i + 3]});
  }
  if (const auto broken = Model(setting).run(operations)) {
    std::fprintf(stderr, "%s\n%s", broken->c_str(), print(operations).c_str());
    std::abort();
  }
  return 0;
}
