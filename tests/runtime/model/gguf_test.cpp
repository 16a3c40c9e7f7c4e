#include "runtime/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {
namespace {

using espalier::testing::GgufWriter;
using espalier::testing::mapping_of;
using espalier::testing::TinyLlama;
using ::testing::HasSubstr;

Result<Gguf> parse(const std::string& bytes) { return Gguf::parse(mapping_of(bytes), "test.gguf"); }

TEST(Gguf, WhatIsWrittenIsRead) {
  GgufWriter writer;
  writer.u32("u", 7).i32("i", -3).f32("f", 1.5F).f64("d", 2.5).boolean("b", true).string("s",
                                                                                         "text");
  writer.strings("ss", {"a", "", "ccc"}).i32s("is", {1, -2}).f32s("fs", {0.5F});
  writer.tensor("t", {4, 2}, 0, std::string(32, 'x'));
  for (const std::uint32_t version : {2U, 3U}) {
    const auto file = parse(writer.finish(version).bytes);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->integer("u", 0, 10), 7U);
    EXPECT_EQ(file->number("f", 0, 2), 1.5);
    EXPECT_EQ(file->number("d", 0, 3), 2.5);
    EXPECT_EQ(file->boolean("b"), true);
    EXPECT_EQ(file->string("s"), "text");
    EXPECT_EQ(file->strings("ss"), (std::vector<std::string_view>{"a", "", "ccc"}));
    EXPECT_EQ(file->integers("is"), (std::vector<std::int64_t>{1, -2}));
    EXPECT_EQ(file->numbers("fs"), (std::vector<float>{0.5F}));
    const auto tensor = file->tensor("t", 4, 2);
    ASSERT_TRUE(tensor) << tensor.error().message;
    EXPECT_EQ(tensor->data.size(), 32U);
  }
}

}  // namespace
}  // namespace espalier::runtime
