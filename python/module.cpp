// The module espalier._core: a thin, typed face of Session for the Python package beside it, which
// is what people use.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/system.h"
#include "dsl/program.h"
#include "dsl/python_stub.h"
#include "dsl/tools.h"
#include "python/grammar_module.h"
#include "python/python_error.h"
#include "python/session.h"

namespace py = pybind11;

namespace espalier::python {
namespace {

Json parse_json(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) raise({ErrorCode::kInvalid, "the arguments are not JSON"});
  return json;
}

// A Python callable with references that are dropped under the interpreter's lock, whatever thread
// drops them.
class Callable {
 public:
  explicit Callable(py::object object)
      : object_(new py::object(std::move(object)), [](py::object* o) {
          const py::gil_scoped_acquire lock;
          delete o;
        }) {}
  [[nodiscard]] bool is_none() const { return object_->is_none(); }
  template <class... Args>
  py::object operator()(Args&&... args) const {
    return (*object_)(std::forward<Args>(args)...);
  }

 private:
  std::shared_ptr<py::object> object_;
};

// The caller's functions and `python` tools run in this process, through one callable of the
// package; other transports as everywhere.
class PythonTools final : public dsl::ToolHost {
 public:
  PythonTools(Callable call, std::shared_ptr<dsl::ProcessTools> others)
      : call_(std::move(call)), others_(std::move(others)) {}

  Result<Json> call(const dsl::ToolRequest& request) override {
    if (request.tool->transport != dsl::Transport::kPython &&
        request.tool->transport != dsl::Transport::kCaller)
      return others_->call(request);
    const py::gil_scoped_acquire lock;
    try {
      const double seconds = std::chrono::duration<double>(request.timeout).count();
      const auto cancelled = py::cpp_function([flag = request.cancelled] {
        return flag != nullptr && flag->load(std::memory_order_relaxed);
      });
      const py::object answer = call_(request.tool->name, request.tool->target,
                                      request.arguments.dump(), seconds, cancelled);
      const auto [ok, text] = answer.cast<std::pair<bool, std::string>>();
      if (!ok) return fail(ErrorCode::kTool, text);
      Json json = Json::parse(text, nullptr, false);
      if (json.is_discarded()) return fail(ErrorCode::kTool, "the result is not JSON");
      return json;
    } catch (const py::error_already_set& error) {
      return fail(ErrorCode::kTool, error.what());
    } catch (const std::exception& error) {
      return fail(ErrorCode::kTool, error.what());
    }
  }

