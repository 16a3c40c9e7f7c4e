#include <unistd.h>

#include <csignal>
#include <istream>
#include <string>
#include <vector>

#include "base/system.h"
#include "cli/program.h"
#include "cli/standard_input.h"

int main(int count, char** arguments) {
  using namespace espalier;
  // A reader that went away (`| head -1`) is an error to report, not the end: what a program
  // computed goes to its other files all the same.
  std::signal(SIGPIPE, SIG_IGN);
  cli::Interrupt interrupt;
  const cli::SignalWatcher watcher(interrupt);
  cli::DescriptorBuffer input(STDIN_FILENO, interrupt.flag());
  std::istream in(&input);
  cli::Console console = cli::process_console(in);
  cli::Context context{console, real_system(), interrupt};
  return cli::run_program(
      std::vector<std::string>(arguments + (count > 0 ? 1 : 0), arguments + count), context);
}
