#include "grammar/disposal.h"

#include <unistd.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kLittle = std::size_t{1} << 20;  // bytes; freed in half a millisecond

// Nothing here is destroyed, so a thread may come last. A forked child has no such thread: it finds
// one under way for good, or none.
std::atomic<bool> under_way = false, at_end = false;
std::atomic<pid_t> owner = 0;  // whose thread it is

struct AtEnd {
  ~AtEnd() {
    at_end = true;
    if (owner == getpid()) under_way.wait(true);
  }
};

}  // namespace

void dispose(std::vector<std::unique_ptr<Automaton>> automata, std::size_t bytes) {
  if (bytes < kLittle || at_end || under_way.exchange(true)) return;
  static const AtEnd wait;  // what automata refer to was made earlier, and so ends behind it
  owner = getpid();
  try {
    std::thread([automata = std::move(automata)]() mutable {
      automata.clear();
      under_way = false;
      under_way.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    under_way = false;
  }
}

}  // namespace espalier::grammar
