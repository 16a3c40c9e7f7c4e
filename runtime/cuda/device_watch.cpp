#include "runtime/cuda/device_watch.h"

#include <utility>

namespace espalier::runtime::cuda {

void DeviceWatch::begin_step(std::uint32_t rows) {
  watching_ = steps_.size() < most_steps_;
  if (watching_) steps_.push_back({rows, marks_.size()});
}

Status DeviceWatch::mark(const Stream& stream) {
  ESP_ASSIGN(Event event, Event::create(true));
  ESP_TRY(event.record(stream));
  marks_.push_back(std::move(event));
  return {};
}

Result<TimeAtWork> DeviceWatch::of_steps(std::uint32_t rows) const {
  TimeAtWork out;
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) {
    const std::size_t next = steps_[i + 1].first;
    if (steps_[i].rows != rows || steps_[i + 1].rows != rows) continue;
    // What failed was not launched to its end.
    if (next >= marks_.size() || (next - steps_[i].first) % 2 != 0) continue;
    ++out.steps;
    for (std::size_t at = steps_[i].first; at < next; ++at) {
      ESP_ASSIGN(const double seconds, marks_[at + 1].seconds_since(marks_[at]));
      out.seconds += seconds;
      if ((at - steps_[i].first) % 2 == 0) out.at_work += seconds;
    }
  }
  return out;
}

}  // namespace espalier::runtime::cuda
