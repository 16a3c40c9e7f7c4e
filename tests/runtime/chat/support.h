// Chat templates as the tests load them: from a source, beside a tiny model's vocabulary, and those
// of the reference data.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/load_chat_template.h"
#include "runtime/chat/segments.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {

inline constexpr Role kRoles[] = {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool};

struct Loaded {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat;

  std::string text(const Segments& segments) const { return text_of(*tokenizer, segments); }
};

inline Loaded load(const Gguf& file) {
  Loaded loaded;
  auto tokenizer = load_tokenizer(file);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  loaded.tokenizer = *tokenizer;
  auto chat = load_chat_template(file, loaded.tokenizer);
  EXPECT_TRUE(chat) << chat.error().message;
  loaded.chat = *chat;
  return loaded;
}

inline Loaded load(const testing::GgufWriter& writer) {
  const auto file = Gguf::parse(testing::mapping_of(writer.finish().bytes), "test.gguf");
  EXPECT_TRUE(file) << file.error().message;
  return load(*file);
}

inline Loaded with_template(const std::string& source) {
  auto writer = testing::TinyLlama{}.writer();
  writer.string("tokenizer.chat_template", source);
  return load(writer);
}

/// What the pieces write for a conversation.
inline Segments by_pieces(const ChatTemplate& chat, const std::vector<Role>& roles,
                          const std::vector<std::string>& texts) {
  Segments out = chat.begin(roles.front());
  std::optional<Role> previous;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    append(out, chat.open(roles[i], previous));
    append(out, {{kNoToken, texts[i]}});
    append(out, chat.close(roles[i]));
    previous = roles[i];
  }
  return out;
}

/// (title, source) of each in the reference data, by title; empty where that is absent.
inline std::vector<std::pair<std::string, std::string>> reference_templates() {
  std::vector<std::pair<std::string, std::string>> found;
  const auto folder = testing::data_file("tokenizers/chat_templates");
  if (!folder) return found;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    std::ifstream in(entry.path());
    std::stringstream source;
    source << in.rdbuf();
    found.emplace_back(entry.path().stem().string(), source.str());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace espalier::runtime
