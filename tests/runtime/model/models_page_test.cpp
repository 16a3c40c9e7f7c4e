// docs/models.md says what can be run; this makes its table from runs and compares.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/system.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/architecture.h"
#include "runtime/model/model.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "tests/support/gguf_edit.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/run_step.h"
#include "tests/support/source_folder.h"
#include "tests/support/tiny_architecture.h"

namespace espalier::runtime {
namespace {

using espalier::testing::GgufWriter;
using espalier::testing::TinyArchitecture;

// Whether the model loads and a token runs.
bool runs(const TinyArchitecture& tiny, std::string_view family) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("espalier_page_" + std::to_string(::getpid()) + ".gguf");
  espalier::testing::write_file(path.string(), tiny.writer().finish().bytes);
  const auto model = Model::load(path.string(), real_system());
  std::filesystem::remove(path);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return false;
  }
  auto backend = CpuBackend::create(
      *model, {.threads = 1, .kv_bytes = std::uint64_t{1} << 20, .isa = ""}, real_system());
  if (!backend) return false;
  Batch batch;
  batch.sequences = {{0}};
  batch.rows = {{3, 0, 0, 0, 1}};
  batch.writes = {{0, 0}};
  RowPlan plan;
  plan.want = Want::kLogprobs;
  plan.count = 1;
  return run_step(**backend, batch, std::vector{plan}).has_value() &&
         (*model)->chat_template()->family() == family;
}

std::string tick(std::string_view name) { return "`" + std::string(name) + "`"; }

// The families that the refusal of an unknown one names.
std::string tokenizers() {
  GgufWriter writer;
  writer.string("tokenizer.ggml.model", "mystery");
  const auto file = Gguf::parse(espalier::testing::mapping_of(writer.finish().bytes), "f");
  const std::string message = load_tokenizer(*file).error().message;
  const std::string mark = "supported: ";
  return message.substr(message.rfind(mark) + mark.size());
}

std::string table() {
  std::string out =
      "| architecture | tensor types | tokenizers | chat templates |\n|---|---|---|---|\n";
  for (const Architecture* architecture : architectures()) {
    std::string types;
    for (const TensorType type : tensor_types()) {
      TinyArchitecture tiny{std::string(architecture->name), static_cast<std::uint32_t>(type)};
      tiny.width =
          tensor_traits(type)->block_weights == 1 ? 32 : tensor_traits(type)->block_weights;
      if (!runs(tiny, "none")) continue;
      types += (types.empty() ? "" : " ") + std::string(tensor_traits(type)->name);
    }
    std::string families;
    for (const bool sentencepiece : {false, true}) {
      TinyArchitecture tiny{std::string(architecture->name)};
      tiny.sentencepiece = sentencepiece;
      if (runs(tiny, "none"))
        families += (families.empty() ? "" : " ") + tick(sentencepiece ? "llama" : "gpt2");
    }
    TinyArchitecture chatting{std::string(architecture->name)};
    chatting.chat = true;
    const std::string templates = runs(chatting, "chatml") ? "none, Jinja" : "none";
    out += "| " + tick(architecture->name) + " | " + types + " | " + families + " | " + templates +
           " |\n";
  }
  return out + "\nTokenizers (`tokenizer.ggml.model`): " + tokenizers() +
         ".\nPre-tokenizers of `gpt2`: " + pre_tokenizer_families() + ".\n";
}

TEST(ModelsPage, SaysWhatRuns) {
  const std::string page =
      espalier::testing::read_whole(espalier::testing::source_folder() + "/docs/models.md");
  const std::string begin = "<!-- made by tests/runtime/model/models_page_test.cpp -->\n";
  const std::string end = "<!-- end -->\n";
  const std::size_t from = page.find(begin);
  const std::size_t to = page.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  // Where they differ, what stands between the marks must be what the runs give.
  EXPECT_EQ(page.substr(from + begin.size(), to - from - begin.size()), table());
}

}  // namespace
}  // namespace espalier::runtime
