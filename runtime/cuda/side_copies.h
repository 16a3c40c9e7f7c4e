// Copies to the device that do not wait for what the steps' stream has to do: what comes while a
// step runs, masks above all, is there when the step comes to it.
//
// They go to memory that nothing reads before join(), in order. Used by one thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class SideCopies {
 public:
  [[nodiscard]] static Result<SideCopies> create() {
    SideCopies out;
    ESP_ASSIGN(out.stream_, Stream::create());
    ESP_ASSIGN(out.copied_, Event::create(false));
    return out;
  }

  [[nodiscard]] Status copy_in(void* to, const void* from, std::uint64_t bytes) const {
    return stream_.copy_in(to, from, bytes);
  }
  /// What the steps' stream is given from now on waits for the copies so far; the host does not.
  [[nodiscard]] Status join(const Stream& steps) const {
    ESP_TRY(copied_.record(stream_));
    return copied_.hold(steps);
  }

 private:
  Stream stream_;
  Event copied_;
};

}  // namespace espalier::runtime::cuda
