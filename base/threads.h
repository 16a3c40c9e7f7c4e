// Threads for work that any number of them can do.
#pragma once

#include <cstddef>
#include <system_error>
#include <vector>

namespace espalier {

/// Starts `count` threads that run `work`, or as many as the system has room for: none, perhaps.
template <class Thread, class Work>
void start_threads(std::vector<Thread>& threads, std::size_t count, const Work& work) {
  threads.reserve(count);
  try {
    while (threads.size() < count) threads.emplace_back(work);
  } catch (const std::system_error&) {  // fewer do it
  }
}

}  // namespace espalier
