// Where the program's static shared memory is: thread-local variables of functions, of which the
// program has no others (HOST_CUDA_SHARED).
#pragma once

#include <cstddef>
#include <vector>

namespace host_cuda {

/// A variable: an offset into the thread-local storage of the program.
struct Shared {
  std::size_t offset;
  std::size_t size;
};

/// All of them, from the symbols of the program's file. Ends the process where it has none.
std::vector<Shared> shared_variables();

/// This thread's copy of the program's thread-local storage.
unsigned char* thread_storage();

}  // namespace host_cuda
