// What share of a step this machine's device spends outside its kernels while an engine runs on it:
// waiting for the host between two steps and within one, and copies of what goes in and out.
//
//   cuda_steps MODEL.gguf [ROWS]   of steps of ROWS texts (64), free and under a JSON Schema
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/json_schema.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/device_watch.h"
#include "runtime/engine/engine.h"
#include "runtime/model/model.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {
namespace {

constexpr std::uint32_t kPrompt = 16;
constexpr std::uint32_t kTokens = 192;
constexpr double kGoal = 0.03;

// Texts that differ from their first token on, all at once.
Status say(Engine& engine, std::uint32_t texts, std::uint32_t vocabulary,
           const grammar::GrammarRef& grammar) {
  std::vector<Branch> branches;
  std::vector<Status> failed(texts);
  for (std::uint32_t i = 0; i < texts; ++i) {
    branches.push_back(engine.open());
    branches.back().append(
        std::vector<TokenId>(kPrompt, static_cast<TokenId>((100 + i) % vocabulary)));
  }
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < texts; ++i) {
    threads.emplace_back([&, i] {
      GenerateRequest request;
      request.max_tokens = kTokens;
      if (grammar != nullptr) request.matcher = grammar->start();
      const auto answer = branches[i].generate_now(std::move(request));
      if (!answer) failed[i] = fail(answer.error());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Status& status : failed) ESP_TRY(std::move(status));
  return {};
}

Status run(const char* path, std::uint32_t rows) {
  ESP_ASSIGN(const auto model, Model::load(path, real_system()));
  ESP_ASSIGN(const auto strings,
             grammar::compile_json_schema(model->tokenizer()->vocabulary(),
                                          nlohmann::json::parse(R"({"type": "string"})")));
  const std::uint64_t page = cpu::KvPool::page_bytes(model->shape(), KvType::kF16);
  std::printf("%-30s %8s %10s %10s %9s %6s %7s\n", "time outside kernels", "steps", "ms a step",
              "kernels", "outside", "goal", "ahead");
  for (const bool masked : {false, true}) {
    CudaOptions options;
    options.tune = true;
    options.kv_bytes = std::uint64_t{rows} * ((kPrompt + kTokens) / kPageTokens + 2) * page;
    options.watch = std::make_shared<cuda::DeviceWatch>(2 * kTokens);
    ESP_ASSIGN(auto backend, CudaBackend::create(model, options, real_system()));
    EngineOptions asked;
    asked.draft = false;
    ESP_ASSIGN(const auto engine, Engine::create(std::move(backend), asked, real_system()));
    ESP_TRY(say(*engine, rows, model->shape().vocabulary, masked ? strings : nullptr));
    ESP_ASSIGN(const cuda::TimeAtWork time, options.watch->of_steps(rows));
    const std::string what = std::to_string(rows) + (masked ? " texts, a schema" : " texts, free");
    if (time.steps == 0) {
      std::printf("%-30s %8d: no two such steps followed each other\n", what.c_str(), 0);
      continue;
    }
    const auto steps = static_cast<double>(time.steps);
    std::printf("%-30s %8.0f %10.3f %10.3f %7.1f %% %4.0f %% %7llu\n", what.c_str(), steps,
                1e3 * time.seconds / steps, 1e3 * time.at_work / steps, 100 * time.outside(),
                100 * kGoal, static_cast<unsigned long long>(engine->stats().steps_ahead));
  }
  return {};
}

}  // namespace
}  // namespace espalier::runtime

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    std::fputs("usage: cuda_steps MODEL.gguf [ROWS]\n", stderr);
    return 2;
  }
  const auto rows = count == 3 ? static_cast<std::uint32_t>(std::stoul(arguments[2])) : 64U;
  const auto status = espalier::runtime::run(arguments[1], rows);
  if (status) return 0;
  std::fprintf(stderr, "cuda_steps: %s\n", status.error().message.c_str());
  return 1;
}
