#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <istream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/system.h"
#include "cli/program.h"
#include "cli/standard_input.h"

namespace {

constexpr std::size_t kStackBytes = std::size_t{8} << 20;  // of each thread; taken as it is used

int run(int count, char** arguments) {
  using namespace espalier;
  cli::Interrupt interrupt;
  const cli::SignalWatcher watcher(interrupt);
  cli::DescriptorBuffer input(STDIN_FILENO, interrupt.flag());
  std::istream in(&input);
  cli::Console console = cli::process_console(in);
  cli::Context context{console, real_system(), interrupt};
  return cli::run_program(
      std::vector<std::string>(arguments + (count > 0 ? 1 : 0), arguments + count), context);
}

// Stacks are of one size, whatever `ulimit -s` says: all threads', and the command line runs on
// one.
void set_stack_size() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0)
    (void)pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int count, char** arguments) {
  // A reader that went away (`| head -1`) is an error to report, not the end: what a program
  // computed goes to its other files all the same.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that would pass `ulimit -f`: the write fails, and what is half written is removed.
  std::signal(SIGXFSZ, SIG_IGN);
  set_stack_size();
  int code = 0;
  try {
    std::thread([&] { code = run(count, arguments); }).join();
  } catch (const std::system_error&) {  // no room for another thread
    code = run(count, arguments);
  }
  return code;
}
