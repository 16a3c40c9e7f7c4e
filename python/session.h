// What a Python Engine holds: one model with its backend, engine and runner, and the runs that go
// on.
//
// Python's threads never enter the engine thread, and the engine thread never takes the
// interpreter's lock: events wait in a Run's own queue until a Python thread fetches them with the
// lock released. Only a run's end and its Python tools take the lock, on threads of their own. A
// Session outlives its runs: closing it cancels them and waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dsl/runner.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/tree_text.h"
#include "runtime/model/model.h"

namespace espalier::python {

struct SessionOptions {
  std::string model = "smollm2";
  unsigned threads = 0;        // 0: as many as processors, which are the most
  std::uint64_t kv_bytes = 0;  // 0: the default pool
  bool cache = true;
  std::string draft = {};                        // a smaller model of the same tokens; empty: none
  double retained_share = 0.25;                  // of the pool, that retention may keep
  std::string device = "auto";                   // as runtime::Device::parse has it
  std::string kv_type = "f16";                   // as runtime::parse_kv_type has it
  std::string numerics = "exact";                // as runtime::parse_numerics has it
  std::optional<std::uint32_t> gpu_layers = {};  // as runtime::BackendOptions has it
  std::uint32_t tensor_parallel = 0;             // the same
  std::uint64_t host_kv_bytes = 0;               // of all engines together
  std::uint32_t data_parallel = 1;               // engines side by side
  std::string kv_folder = {};                    // computed prompts are kept there; empty: nowhere
  std::uint32_t context = 0;                     // positions to use at most; 0: all of the model's
  std::string calibration = {};                  // of numerics fp8: a file; empty: none
};

/// A complete JSON node of a hole's value, or (at the end) the whole outcome.
struct Event {
  enum class Kind : std::uint8_t { kPartial, kDrop, kValue, kError };
  Kind kind = Kind::kPartial;
  std::string path;     // kPartial, kDrop: the hole
  std::string json;     // kPartial, kValue: the value
  bool done = false;    // kPartial: the hole, or the part of its value, is complete
  std::string code;     // kError
  std::string message;  // kError; kDrop: that turns were dropped
  std::string rendered;
};

/// One run of a program: its events, in order, the last one kValue or kError. Safe from any thread.
class Run final : public dsl::Observer {
 public:
  Run(bool partials, std::unique_ptr<dsl::ToolHost> tools)
      : partials_(partials),
        tools_(std::move(tools)),
        cancellation_(std::make_shared<dsl::Cancellation>()) {}

  void cancel() { cancellation_->cancel(); }
  /// The next event; nothing where none came in time.
  [[nodiscard]] std::optional<Event> next(std::chrono::milliseconds timeout);

  [[nodiscard]] bool wants_partials() const override { return partials_; }
  void on_partial(const dsl::HoleEvent& hole, const Json& value) override;
  void on_node(const dsl::HoleEvent& hole, std::string_view path, const Json& value) override;
  void on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) override;
  void on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) override;

 private:
  friend class Session;
  void push(Event event);

  const bool partials_;
  std::unique_ptr<dsl::ToolHost> tools_;
  std::shared_ptr<dsl::Cancellation> cancellation_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
};

class Session {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Session>> open(const SessionOptions& options);
  ~Session() { close(); }

  /// Starts a run. `on_end` is called once, on an executor's thread, after the last event is in the
  /// queue.
  [[nodiscard]] std::shared_ptr<Run> start(dsl::ProgramRef program, std::string gen, Json arguments,
                                           dsl::RunOptions options, bool partials,
                                           std::unique_ptr<dsl::ToolHost> tools,
                                           std::function<void()> on_end);
  [[nodiscard]] Result<std::string> render(const dsl::Program& program, std::string_view gen,
                                           const Json& arguments) const;
  /// Cancels what runs and waits for its end, after which no thread of ours holds anything of
  /// Python's. The interpreter's exit must come after it. Repeatable.
  void close();
  [[nodiscard]] runtime::Stats stats() const { return engine_->stats(); }
  [[nodiscard]] dsl::Runner::Dropped dropped() const { return runner_->dropped(); }
  /// The engines' trees of prompts as JSON; see runtime/engine/tree_text.h.
  [[nodiscard]] std::string tree() const { return runtime::tree_json(engine_->trees()); }
  [[nodiscard]] const runtime::Model& model() const { return *model_; }
  /// As runtime::MadeEngines has it.
  [[nodiscard]] const std::string& device() const { return device_; }
  /// What one should know of how it runs (a damaged file passed over, a tier given up), since the
  /// last call.
  [[nodiscard]] std::vector<std::string> take_notes();

 private:
  Session() = default;
  void ended(const Run* run);

  std::shared_ptr<const runtime::Model> model_;
  std::string device_;
  std::mutex notes_mutex_;
  std::vector<std::string>
      notes_;  // the engine's threads write here: before it, so that it outlives them
  std::unique_ptr<runtime::Engine> engine_;
  std::unique_ptr<dsl::Runner> runner_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<std::shared_ptr<Run>> runs_;
};

}  // namespace espalier::python
