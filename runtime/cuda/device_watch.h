// When a device is at work and when it waits: what a step launches is put between events of the
// device's own clock, so that what is left of the time is known for waiting.
//
// A step launches its layers, its head and its choices. Between them, and between two steps, a
// device waits for the host: for the input, for masks, for ids that have to be there. What is
// launched together counts as work from its first kernel to its last, so what one kernel waits for
// the one before it is work here. Copies of a step's input and of its ids are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

/// Of steps that follow each other, from the begin of each to the begin of the next.
struct TimeAtWork {
  std::uint64_t steps = 0;
  double seconds = 0;
  double at_work = 0;  // of them
  [[nodiscard]] double outside() const { return seconds > 0 ? 1 - at_work / seconds : 0; }
};

class DeviceWatch {
 public:
  /// Looks at so many steps; what comes after them is not watched.
  explicit DeviceWatch(std::size_t most_steps) : most_steps_(most_steps) {}

  /// A step begins, of so many rows. The engine's thread.
  void begin_step(std::uint32_t rows);
  /// What is launched together: f() (a Status) enqueues it on the stream. `watch` may be null.
  template <class F>
  [[nodiscard]] static Status launch(DeviceWatch* watch, const Stream& stream, F&& f) {
    if (watch == nullptr || !watch->watching_) return f();
    ESP_TRY(watch->mark(stream));
    ESP_TRY(f());
    return watch->mark(stream);
  }

  /// Of the steps of so many rows that such a step followed. After the last one's end.
  [[nodiscard]] Result<TimeAtWork> of_steps(std::uint32_t rows) const;

 private:
  struct Step {
    std::uint32_t rows = 0;
    std::size_t first = 0;  // of its marks
  };
  [[nodiscard]] Status mark(const Stream& stream);

  std::size_t most_steps_;
  bool watching_ = false;
  std::vector<Step> steps_;
  std::vector<Event> marks_;  // begin and end of all that was launched, in order
};

}  // namespace espalier::runtime::cuda
