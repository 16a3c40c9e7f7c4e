#include "python/session.h"

#include <algorithm>
#include <utility>

#include "dsl/render.h"
#include "dsl/value.h"
#include "runtime/device.h"
#include "runtime/engine/fingerprint.h"
#include "runtime/engine_backends.h"
#include "runtime/store/model_store.h"

namespace espalier::python {
namespace {

constexpr std::size_t kMaxNotes = 100;  // that wait to be taken; later ones are dropped

runtime::Detached drive(runtime::Task<dsl::RunOutcome> task,
                        std::function<void(dsl::RunOutcome)> end) {
  dsl::RunOutcome outcome = co_await task;
  end(std::move(outcome));
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void Run::push(Event event) {
  const std::lock_guard lock(mutex_);
  // Partial values of one hole coalesce: a slow reader sees the latest, and the queue stays short.
  if (event.kind == Event::Kind::kPartial && !event.done && !events_.empty() &&
      events_.back().kind == Event::Kind::kPartial && !events_.back().done &&
      events_.back().path == event.path) {
    events_.back() = std::move(event);
  } else {
    events_.push_back(std::move(event));
  }
  ready_.notify_all();
}

std::optional<Event> Run::next(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  if (!ready_.wait_for(lock, timeout, [&] { return !events_.empty(); })) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Run::on_partial(const dsl::HoleEvent& hole, const Json& value) {
  Event event;
  event.path = hole.path;
  event.json = dump(value);
  push(std::move(event));
}

void Run::on_node(const dsl::HoleEvent&, std::string_view path, const Json& value) {
  Event event;
  event.path = path;
  event.json = dump(value);
  event.done = true;
  push(std::move(event));
}

void Run::on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) {
  Event event;
  event.kind = Event::Kind::kDrop;
  event.path = hole.path;
  event.message = std::to_string(drop.turns.size()) + " turns were dropped before `" +
                  std::string(hole.name) + "`: the prompt had outgrown the context of " +
                  std::to_string(drop.context) + " tokens";
  push(std::move(event));
}

void Run::on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) {
  if (!partials_) return;
  Event event;
  event.path = hole.path;
  event.json = dump(dsl::to_json(value));
  event.done = true;
  push(std::move(event));
}

Result<std::unique_ptr<Session>> Session::open(const SessionOptions& options) {
  System& system = real_system();
  ESP_ASSIGN(const auto store, runtime::ModelStore::open(system));
  ESP_ASSIGN(const std::string path, store.resolve(options.model));
  std::unique_ptr<Session> session(new Session());
  ESP_ASSIGN(session->model_, runtime::Model::load(path, system, {.context = options.context}));
  runtime::BackendOptions on;
  ESP_ASSIGN(on.device, runtime::Device::parse(options.device));
  ESP_ASSIGN(on.kv_type, runtime::parse_kv_type(options.kv_type));
  ESP_ASSIGN(on.numerics, runtime::parse_numerics(options.numerics));
  if (!options.calibration.empty()) {
    ESP_ASSIGN(auto calibration, runtime::Fp8Calibration::read(options.calibration, system));
    on.fp8_calibration = std::make_shared<const runtime::Fp8Calibration>(std::move(calibration));
  }
  on.threads = options.threads;
  on.kv_bytes = options.kv_bytes;
  on.gpu_layers = options.gpu_layers;
  on.tensor_parallel = options.tensor_parallel;
  std::optional<std::string> draft;
  if (!options.draft.empty()) {
    ESP_ASSIGN(draft, store.resolve(options.draft));
  }
  ESP_ASSIGN(auto made, runtime::make_engine_backends(session->model_, on, options.data_parallel,
                                                      draft, system));
  session->device_ = made.device;
  session->notes_ = std::move(made.notes);
  runtime::EngineOptions engine;
  engine.cache = options.cache;
  engine.retained_share = options.retained_share;
  engine.host_kv_bytes = options.host_kv_bytes;
  engine.note = [to = session.get()](const std::string& message) {
    const std::lock_guard lock(to->notes_mutex_);
    if (to->notes_.size() < kMaxNotes) to->notes_.push_back(message);
  };
  if (!options.kv_folder.empty()) {
    engine.kv_folder = options.kv_folder;
    ESP_ASSIGN(engine.model_digest, runtime::model_fingerprint(*session->model_, system));
  }
  ESP_ASSIGN(session->engine_, runtime::Engine::create(std::move(made.backends), engine, system));
  session->runner_ = std::make_unique<dsl::Runner>(*session->engine_, session->model_->tokenizer(),
                                                   session->model_->chat_template());
  return session;
}

std::vector<std::string> Session::take_notes() {
  const std::lock_guard lock(notes_mutex_);
  return std::exchange(notes_, {});
}

void Session::close() {
  std::unique_lock lock(mutex_);
  for (const auto& run : runs_) run->cancel();
  idle_.wait(lock, [&] { return runs_.empty(); });
}

void Session::ended(const Run* run) {
  const std::lock_guard lock(mutex_);
  std::erase_if(runs_, [&](const auto& r) { return r.get() == run; });
  idle_.notify_all();
}

std::shared_ptr<Run> Session::start(dsl::ProgramRef program, std::string gen, Json arguments,
                                    dsl::RunOptions options, bool partials,
                                    std::unique_ptr<dsl::ToolHost> tools,
                                    std::function<void()> on_end) {
  auto run = std::make_shared<Run>(partials, std::move(tools));
  options.tools = run->tools_.get();
  options.observer = run.get();
  options.cancellation = run->cancellation_;
  {
    const std::lock_guard lock(mutex_);
    runs_.push_back(run);
  }
  auto task =
      runner_->run(std::move(program), std::move(gen), std::move(arguments), std::move(options));
  const runtime::Detached root = drive(
      std::move(task), [this, run, on_end = std::move(on_end)](dsl::RunOutcome outcome) mutable {
        Event event;
        if (outcome) {
          event.kind = Event::Kind::kValue;
          event.json = dump(dsl::to_json(*outcome));
        } else {
          event.kind = Event::Kind::kError;
          event.code = name(outcome.error().error.code);
          event.message = outcome.error().error.message;
          event.rendered = outcome.error().rendered;
        }
        run->push(std::move(event));
        if (on_end) on_end();
        on_end = nullptr;
        run->tools_.reset();  // what it holds of Python's goes before the run counts as ended
        ended(run.get());     // the last touch of the session
      });
  runner_->executor().post(root.handle);
  return run;
}

Result<std::string> Session::render(const dsl::Program& program, std::string_view gen,
                                    const Json& arguments) const {
  ESP_ASSIGN(auto rendered, dsl::render_prompt(runner_->model(), program, gen, arguments));
  return std::move(rendered.text);
}

}  // namespace espalier::python
