// The process's stdin as a stream that Ctrl-C ends: a read that waits for a terminal or a pipe
// would otherwise outlast the signal.
#pragma once

#include <atomic>
#include <cstddef>
#include <istream>
#include <streambuf>
#include <vector>

namespace espalier::cli {

/// Bytes of a file descriptor; at its end, or once `stop` is set, there are no more. Does not own
/// the descriptor.
class DescriptorBuffer final : public std::streambuf {
 public:
  DescriptorBuffer(int descriptor, const std::atomic<bool>& stop)
      : descriptor_(descriptor), stop_(stop) {}

 protected:
  int_type underflow() override;

 private:
  int descriptor_;
  const std::atomic<bool>& stop_;
  std::vector<char> bytes_ = std::vector<char>(std::size_t{1} << 16);
};

}  // namespace espalier::cli
