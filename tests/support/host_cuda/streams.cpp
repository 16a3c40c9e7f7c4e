#include "streams.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using Work = std::function<void()>;

struct CUgraph_st {
  std::vector<Work> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<Work>> nodes;
};

struct CUstream_st {
  unsigned flags = 0;
  int device = host_cuda::current_number();
  std::deque<Work> queue;
  std::uint64_t enqueued = 0;
  std::uint64_t done = 0;
  // While it is being captured:
  std::unique_ptr<CUgraph_st> graph;
  bool spoiled = false;
  bool strict = false;  // for the thread that records
  std::thread::id recorder;
};

namespace host_cuda {
namespace {

using Clock = std::chrono::steady_clock;

// When an event was recorded last. Work that is enqueued may outlive the event.
struct Mark {
  cudaStream_t stream = nullptr;
  std::uint64_t ticket = 0;  // of the stream's work
  std::optional<Clock::time_point> reached;
};

struct Streams {
  std::recursive_mutex mutex;
  std::set<cudaStream_t> live;
  std::uint64_t graph_launches = 0;
};
Streams& streams() {
  static Streams it;
  return it;
}

// Runs a stream's work up to a ticket. A stream that is gone has done all of its own.
void finish_to(cudaStream_t stream, std::uint64_t ticket) {
  const std::lock_guard lock(streams().mutex);
  if (!streams().live.contains(stream)) return;
  if (is_lost(stream->device)) {
    stream->queue.clear();
    stream->done = stream->enqueued;
  }
  if (stream->queue.empty()) return;
  const DeviceAccess access;  // once for all of it
  while (stream->done < ticket && !stream->queue.empty()) {
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    ++stream->done;
    work();
  }
}

// What waiting says of the work that was waited for.
cudaError_t work_error() {
  const cudaError_t error = cudaPeekAtLastError();
  return error == cudaErrorLaunchFailure ? error : cudaSuccess;
}

}  // namespace

bool is_recording(cudaStream_t stream) { return stream != nullptr && stream->graph != nullptr; }

void enqueue(cudaStream_t stream, Work work) {
  const std::lock_guard lock(streams().mutex);
  if (stream == nullptr) {
    finish_blocking();
    work();
    return;
  }
  if (is_recording(stream)) {
    stream->graph->nodes.push_back(std::move(work));
    return;
  }
  stream->queue.push_back(std::move(work));
  ++stream->enqueued;
  if (is_early()) finish(stream);
}

void finish(cudaStream_t stream) {
  if (stream == nullptr) {
    finish_blocking();
  } else {
    finish_to(stream, stream->enqueued);
  }
}

void finish_all() {
  const std::lock_guard lock(streams().mutex);
  for (cudaStream_t const stream : streams().live) finish_to(stream, stream->enqueued);
}

void finish_blocking() {
  const std::lock_guard lock(streams().mutex);
  for (cudaStream_t const stream : streams().live) {
    if ((stream->flags & cudaStreamNonBlocking) == 0) finish_to(stream, stream->enqueued);
  }
}

cudaError_t enter_unrecorded() {
  const std::lock_guard lock(streams().mutex);
  bool forbidden = false;
  for (cudaStream_t const stream : streams().live) {
    if (!is_recording(stream) || !stream->strict ||
        stream->recorder != std::this_thread::get_id()) {
      continue;
    }
    stream->spoiled = true;
    forbidden = true;
  }
  return forbidden ? failed(cudaErrorStreamCaptureUnsupported) : enter();
}

std::uint64_t graph_launches() {
  const std::lock_guard lock(streams().mutex);
  return streams().graph_launches;
}

}  // namespace host_cuda

using host_cuda::enter;
using host_cuda::enter_unrecorded;
using host_cuda::failed;
using host_cuda::streams;

struct CUevent_st {
  unsigned flags = 0;
  std::shared_ptr<host_cuda::Mark> mark;  // null: never recorded
};

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  auto made = std::make_unique<CUstream_st>();
  made->flags = flags;
  const std::lock_guard lock(streams().mutex);
  streams().live.insert(made.get());
  *stream = made.release();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  const std::lock_guard lock(streams().mutex);
  host_cuda::finish(stream);
  streams().live.erase(stream);
  delete stream;
  return enter();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (host_cuda::is_recording(stream)) return enter_unrecorded();
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  host_cuda::finish(stream);
  return host_cuda::work_error();
}

cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }

cudaError_t cudaDeviceSynchronize() {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  host_cuda::finish_all();
  return host_cuda::work_error();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (event->mark == nullptr) return cudaSuccess;
  host_cuda::enqueue(stream, [from = event->mark->stream, ticket = event->mark->ticket] {
    host_cuda::finish_to(from, ticket);
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  *event = new CUevent_st{flags, nullptr};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  delete event;
  return enter();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  const auto mark = std::make_shared<host_cuda::Mark>();
  const std::lock_guard lock(streams().mutex);
  mark->stream = stream;
  mark->ticket = stream == nullptr ? 0 : stream->enqueued + 1;
  event->mark = mark;
  host_cuda::enqueue(stream, [mark] { mark->reached = host_cuda::Clock::now(); });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  if (event->mark != nullptr) host_cuda::finish_to(event->mark->stream, event->mark->ticket);
  return host_cuda::work_error();
}

cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (begin == nullptr || end == nullptr || begin->mark == nullptr || end->mark == nullptr ||
      ((begin->flags | end->flags) & cudaEventDisableTiming) != 0) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (!begin->mark->reached || !end->mark->reached) return failed(cudaErrorNotReady);
  *milliseconds =
      std::chrono::duration<float, std::milli>(*end->mark->reached - *begin->mark->reached).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (stream == nullptr) return failed(cudaErrorStreamCaptureUnsupported);
  const std::lock_guard lock(streams().mutex);
  if (host_cuda::is_recording(stream)) return failed(cudaErrorInvalidValue);
  stream->graph = std::make_unique<CUgraph_st>();
  stream->spoiled = false;
  stream->strict = mode != cudaStreamCaptureModeRelaxed;
  stream->recorder = std::this_thread::get_id();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(streams().mutex);
  const bool recorded = host_cuda::is_recording(stream);
  // Of a device that is lost, too, the recording ends.
  const auto made = recorded ? std::move(stream->graph) : nullptr;
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (!recorded) return failed(cudaErrorInvalidValue);
  if (stream->spoiled) return failed(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st(std::move(*made));
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  *executable = nullptr;
  if (graph == nullptr) return failed(cudaErrorInvalidValue);
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  *executable = new CUgraphExec_st{std::make_shared<const std::vector<Work>>(graph->nodes)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (executable == nullptr) return failed(cudaErrorInvalidValue);
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  const std::lock_guard lock(streams().mutex);
  ++streams().graph_launches;
  host_cuda::enqueue(stream, [nodes = executable->nodes] {
    for (const Work& work : *nodes) work();
  });
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (graph == nullptr) return failed(cudaErrorInvalidValue);
  delete graph;
  return enter();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (executable == nullptr) return failed(cudaErrorInvalidValue);
  delete executable;
  return enter();
}
