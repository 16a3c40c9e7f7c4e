// How long work takes on a device.
#pragma once

#include <functional>

#include "base/result.h"

namespace espalier::runtime::cuda {

class Stream;

/// Seconds that what `work` enqueues on the stream takes; an error where it does not run.
using Stopwatch =
    std::function<Result<double>(const Stream& stream, const std::function<void()>& work)>;

/// By the device's own clock. Waits for the stream.
[[nodiscard]] Result<double> time_on_device(const Stream& stream,
                                            const std::function<void()>& work);

}  // namespace espalier::runtime::cuda
