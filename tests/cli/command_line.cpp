#include "tests/cli/command_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "cli/program.h"

namespace espalier::cli {

namespace fs = std::filesystem;

Ran run_line(std::vector<std::string> arguments, std::string input, bool terminal) {
  std::istringstream in(std::move(input));
  std::ostringstream out;
  std::ostringstream err;
  Console::Terminals terminals;
  terminals.out = terminals.err = terminal;
  Console console(in, out, err, terminals);
  Interrupt interrupt;
  Context context{console, real_system(), interrupt};
  Ran ran;
  ran.code = run_program(std::move(arguments), context);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

namespace {
bool has_content(const std::string& path) {
  std::error_code none;
  const auto size = std::filesystem::file_size(path, none);
  return !none && size > 0;
}
}  // namespace

std::string program_path() { return ESPALIER_PROGRAM; }

Ran run_built(const std::vector<std::string>& arguments, int signal,
              std::chrono::milliseconds after, const std::string& once, int times) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  std::array<int, 2> in{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0 ||
      ::pipe2(err.data(), O_CLOEXEC) != 0)
    return {};
  const std::string program = program_path();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  std::thread killer;
  if (signal != 0) {
    killer = std::thread([child, signal, after, once, times] {
      for (int i = 0; i < 60'000 && !once.empty() && !has_content(once); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::this_thread::sleep_for(after);
      for (int i = 0; i < times; ++i) {
        // Each is delivered: those that are pending together would be one.
        if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ::kill(child, signal);
      }
    });
  }
  Ran ran;
  std::array<pollfd, 2> ends{pollfd{out[0], POLLIN, 0}, pollfd{err[0], POLLIN, 0}};
  for (int open = 2; open > 0;) {
    if (::poll(ends.data(), ends.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t n = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (n <= 0) {
        ::close(ends[i].fd);
        ends[i].fd = -1;
        --open;
      } else {
        (i == 0 ? ran.out : ran.err).append(buffer.data(), static_cast<std::size_t>(n));
      }
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (killer.joinable()) killer.join();
  ::close(in[0]);
  ::close(in[1]);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : kKilledBy + WTERMSIG(status);
  return ran;
}

bool without_model() {
  const char* models = std::getenv("ESPALIER_MODELS");
  const char* home = std::getenv("HOME");
  const fs::path folder = models != nullptr
                              ? fs::path(models)
                              : fs::path(home != nullptr ? home : "") / ".cache/espalier/models";
  return !fs::exists(folder / "SmolLM2-135M-Instruct.Q4_1.gguf");
}

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "espalier-cli-XXXXXX").string();
  const char* made = ::mkdtemp(name.data());
  path_ = made != nullptr ? made : "";
}

Folder::~Folder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

std::string Folder::path(const std::string& name) const {
  return name.empty() ? path_ : path_ + "/" + name;
}

std::string Folder::write(const std::string& name, std::string_view content) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

std::string Folder::read(const std::string& name) const {
  std::ifstream file(path(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace espalier::cli
