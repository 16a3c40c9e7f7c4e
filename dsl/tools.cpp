#include "dsl/tools.h"

#include <cstdlib>

#include <utility>

#include "base/utf8.h"
#include "dsl/convert.h"
#include "dsl/http_tool.h"
#include "dsl/mcp/host.h"
#include "dsl/tool_answer.h"
#include "dsl/tool_permissions.h"
#include "grammar/json_text.h"

namespace espalier::dsl {
namespace {

// The worker's side of the protocol: a JSON object a line in, one a line out. The real stdin and
// stdout are moved away before any module of the user's is loaded, so that what it prints or reads
// cannot touch the protocol.
constexpr const char* kWorker = R"PY(
import json, os, sys
requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.dup2(2, 1)
sys.path[0] = sys.argv[1]
def plain(value):
    import dataclasses
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"the result holds a value of type {type(value).__name__}, which JSON does not have")
def run(request):
    import importlib, inspect
    module, _, path = request["target"].partition(":")
    function = importlib.import_module(module)
    for part in path.split("."):
        function = getattr(function, part)
    value = function(**request["arguments"])
    if inspect.isawaitable(value):
        import asyncio
        async def wait():
            return await value
        value = asyncio.run(wait())
    return json.dumps({"value": value}, default=plain, allow_nan=False)
for line in requests:
    try:
        answer = run(json.loads(line))
    except BaseException as error:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            text = f"it raised {type(error).__name__}"
        else:
            text = f"{type(error).__name__}: {error}"
        answer = json.dumps({"error": text[:2000]})
    answers.write(answer + "\n")
    answers.flush()
)PY";

Result<Json> parse_answer(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    return fail(ErrorCode::kTool, "it wrote nothing to stdout; a JSON value is expected");
  auto json = read_answer(text);
  if (!json)
    return fail(std::move(json).error().within("what it wrote to stdout (" +
                                               std::to_string(text.size()) + " bytes)"));
  return json;
}

}  // namespace

ProcessTools::ProcessTools(ProcessToolOptions options)
    : options_(std::move(options)), mcp_(std::make_unique<mcp::Host>(options_.directory)) {}

ProcessTools::~ProcessTools() = default;

Result<Json> ProcessTools::call(const ToolRequest& request) {
  ESP_TRY(check_allowed(options_.allow, *request.tool));
  switch (request.tool->transport) {
    case Transport::kExec:
      return call_program(request);
    case Transport::kPython:
      return call_python(request);
    case Transport::kHttp:
      return call_signed(request);
    case Transport::kMcp:
      return mcp_->call(request, options_.output_bytes);
    case Transport::kCaller:
      return fail(ErrorCode::kUnsupported, "the caller runs it, and this is not the caller");
    case Transport::kNone:
      break;
  }
  return fail(ErrorCode::kUnsupported, "it is only a shape: nothing says how to run it");
}

Result<Json> ProcessTools::call_signed(const ToolRequest& request) {
  ESP_ASSIGN(const auto credential, credential_for(options_.allow, *request.tool));
  if (!credential) return call_http(request, options_.output_bytes);
  const char* value = std::getenv(credential->variable.c_str());
  ESP_ASSIGN(
      const auto header,
      header_of(*credential, value == nullptr ? std::nullopt : std::optional<std::string>(value)));
  return call_http(request, options_.output_bytes, header);
}

Result<Json> ProcessTools::call_program(const ToolRequest& request) {
  const ToolInfo& tool = *request.tool;
  std::string program = tool.target;
  if (program.find('/') != std::string::npos && program[0] != '/' && !options_.directory.empty()) {
    program = options_.directory + "/" + program;
  }
  auto process = Process::start({{program}, "", inherited_environment()});
  if (!process) {
    Error error = std::move(process).error();
    if (program.find('/') == std::string::npos)
      error.message +=
          "; it was looked for in PATH (a file beside the program is \"./" + program + "\")";
    return fail(std::move(error));
  }
  ESP_ASSIGN(const ProcessOutput output,
             (*process)->communicate(write_json(request.arguments) + "\n",
                                     {request.timeout, options_.output_bytes, request.cancelled}));
  if (output.signal != 0 || output.exit_code != 0) {
    std::string message = output.signal != 0
                              ? "it was killed by signal " + std::to_string(output.signal)
                              : "it exited with code " + std::to_string(output.exit_code);
    const std::size_t last = output.error_tail.find_last_not_of(" \t\r\n");
    if (last != std::string::npos) message += ": " + output.error_tail.substr(0, last + 1);
    return fail(ErrorCode::kTool, std::move(message));
  }
  return parse_answer(output.out);
}

Result<Json> ProcessTools::call_python(const ToolRequest& request) {
  const ToolInfo& tool = *request.tool;
  const std::size_t colon = tool.target.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == tool.target.size()) {
    return fail(ErrorCode::kTool, "'" + tool.target + "' is not of the form module:function");
  }
  std::unique_ptr<Process> worker;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      worker = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (worker == nullptr) {
    auto environment = inherited_environment();
    environment.emplace_back("PYTHONIOENCODING=utf-8");
    ESP_ASSIGN(worker, Process::start({{options_.python, "-c", kWorker,
                                        options_.directory.empty() ? "." : options_.directory},
                                       "",
                                       std::move(environment)}));
  }
  Json call = Json::object();
  call["target"] = tool.target;
  call["arguments"] = request.arguments;
  ESP_ASSIGN(const std::string line,
             worker->exchange(write_json(call),
                              {request.timeout, options_.output_bytes, request.cancelled}));
  ESP_ASSIGN(Json answer, parse_answer(line));
  if (!answer.is_object() || answer.size() != 1)
    return fail(ErrorCode::kTool, "its worker broke the protocol");
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(worker));
  }
  if (const auto error = answer.find("error"); error != answer.end() && error->is_string()) {
    return fail(ErrorCode::kTool, error->get<std::string>());
  }
  if (const auto value = answer.find("value"); value != answer.end()) return std::move(*value);
  return fail(ErrorCode::kTool, "its worker broke the protocol");
}

namespace {

// What a tool wrote may be any bytes, and a failure's message becomes text of a prompt.
std::string readable(std::string_view text) {
  constexpr char32_t kReplacement = 0xFFFD;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8::decode(text, at).length;
    if (length == 0) {
      utf8::append(out, kReplacement);
      ++at;
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out;
}

}  // namespace

Result<Value> run_tool(const Program& program, ToolHost& host, const ToolRequest& request) {
  const ToolInfo& tool = *request.tool;
  const auto failed = [&](Error error) {
    if (error.code != ErrorCode::kCancelled) error.code = ErrorCode::kTool;
    error.message = readable(error.message);
    return fail(std::move(error).within("tool `" + tool.name + "`"));
  };
  if (tool.transport == Transport::kNone) {
    return failed({ErrorCode::kTool, "it is only a shape: nothing says how to run it"});
  }
  auto json = host.call(request);
  if (!json) return failed(std::move(json).error());
  if (tool.result == nullptr) return Value();
  auto value = from_json(program, *json, tool.result, "its result");
  if (!value) return failed(std::move(value).error());
  return value;
}

ToolThreads::~ToolThreads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ToolThreads::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  if (queue_.size() > idle_ && threads_.size() < limit_) threads_.emplace_back([this] { loop(); });
  ready_.notify_one();
}

void ToolThreads::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    ready_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    --idle_;
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace espalier::dsl
