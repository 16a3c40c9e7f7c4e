// What the tests of running programs share: a tiny model's tokenizer and chat template on a Backend
// whose logits are a hash of the path. Every mistake about ids, pages or order changes what is
// generated.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/system.h"
#include "dsl/program.h"
#include "dsl/runner.h"
#include "runtime/model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/toy_backend.h"

namespace espalier::dsl::testing {

inline std::shared_ptr<const runtime::Model> load_tiny(
    const espalier::testing::TinyLlama& description) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("espalier_dsl_run_" + std::to_string(::getpid()) + ".gguf");
  espalier::testing::write_file(path.string(), description.writer().finish().bytes);
  auto loaded = runtime::Model::load(path.string(), real_system());
  std::filesystem::remove(path);  // the mapping stays
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? *loaded : nullptr;
}

/// The tiny model, loaded once a test program.
inline const std::shared_ptr<const runtime::Model>& tiny_model() {
  static const auto model = load_tiny(espalier::testing::TinyLlama{});
  return model;
}

/// A chat template that refuses two user turns in a row.
class Alternating final : public runtime::ChatTemplate {
 public:
  explicit Alternating(std::shared_ptr<const runtime::ChatTemplate> inner)
      : inner_(std::move(inner)) {}
  std::string_view family() const override { return inner_->family(); }
  bool supports(runtime::Role role) const override { return inner_->supports(role); }
  bool refuses_two_user_turns() const override { return true; }
  std::string refusal(runtime::Role role) const override { return inner_->refusal(role); }
  std::string refusal(runtime::Role role, std::optional<runtime::Role> previous) const override {
    return inner_->refusal(role, previous);
  }
  runtime::Segments begin(runtime::Role first) const override { return inner_->begin(first); }
  runtime::Segments open(runtime::Role role, std::optional<runtime::Role> previous) const override {
    return inner_->open(role, previous);
  }
  runtime::Segments close(runtime::Role role) const override { return inner_->close(role); }
  Result<runtime::Segments> render(const Json& messages, const Json& tools,
                                   bool generation_prompt) const override {
    return inner_->render(messages, tools, generation_prompt);
  }
  Result<runtime::Segments> render_before(const Json& messages, runtime::Role next,
                                          const Json& fields) const override {
    return inner_->render_before(messages, next, fields);
  }

 private:
  std::shared_ptr<const runtime::ChatTemplate> inner_;
};

struct WorldOptions {
  bool cache = true;
  std::uint32_t pages = 512;
  std::uint32_t context = 4096;
  std::uint32_t max_rows = 64;
  unsigned threads = 2;
  std::function<void(const runtime::Batch&)> on_step = {};
  // Added to a token's logit, after the tokens of its sequence so far.
  std::function<float(std::span<const TokenId>, std::size_t)> wants = {};
  std::shared_ptr<const runtime::ChatTemplate> chat = nullptr;  // null: the tiny model's
};

/// An engine and a runner.
struct World {
  explicit World(WorldOptions options = {}) {
    espalier::testing::ToyOptions toy;
    toy.vocabulary = static_cast<std::uint32_t>(tiny_model()->tokenizer()->size());
    toy.pages = options.pages;
    toy.context = options.context;
    toy.on_step = options.on_step;
    toy.wants = options.wants;
    runtime::EngineOptions engine_options{
        .max_rows = options.max_rows, .cache = options.cache, .poison = true, .check = true};
    auto made =
        runtime::Engine::create(std::make_unique<espalier::testing::ToyBackend>(std::move(toy)),
                                engine_options, real_system());
    EXPECT_TRUE(made) << made.error().message;
    engine = std::move(*made);
    RunnerOptions runner_options;
    runner_options.threads = options.threads;
    runner = std::make_unique<Runner>(
        *engine, tiny_model()->tokenizer(),
        options.chat == nullptr ? tiny_model()->chat_template() : options.chat, runner_options);
  }

  RunOutcome run(const std::string& source, Json arguments = Json::object(),
                 RunOptions options = {}, const std::string& gen = "") {
    Compiled compiled =
        compile("test.gen", source, [this](const std::string& path) -> Result<std::string> {
          const auto found = files.find(path);
          if (found == files.end()) return fail(ErrorCode::kNotFound, "cannot open '" + path + "'");
          return found->second;
        });
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    if (compiled.program == nullptr)
      return tl::unexpected<RunError>(RunError{{ErrorCode::kInvalid, "does not compile"}, ""});
    return runner->run_now(compiled.program, gen, std::move(arguments), std::move(options));
  }
  /// The result as JSON text, or the error.
  std::string json(const std::string& source, Json arguments = Json::object(),
                   RunOptions options = {}) {
    const auto out = run(source, std::move(arguments), std::move(options));
    return out ? to_json(*out).dump() : "error: " + out.error().error.message;
  }

  std::map<std::string, std::string> files;  // that programs name
  std::unique_ptr<runtime::Engine> engine;
  std::unique_ptr<Runner> runner;
};

/// What each branch wrote and generated, in order.
class Recorder final : public Observer {
 public:
  void on_text(BranchNumber branch, std::string_view text) override { add(branch, text); }
  void on_token(const HoleEvent& hole, TokenId, std::string_view bytes, bool) override {
    add(hole.branch, bytes);
    const std::lock_guard lock(mutex_);
    ++tokens_;
  }
  void on_turn(BranchNumber branch, std::string_view role) override {
    add(branch, role.empty() ? "</>" : "<" + std::string(role) + ">");
  }
  void on_hole_end(const HoleEvent& hole, const Value& value) override {
    const std::lock_guard lock(mutex_);
    holes_.push_back(std::string(hole.path) + "=" + print(value));
  }
  void on_tool_end(BranchNumber, std::string_view tool, const Json&, const Value& value,
                   std::string_view error) override {
    const std::lock_guard lock(mutex_);
    tools_.push_back(std::string(tool) +
                     (error.empty() ? "=" + print(value) : "!" + std::string(error)));
  }
  void on_retry(BranchNumber, std::string_view why) override {
    const std::lock_guard lock(mutex_);
    retries_.emplace_back(why);
  }

  std::string text(BranchNumber branch = 0) {
    const std::lock_guard lock(mutex_);
    return texts_[branch];
  }
  std::vector<std::string> holes() {
    const std::lock_guard lock(mutex_);
    return holes_;
  }
  std::vector<std::string> tools() {
    const std::lock_guard lock(mutex_);
    return tools_;
  }
  std::vector<std::string> retries() {
    const std::lock_guard lock(mutex_);
    return retries_;
  }
  std::size_t tokens() {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }

 private:
  void add(BranchNumber branch, std::string_view text) {
    const std::lock_guard lock(mutex_);
    texts_[branch] += text;
  }
  std::mutex mutex_;
  std::map<BranchNumber, std::string> texts_;
  std::vector<std::string> holes_, tools_, retries_;
  std::size_t tokens_ = 0;
};

/// Tools by name, in this process.
class Functions final : public ToolHost {
 public:
  using Function = std::function<Result<Json>(const Json& arguments)>;
  std::map<std::string, Function> functions;
  Result<Json> call(const ToolRequest& request) override {
    const auto found = functions.find(request.tool->name);
    if (found == functions.end()) return fail(ErrorCode::kTool, "nobody answers");
    return found->second(request.arguments);
  }
};

}  // namespace espalier::dsl::testing
