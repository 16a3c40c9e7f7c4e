#include "runtime/cuda/stopwatch.h"

#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

Result<double> time_on_device(const Stream& stream, const std::function<void()>& work) {
  ESP_ASSIGN(const Event begin, Event::create(true));
  ESP_ASSIGN(const Event end, Event::create(true));
  ESP_TRY(begin.record(stream));
  work();
  ESP_TRY(end.record(stream));
  ESP_TRY(stream.wait("measuring"));
  return end.seconds_since(begin);
}

}  // namespace espalier::runtime::cuda
