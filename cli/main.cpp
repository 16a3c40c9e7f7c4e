#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <istream>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/system.h"
#include "cli/program.h"
#include "cli/standard_input.h"

namespace espalier {
namespace {

constexpr std::size_t kLeastStack = std::size_t{1} << 20;

int run(int count, char** arguments) {
  cli::Interrupt interrupt;
  const cli::SignalWatcher watcher(interrupt);
  cli::DescriptorBuffer input(STDIN_FILENO, interrupt.flag());
  std::istream in(&input);
  cli::Console console = cli::process_console(in);
  cli::Context context{console, real_system(), interrupt};
  return cli::run_program(
      std::vector<std::string>(arguments + (count > 0 ? 1 : 0), arguments + count), context);
}

// Memory that ends on a thread of the engine or of a program ends the process: with an error, as it
// does on the command line's own.
[[noreturn]] void end() {
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    constexpr std::string_view kMessage = "error: out of memory\n";
    (void)!::write(STDERR_FILENO, kMessage.data(), kMessage.size());
    ::_exit(cli::kFailed);
  } catch (...) {
  }
  std::abort();
}

// Where `ulimit -s` leaves less than kLeastStack: threads have that much all the same, and the
// command line runs on one.
bool stack_is_small() {
  rlimit most{};
  return ::getrlimit(RLIMIT_STACK, &most) == 0 && most.rlim_cur < kLeastStack;
}

void run_on_a_stack_of_its_own(const std::function<void()>& work) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return work();
  if (pthread_attr_setstacksize(&attributes, kLeastStack) == 0)
    (void)pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  std::thread(work).join();
}

}  // namespace
}  // namespace espalier

int main(int count, char** arguments) {
  // A reader that went away (`| head -1`) is an error to report, not the end: what a program
  // computed goes to its other files all the same.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that would pass `ulimit -f`: the write fails, and what is half written is removed.
  std::signal(SIGXFSZ, SIG_IGN);
  std::set_terminate(espalier::end);
  int code = 0;
  const auto work = [&] { code = espalier::run(count, arguments); };
  if (espalier::stack_is_small()) {
    espalier::run_on_a_stack_of_its_own(work);
  } else {
    work();
  }
  return code;
}
