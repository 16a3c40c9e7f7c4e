// Models split over several files: whichever is given, all are found, and none may be missing,
// swapped, repeated or of another model.
#include "runtime/model/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/system.h"
#include "runtime/model/model.h"
#include "runtime/store/model_store.h"
#include "tests/support/gguf_edit.h"

namespace espalier::runtime {
namespace {

using espalier::testing::GgufParts;
using espalier::testing::GgufWriter;
using espalier::testing::TinyLlama;
using espalier::testing::write_file;
using ::testing::HasSubstr;

class Split : public ::testing::Test {
 protected:
  void SetUp() override {
    folder =
        std::filesystem::temp_directory_path() / ("espalier_split_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    whole = espalier::testing::take_apart(TinyLlama{}.writer().finish().bytes);
    for (int number = 1; number <= 3; ++number) write(number, part(number));
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  [[nodiscard]] std::string path(int number, int count = 3) const {
    return (folder /
            ("tiny-0000" + std::to_string(number) + "-of-0000" + std::to_string(count) + ".gguf"))
        .string();
  }
  void write(int number, const GgufWriter& writer) const {
    write_file(path(number), writer.finish().bytes);
  }
  // Part `number` of 3: the keys in the first, the tensors dealt out.
  [[nodiscard]] GgufWriter part(int number) const {
    GgufParts parts;
    if (number == 1) parts.keys = whole.keys;
    for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
      if (i * 3 / whole.tensors.size() + 1 == static_cast<std::size_t>(number)) {
        parts.tensors.push_back(whole.tensors[i]);
      }
    }
    GgufWriter writer = parts.writer();
    writer.raw("split.no", 2, std::string{static_cast<char>(number - 1), 0});
    writer.raw("split.count", 2, std::string{3, 0});
    writer.i32("split.tensors.count", static_cast<std::int32_t>(whole.tensors.size()));
    return writer;
  }
  [[nodiscard]] std::string refusal(int given = 1) const {
    const auto model = Model::load(path(given), real_system());
    return model ? "" : model.error().message;
  }

  std::filesystem::path folder;
  GgufParts whole;
};

TEST_F(Split, AnyOfTheFilesGivesTheWholeModel) {
  const auto single = (folder / "tiny.gguf").string();
  write_file(single, whole.writer().finish().bytes);
  const auto expected = Model::load(single, real_system());
  ASSERT_TRUE(expected) << expected.error().message;
  EXPECT_EQ((*expected)->facts().files, 1U);
  for (int given = 1; given <= 3; ++given) {
    const auto model = Model::load(path(given), real_system());
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->facts().files, 3U);
    EXPECT_GT((*model)->file_bytes(), 0U);
    const auto& ours = (*model)->weights().layers;
    const auto& theirs = (*expected)->weights().layers;
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_TRUE(std::equal(ours[i].down.data.begin(), ours[i].down.data.end(),
                             theirs[i].down.data.begin(), theirs[i].down.data.end()));
      (*model)->discard(ours[i].down.data);  // of whichever file
    }
  }
}

TEST_F(Split, AMissingFileIsNamed) {
  for (int missing = 1; missing <= 3; ++missing) {
    std::filesystem::rename(path(missing), folder / "away");
    EXPECT_THAT(refusal(missing == 1 ? 2 : 1),
                ::testing::AllOf(HasSubstr(path(missing)), HasSubstr("missing")));
    std::filesystem::rename(folder / "away", path(missing));
  }
}

TEST_F(Split, SwappedAndRepeatedFilesAreNamed) {
  std::filesystem::rename(path(2), folder / "away");
  std::filesystem::rename(path(3), path(2));
  std::filesystem::rename(folder / "away", path(3));
  EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr(path(2)), HasSubstr("holds part 3")));
  std::filesystem::copy_file(path(1), path(2), std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr(path(2)), HasSubstr("holds part 1")));
}

TEST_F(Split, FilesThatDisagreeAreNamed) {
  const auto expect = [&](const std::function<void(GgufWriter&)>& change, const std::string& what) {
    GgufWriter second = part(2);
    change(second);
    write(2, second);
    EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr(path(2)), HasSubstr(what)));
    write(2, part(2));
  };
  expect([](GgufWriter& w) { w.raw("split.count", 2, std::string{4, 0}); }, "split.count");
  expect([](GgufWriter& w) { w.raw("split.count", 2, std::string{0, 0}); }, "split.count");
  expect([](GgufWriter& w) { w.remove("split.count"); }, "split.count");
  expect([](GgufWriter& w) { w.remove("split.no"); }, "split.no");
  expect([](GgufWriter& w) { w.i32("split.no", -1); }, "split.no");
  expect([](GgufWriter& w) { w.i32("split.tensors.count", 7); }, "split.tensors.count");
  expect([](GgufWriter& w) { w.u32("llama.block_count", 5); }, "llama.block_count");
  expect([](GgufWriter& w) { w.string("general.architecture", "qwen2"); }, "general.architecture");
}

TEST_F(Split, ATensorInTwoFilesAndTooFewTensorsAreRefused) {
  GgufWriter second = part(2);
  second.tensor(whole.tensors[0].name, whole.tensors[0].shape, 0, whole.tensors[0].data);
  write(2, second);
  EXPECT_THAT(refusal(), HasSubstr("occurs twice"));
  second = part(2);
  second.remove_tensor(whole.tensors[whole.tensors.size() / 2].name);
  write(2, second);
  EXPECT_THAT(refusal(), HasSubstr("split.tensors.count"));
}

TEST_F(Split, AFileUnderAnotherNameIsTold) {
  std::filesystem::copy_file(path(1), folder / "renamed.gguf");
  const auto model = Model::load((folder / "renamed.gguf").string(), real_system());
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("-00001-of-00003.gguf"));
}

TEST_F(Split, TheStoreListsThemOnce) {
  const ModelStore store(real_system(), folder.string(), {});
  const auto listed = store.list();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].name, "tiny-00001-of-00003.gguf");
  std::uint64_t bytes = 0;
  for (int number = 1; number <= 3; ++number) bytes += std::filesystem::file_size(path(number));
  EXPECT_EQ(listed[0].bytes, bytes);
}

TEST(SplitName, IsReadAsWritten) {
  const auto name = split_name("a/b-00002-of-00010.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->stem, "a/b");
  EXPECT_EQ(name->number, 2U);
  EXPECT_EQ(name->count, 10U);
  EXPECT_EQ(name->file(10), "a/b-00010-of-00010.gguf");
  for (const char* other :
       {"", ".gguf", "b.gguf", "-00001-of-00002.gguf", "b-00000-of-00002.gguf",
        "b-00003-of-00002.gguf", "b-0001-of-00002.gguf", "b-0000x-of-00002.gguf",
        "b-00001-of-00002.bin", "b_00001-of-00002.gguf", "b-00001 of 00002.gguf"}) {
    EXPECT_FALSE(split_name(other)) << other;
  }
}

}  // namespace
}  // namespace espalier::runtime
