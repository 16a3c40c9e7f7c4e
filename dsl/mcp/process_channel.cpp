// MCP over a process's stdin and stdout: one JSON message a line.
//
// Threads that wait take turns at reading: whoever reads hands every answer to its owner. The
// process is used by one thread at a time, for kSlice at most, so that a new request never waits
// longer than that for its turn to write.
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/process.h"
#include "dsl/mcp/channel.h"
#include "dsl/tool_answer.h"
#include "grammar/json_text.h"

namespace espalier::dsl::mcp {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
constexpr milliseconds kSlice(10);
constexpr milliseconds kFarewell(500);    // for telling the server that a request is cancelled
constexpr std::size_t kMaxStrays = 1000;  // answers that nobody waits for any more, in a row

class ProcessChannel final : public Channel {
 public:
  explicit ProcessChannel(std::unique_ptr<Process> process) : process_(std::move(process)) {}

  Result<Json> request(const std::string& method, Json params, const Limits& limits,
                       const Headers& /*headers*/) override {
    const auto deadline = Clock::now() + limits.timeout;
    std::int64_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      id = ++last_id_;
      waiting_.emplace(id, std::nullopt);
    }
    auto answer = [&]() -> Result<Json> {
      ESP_TRY(write(request_message(id, method, std::move(params)), limits));
      return wait_for(id, deadline, limits);
    }();
    {
      const std::lock_guard lock(mutex_);
      waiting_.erase(id);
    }
    if (!answer) {
      const ErrorCode code = answer.error().code;
      if (code == ErrorCode::kTimeout || code == ErrorCode::kCancelled) {
        if (method != "initialize")
          (void)write(notification_message("notifications/cancelled",
                                           {{"requestId", id}, {"reason", answer.error().message}}),
                      {kFarewell, limits.bytes, nullptr});
      } else {
        broken_ = true;
      }
      return answer;
    }
    return result_of(*answer);
  }

  Status notify(const std::string& method, Json params, const Limits& limits) override {
    return write(notification_message(method, std::move(params)), limits);
  }

 private:
  static ProcessLimits process_limits(const Limits& limits) {
    return {limits.timeout, limits.bytes, limits.cancelled};
  }

  Status write(const Json& message, const Limits& limits) {
    const std::lock_guard lock(process_mutex_);
    Status status = process_->send(write_json(message), process_limits(limits));
    if (!status) broken_ = true;  // half a message may stand there
    return status;
  }

  Result<Json> wait_for(std::int64_t id, Clock::time_point deadline, const Limits& limits) {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (auto& mine = waiting_.at(id); mine) return std::move(*mine);
      if (limits.cancelled != nullptr && limits.cancelled->load(std::memory_order_relaxed))
        return fail(ErrorCode::kCancelled, "the call was stopped");
      if (Clock::now() >= deadline)
        return fail(ErrorCode::kTimeout, "the server did not answer within " +
                                             std::to_string(limits.timeout.count()) + " ms");
      if (broken_) return fail(ErrorCode::kIo, "the server is gone");
      if (reading_) {
        changed_.wait_for(lock, kSlice);
        continue;
      }
      reading_ = true;
      lock.unlock();
      const Status read = read_some(limits);
      lock.lock();
      reading_ = false;
      changed_.notify_all();
      if (!read) {
        broken_ = true;
        return fail(read.error());
      }
    }
  }

  // What comes within a slice, up to one line.
  Status read_some(const Limits& limits) {
    Result<std::string> line = fail(ErrorCode::kInternal, "");
    {
      const std::lock_guard lock(process_mutex_);
      line = process_->receive({kSlice, limits.bytes, nullptr});
    }
    if (!line) {
      if (line.error().code == ErrorCode::kTimeout) return {};
      return fail(std::move(line).error());
    }
    if (line->find_first_not_of(" \t\r") == std::string::npos) return {};
    auto json = read_answer(*line);
    if (!json)
      return fail(ErrorCode::kCorrupt,
                  "the server wrote to its stdout what is " + std::string(json.error().message));
    if (!json->is_array()) return take(*json, limits);
    for (const Json& one : *json) ESP_TRY(take(one, limits));  // a batch, of the versions before
    return {};
  }

  Status take(const Json& json, const Limits& limits) {
    ESP_ASSIGN(Message message, read_message(json));
    if (message.kind == Message::Kind::kNotification) {
      if (message.method == "notifications/tools/list_changed") tools_changed_ = true;
      return noise(json);
    }
    if (message.kind == Message::Kind::kRequest) {
      ESP_TRY(noise(json));
      return write(answer_to(message), limits);
    }
    const std::lock_guard lock(mutex_);
    noise_ = 0;
    const auto owner = message.id.is_number_integer()
                           ? waiting_.find(message.id.get<std::int64_t>())
                           : waiting_.end();
    if (owner != waiting_.end()) {
      owner->second = std::move(message.body);
      strays_ = 0;
    } else if (++strays_ > kMaxStrays) {
      return fail(ErrorCode::kCorrupt, "the server answers what nobody asked");
    }
    return {};
  }

  // Bytes between two answers: a server that only talks is cut off.
  Status noise(const Json& json) {
    const std::lock_guard lock(mutex_);
    noise_ += write_json(json).size();
    if (noise_ > kMaxNoise)
      return fail(ErrorCode::kLimit, "the server sent more than " + std::to_string(kMaxNoise) +
                                         " bytes of messages without an answer");
    return {};
  }
  static constexpr std::size_t kMaxNoise = 16u << 20;

  std::mutex process_mutex_;  // never taken while mutex_ is held
  std::unique_ptr<Process> process_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::int64_t, std::optional<Json>> waiting_;
  std::int64_t last_id_ = 0;
  bool reading_ = false;
  std::size_t strays_ = 0;
  std::size_t noise_ = 0;
};

}  // namespace

Result<std::unique_ptr<Channel>> open_process(const Server& server, const std::string& directory) {
  ProcessSpec spec;
  std::string program = server.command;
  if (program.find('/') != std::string::npos && program[0] != '/' && !directory.empty())
    program = directory + "/" + program;
  spec.argv.push_back(std::move(program));
  spec.argv.insert(spec.argv.end(), server.arguments.begin(), server.arguments.end());
  spec.environment = inherited_environment();
  spec.environment.insert(spec.environment.end(), server.environment.begin(),
                          server.environment.end());
  ESP_ASSIGN(auto process, Process::start(spec));
  return std::make_unique<ProcessChannel>(std::move(process));
}

}  // namespace espalier::dsl::mcp
