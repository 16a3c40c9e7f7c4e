#include "dsl/mock_model.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace espalier::dsl {
namespace {

constexpr TokenId kEnd = 256;
constexpr TokenId kFirstRole = 257;  // opens a system, user, assistant or tool turn
constexpr std::size_t kTokens = 261;

class ByteTokenizer final : public runtime::Tokenizer {
 public:
  explicit ByteTokenizer(grammar::VocabularyRef vocabulary) : vocabulary_(std::move(vocabulary)) {}
  Result<std::vector<TokenId>> encode(std::string_view text, runtime::TextStart) const override {
    std::vector<TokenId> ids;
    ids.reserve(text.size());
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  Result<std::vector<TokenId>> encode_special(std::string_view text) const override {
    return encode(text, runtime::TextStart::kRun);
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids)
      if (id >= 0 && id < kEnd) text += static_cast<char>(id);
    return text;
  }
  std::string_view run_prefix() const override { return {}; }
  const grammar::VocabularyRef& vocabulary() const override { return vocabulary_; }
  std::size_t size() const override { return kTokens; }
  TokenId special(std::string_view) const override { return kNoToken; }
  bool takes_space_after(TokenId) const override { return false; }
  TokenId bos() const override { return kNoToken; }
  TokenId eos() const override { return kEnd; }
  bool add_bos() const override { return false; }
  bool add_eos() const override { return false; }

 private:
  grammar::VocabularyRef vocabulary_;
};

class PlainTemplate final : public runtime::ChatTemplate {
 public:
  std::string_view family() const override { return "mock"; }
  bool supports(runtime::Role) const override { return true; }
  std::string refusal(runtime::Role) const override { return {}; }
  std::string refusal(runtime::Role, std::optional<runtime::Role>) const override { return {}; }
  runtime::Segments begin(runtime::Role) const override { return {}; }
  runtime::Segments open(runtime::Role role, std::optional<runtime::Role>) const override {
    return {runtime::Segment{kFirstRole + static_cast<TokenId>(role), {}}};
  }
  runtime::Segments close(runtime::Role) const override { return {runtime::Segment{kEnd, {}}}; }
  Result<runtime::Segments> render(const Json&, const Json&, bool) const override {
    return fail(ErrorCode::kUnsupported, "this test runs without a model");
  }
  Result<runtime::Segments> render_before(const Json&, runtime::Role, const Json&) const override {
    return fail(ErrorCode::kUnsupported, "this test runs without a model");
  }
};

class NoBackend final : public runtime::Backend {
 public:
  explicit NoBackend(std::size_t tokens)
      : info_{static_cast<std::uint32_t>(tokens), 1U << 30, 64, 1, "none", ""} {}
  const runtime::BackendInfo& info() const override { return info_; }
  Status begin(const runtime::Batch&, std::span<const std::uint32_t>) override {
    return fail(ErrorCode::kUnsupported, "this test runs without a model");
  }
  Result<std::vector<runtime::RowResult>> finish(std::span<const runtime::RowPlan>) override {
    return fail(ErrorCode::kUnsupported, "this test runs without a model");
  }
  void poison(runtime::PageId) override {}
  void export_page(runtime::PageId, std::span<std::byte>) const override {}
  void import_page(runtime::PageId, std::span<const std::byte>) override {}

 private:
  runtime::BackendInfo info_;
};

}  // namespace

Result<grammar::VocabularyRef> byte_vocabulary() {
  static const Result<grammar::VocabularyRef> made = [] {
    grammar::Vocabulary::Spec spec;
    spec.bytes.resize(kTokens);
    for (std::size_t i = 0; i < 256; ++i) spec.bytes[i] = std::string(1, static_cast<char>(i));
    spec.end_of_turn = kEnd;
    return grammar::Vocabulary::create(std::move(spec));
  }();
  return made;
}

Result<std::unique_ptr<MockModel>> MockModel::create(System& system) {
  ESP_ASSIGN(auto vocabulary, byte_vocabulary());
  return create({std::make_shared<const ByteTokenizer>(std::move(vocabulary)),
                 std::make_shared<const PlainTemplate>(), 0},
                system);
}

Result<std::unique_ptr<MockModel>> MockModel::create(const ModelParts& parts, System& system) {
  auto model = std::unique_ptr<MockModel>(new MockModel());
  ESP_ASSIGN(model->engine_,
             runtime::Engine::create(std::make_unique<NoBackend>(parts.tokenizer->size()),
                                     runtime::EngineOptions{}, system));
  RunnerOptions options;
  options.threads = 1;  // so that branches take their mocks in one order
  model->runner_ = std::make_unique<Runner>(*model->engine_, parts.tokenizer, parts.chat, options);
  return model;
}

}  // namespace espalier::dsl
