// Queues of work behind the shim's runtime_api: what is enqueued on a stream runs when somebody
// waits for it, and not before, so that code which forgets to wait reads what was there before.
// (With an order seed some of it runs earlier, since a device may be quick.) The null stream waits
// for all other streams but those made with cudaStreamNonBlocking, and works at once.
//
// Recording: work on a stream that is being captured becomes a node of the graph instead. What CUDA
// forbids meanwhile (allocating, waiting) is an error and spoils the recording.
#pragma once

#include <functional>

#include "runtime_api.h"

namespace host_cuda {

/// Counts a call to the runtime: the error that it must give where the device is lost or there is
/// none. Sets the last error.
cudaError_t enter();
/// Sets the last error, where it is one.
cudaError_t failed(cudaError_t error);

/// Enqueues work, or records it.
void enqueue(cudaStream_t stream, std::function<void()> work);
[[nodiscard]] bool is_recording(cudaStream_t stream);
/// Runs all that is enqueued on a stream.
void finish(cudaStream_t stream);
/// On all streams; or on those alone that the null stream waits for.
void finish_all();
void finish_blocking();
/// enter(), for calls that must not be made while this thread records.
cudaError_t enter_unrecorded();
[[nodiscard]] bool is_lost(int number);
/// The device that is current on this thread.
[[nodiscard]] int current_number();

}  // namespace host_cuda