 private:
  Callable call_;
  std::shared_ptr<dsl::ProcessTools> others_;  // of the program: MCP servers outlive a run
};

// Closing a session waits for runs whose tools may need the interpreter's lock. A forked child has
// none of the session's threads, so that nothing could be waited for there: its copy is left alone.
struct WithoutLock {
  pid_t process = ::getpid();
  void operator()(Session* session) const {
    if (process != ::getpid()) return;
    const py::gil_scoped_release unlocked;
    delete session;
  }
};

dsl::Config overrides_of(const py::dict& options) {
  dsl::Config config;
  const auto real = [&](const char* key, std::optional<double>& out) {
    if (options.contains(key)) out = options[key].cast<double>();
  };
  const auto whole = [&](const char* key, std::optional<std::int64_t>& out) {
    if (options.contains(key)) out = options[key].cast<std::int64_t>();
  };
  real("temperature", config.temperature);
  real("top_p", config.top_p);
  real("min_p", config.min_p);
  real("repetition", config.repetition);
  real("presence", config.presence);
  real("frequency", config.frequency);
  whole("top_k", config.top_k);
  whole("seed", config.seed);
  whole("max", config.max);
  // Ranges as in `config` (dsl/check.cpp).
  const auto bounded = [&](const char* key, std::optional<std::int64_t>& out, std::int64_t low,
                           std::int64_t high) {
    whole(key, out);
    if (out && (*out < low || *out > high)) {
      raise({ErrorCode::kInvalid, std::string(key) + " goes from " + std::to_string(low) + " to " +
                                      std::to_string(high)});
    }
  };
  bounded("retain", config.retain, 0, radix_cache::Retention::kHighest);
  bounded("retain_tokens", config.retain_tokens, 1, 1'000'000'000);
  bounded("retain_steps", config.retain_steps, 1, 1'000'000'000);
  return config;
}

py::object event_tuple(const std::optional<Event>& event) {
  if (!event) return py::none();
  switch (event->kind) {
    case Event::Kind::kPartial:
      return py::make_tuple("partial", event->path, event->json, event->done);
    case Event::Kind::kDrop:
      return py::make_tuple("drop", event->path, event->message);
    case Event::Kind::kValue:
      return py::make_tuple("value", event->json);
    case Event::Kind::kError:
      return py::make_tuple("error", event->message, event->code, event->rendered);
  }
  return py::none();
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of the espalier package; use `import espalier`.";
  module.def("set_error_type", [](py::object type) { error_type() = std::move(type); });

  py::class_<dsl::Program, std::shared_ptr<dsl::Program>>(module, "Program")
      .def_property_readonly("generators",
                             [](const dsl::Program& program) {
                               py::list out;
                               for (const auto* gen : program.own_gens()) {
                                 py::list parameters;
                                 for (const auto& parameter : gen->parameters)
                                   parameters.append(parameter.name);
                                 out.append(py::make_tuple(gen->name, gen->doc, parameters));
                               }
                               return out;
                             })
      .def("stub", [](const dsl::Program& program) { return dsl::python_stub(program); })
      .def_property_readonly("tools", [](const dsl::Program& program) {
        std::vector<std::string> out;
        for (const auto& tool : program.tools) out.push_back(tool.name);
        return out;
      });

  // (program or None, messages)
  module.def(
      "compile",
      [](const std::string& name, const std::string& text, std::set<std::string> of_caller) {
        dsl::Compiled compiled = dsl::compile(
            name, text,
            [](const std::string& path) { return real_system().read(path, dsl::kMaxSource); },
            std::move(of_caller));
        return py::make_tuple(std::const_pointer_cast<dsl::Program>(compiled.program),
                              dsl::render(compiled.diagnostics, compiled.sources));
      },
      py::arg("name"), py::arg("text"), py::arg("of_caller") = std::set<std::string>());

  py::class_<Run, std::shared_ptr<Run>>(module, "Run")
      .def("cancel", &Run::cancel, py::call_guard<py::gil_scoped_release>())
      .def("next", [](Run& run, double seconds) {
        std::optional<Event> event;
        {
          const py::gil_scoped_release unlocked;
          event = run.next(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
        }
        return event_tuple(event);
      });

  py::class_<dsl::ProcessTools, std::shared_ptr<dsl::ProcessTools>>(module, "ProcessTools")
      .def(py::init([](const std::string& directory, const std::vector<std::string>& allow) {
             dsl::ProcessToolOptions options;
             options.directory = directory;
             options.allow = allow;
             return std::make_shared<dsl::ProcessTools>(std::move(options));
           }),
           py::arg("directory"), py::arg("allow"));

  py::class_<Session, std::unique_ptr<Session, WithoutLock>>(module, "Session")
      .def(py::init([](const std::string& model, unsigned threads, std::uint64_t kv_bytes,
                       bool cache, const std::string& draft, double retained_share,
                       const std::string& device, const std::string& kv_type,
                       const std::string& numerics, std::optional<std::uint32_t> gpu_layers,
                       std::uint32_t tensor_parallel, std::uint64_t host_kv_bytes,
                       std::uint32_t data_parallel, const std::string& kv_folder,
                       std::uint32_t context, const std::string& calibration) {
             Result<std::unique_ptr<Session>> session = fail(ErrorCode::kInternal, "");
             {
               const py::gil_scoped_release unlocked;
               session =
                   Session::open({model, threads, kv_bytes, cache, draft, retained_share, device,
                                  kv_type, numerics, gpu_layers, tensor_parallel, host_kv_bytes,
                                  data_parallel, kv_folder, context, calibration});
             }
             return std::unique_ptr<Session, WithoutLock>(unwrap(std::move(session)).release());
           }),
           py::arg("model"), py::arg("threads"), py::arg("kv_bytes"), py::arg("cache"),
           py::arg("draft"), py::arg("retained_share"), py::arg("device"), py::arg("kv_type"),
           py::arg("numerics"), py::arg("gpu_layers"), py::arg("tensor_parallel"),
           py::arg("host_kv_bytes"), py::arg("data_parallel"), py::arg("kv_folder"),
           py::arg("context"), py::arg("calibration"))
      .def("take_notes", &Session::take_notes)
      .def_property_readonly("device", [](const Session& session) { return session.device(); })
      .def("start",
           [](Session& session, std::shared_ptr<dsl::Program> program, const std::string& gen,
              const std::string& arguments, const py::dict& options, bool partials, py::object tool,
              std::shared_ptr<dsl::ProcessTools> others, double tool_seconds, py::object on_end) {
             Json json = parse_json(arguments);
             dsl::RunOptions run_options;
             run_options.overrides = overrides_of(options);
             run_options.tool_timeout =
                 std::chrono::milliseconds(static_cast<std::int64_t>(tool_seconds * 1000));
             auto tools =
                 std::make_unique<PythonTools>(Callable(std::move(tool)), std::move(others));
             std::function<void()> end;
             if (!on_end.is_none()) {
               end = [callable = Callable(std::move(on_end))] {
                 const py::gil_scoped_acquire lock;
                 try {
                   callable();
                 } catch (py::error_already_set& error) {
                   error.discard_as_unraisable("espalier: a run's end");
                 }
               };
             }
             const py::gil_scoped_release unlocked;
             return session.start(std::move(program), gen, std::move(json), std::move(run_options),
                                  partials, std::move(tools), std::move(end));
           })
      .def("render",
           [](const Session& session, const std::shared_ptr<dsl::Program>& program,
              const std::string& gen, const std::string& arguments) {
             return unwrap(session.render(*program, gen, parse_json(arguments)));
           })
      .def("close", &Session::close, py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("model_path",
                             [](const Session& session) { return session.model().path(); })
      .def("tree", &Session::tree, py::call_guard<py::gil_scoped_release>())
      .def("stats", [](const Session& session) {
        const runtime::Stats s = session.stats();
        py::dict out;
        out["prompt_tokens"] = s.prompt_tokens;
        out["reused_tokens"] = s.reused_tokens;
        out["computed_tokens"] = s.computed_tokens;
        out["generated_tokens"] = s.generated_tokens;
        out["forced_tokens"] = s.forced_tokens;
        out["select_tokens"] = s.select_tokens;
        out["recomputed_tokens"] = s.recomputed_tokens;
        out["steps"] = s.steps;
        out["prefill_seconds"] = s.prefill_seconds;
        out["decode_seconds"] = s.decode_seconds;
        out["mask_seconds"] = s.mask_seconds;
        out["pages_total"] = s.pages_total;
        out["pages_free"] = s.pages_free;
        out["pages_held"] = s.pages_held;
        out["pages_retained"] = s.pages_retained;
        out["disk_read_pages"] = s.disk_read_pages;
        out["disk_written_pages"] = s.disk_written_pages;
        out["disk_read_seconds"] = s.disk_read_seconds;
        out["host_pages_total"] = s.host_pages_total;
        out["host_pages_held"] = s.host_pages_held;
        out["host_saved_pages"] = s.host_saved_pages;
        out["host_loaded_pages"] = s.host_loaded_pages;
        out["prefill_rows"] = s.prefill_rows;
        out["decode_rows"] = s.decode_rows;
        out["logits_rows"] = s.logits_rows;
        out["steps_ahead"] = s.steps_ahead;
        out["wasted_rows"] = s.wasted_rows;
        out["drafted_tokens"] = s.drafted_tokens;
        out["accepted_tokens"] = s.accepted_tokens;
        out["model_drafted_tokens"] = s.model_drafted_tokens;
        out["model_accepted_tokens"] = s.model_accepted_tokens;
        out["draft_seconds"] = s.draft_seconds;
        out["requests"] = s.requests;
        out["preemptions"] = s.preemptions;
        out["queue_steps"] = s.queue_steps;
        out["queue_seconds"] = s.queue_seconds;
        out["looked_up_tokens"] = s.looked_up_tokens;
        out["found_tokens"] = s.found_tokens;
        out["tree_seconds"] = s.tree_seconds;
        const dsl::Runner::Dropped dropped = session.dropped();
        out["dropped_turns"] = dropped.turns;
        out["dropped_tokens"] = dropped.tokens;
        return out;
      });

  bind_grammar(module);
}

}  // namespace espalier::python
