// Rounding to nearest and no flushing of subnormals while it lives: the contract's arithmetic,
// whatever the calling program has set.
#pragma once

#include <cfenv>

namespace espalier::runtime::cpu {

class DefaultRounding {
 public:
  DefaultRounding() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultRounding() { std::fesetenv(&saved_); }
  DefaultRounding(const DefaultRounding&) = delete;
  DefaultRounding& operator=(const DefaultRounding&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace espalier::runtime::cpu
