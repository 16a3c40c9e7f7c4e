#include "cli/session.h"

#include <chrono>
#include <utility>

#include "runtime/device.h"
#include "runtime/engine/fingerprint.h"
#include "runtime/engine_backends.h"
#include "runtime/store/model_store.h"

namespace espalier::cli {

Result<std::shared_ptr<const runtime::Model>> load_model(const ModelOptions& options,
                                                         Context& context) {
  ESP_ASSIGN(const auto store, runtime::ModelStore::open(context.system));
  ESP_ASSIGN(const std::string path, store.resolve(options.model));
  return runtime::Model::load(path, context.system,
                              {.context = static_cast<std::uint32_t>(options.context.value_or(0))});
}

Result<std::unique_ptr<Session>> Session::open(const ModelOptions& options, Context& context) {
  auto session = std::unique_ptr<Session>(new Session(context.system));
  ESP_ASSIGN(session->model_, load_model(options, context));
  ESP_ASSIGN(const runtime::BackendOptions on, options.backend(context.system));
  session->calibration_ = runtime::name_of(on.fp8_calibration);
  std::optional<std::string> draft;
  if (options.draft) {
    ESP_ASSIGN(const auto store, runtime::ModelStore::open(context.system));
    ESP_ASSIGN(draft, store.resolve(*options.draft));
  }
  ESP_ASSIGN(auto made, runtime::make_engine_backends(session->model_, on, options.engines(), draft,
                                                      context.system));
  for (const std::string& note : made.notes)
    context.console.err() << "espalier: " + note + "\n" << std::flush;
  runtime::EngineOptions engine;
  engine.cache = !options.no_cache;
  // Called from threads of the engine's while the program may be writing: a line at once.
  engine.note = [&console = context.console](const std::string& message) {
    console.err() << "espalier: " + message + "\n" << std::flush;
  };
  if (options.kv_dir) {
    engine.kv_folder = *options.kv_dir;
    ESP_ASSIGN(engine.model_digest, runtime::model_fingerprint(*session->model_, context.system));
  }
  engine.host_kv_bytes = static_cast<std::uint64_t>(options.host_kv.value_or(0));
  ESP_ASSIGN(session->engine_,
             runtime::Engine::create(std::move(made.backends), engine, context.system));
  session->load_seconds_ = session->wall_seconds();
  if (context.interrupt.requested()) return fail(ErrorCode::kCancelled, "stopped");
  return session;
}

double Session::wall_seconds() const {
  return std::chrono::duration<double>(system_.now() - opened_).count();
}

Result<std::vector<TokenId>> Session::encode(std::string_view text, bool special) const {
  const runtime::Tokenizer& tokenizer = *model_->tokenizer();
  ESP_ASSIGN(std::vector<TokenId> ids,
             special ? tokenizer.encode_special(text) : tokenizer.encode(text));
  const bool has_bos = !ids.empty() && ids.front() == tokenizer.bos();
  if (tokenizer.add_bos() && tokenizer.bos() != kNoToken && !has_bos)
    ids.insert(ids.begin(), tokenizer.bos());
  return ids;
}

std::vector<TokenId> Session::end_tokens() const {
  const grammar::Vocabulary& vocabulary = *model_->tokenizer()->vocabulary();
  std::vector<TokenId> ends;
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.is_end(static_cast<TokenId>(id))) ends.push_back(static_cast<TokenId>(id));
  }
  return ends;
}

}  // namespace espalier::cli
