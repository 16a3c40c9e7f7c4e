#include "cli/standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <ios>

namespace espalier::cli {
namespace {

constexpr int kSliceMs = 20;  // how long a signal may go unnoticed

}  // namespace

DescriptorBuffer::int_type DescriptorBuffer::underflow() {
  if (gptr() < egptr()) return traits_type::to_int_type(*gptr());
  while (!stop_) {
    pollfd ready{descriptor_, POLLIN, 0};
    const int count = ::poll(&ready, 1, kSliceMs);
    if (count == 0 || (count < 0 && errno == EINTR)) continue;
    const ssize_t n = ::read(descriptor_, bytes_.data(), bytes_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // A stream buffer says "bad" by throwing; the stream catches it and remembers.
    if (n < 0) throw std::ios_base::failure("cannot read");
    if (n == 0) break;
    setg(bytes_.data(), bytes_.data(), bytes_.data() + n);
    return traits_type::to_int_type(*gptr());
  }
  return traits_type::eof();
}

}  // namespace espalier::cli
