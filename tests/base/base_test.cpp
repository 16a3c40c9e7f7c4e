#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "base/fault_system.h"
#include "base/fuel.h"
#include "base/random.h"
#include "base/system.h"
#include "base/utf8.h"

namespace espalier {
namespace {

std::string temporary_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "espalier-base-XXXXXX").string();
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  return pattern;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Fuel, RunsOutOnceAndForAllAndNamesItsLimit) {
  Fuel fuel("states", 10);
  EXPECT_TRUE(fuel.spend(10));
  EXPECT_FALSE(fuel.spend());
  EXPECT_FALSE(fuel.spend(0));
  EXPECT_EQ(fuel.error("pattern").message, "pattern: more than 10 states");
  EXPECT_EQ(fuel.error("pattern").code, ErrorCode::kLimit);
}

TEST(Random, ADrawIsAFunctionOfKeyAndCounterAndEveryPartCounts) {
  const RandomKey key = RandomKey(7).with("hole").with(3);
  EXPECT_EQ(key.bits(5), RandomKey(7).with("hole").with(3).bits(5));
  EXPECT_NE(key.bits(5), key.bits(6));
  EXPECT_NE(key.bits(5), RandomKey(8).with("hole").with(3).bits(5));
  EXPECT_NE(RandomKey(1).with(2).with(3), RandomKey(1).with(3).with(2));
  EXPECT_NE(RandomKey(1).with("ab").with("c"), RandomKey(1).with("a").with("bc"));
}

TEST(Random, UniformIsUniform) {
  const RandomKey key(42);
  double sum = 0;
  std::array<int, 10> bins{};
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const double u = key.uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    ++bins[static_cast<std::size_t>(u * 10)];
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.01);
  for (const int bin : bins) EXPECT_NEAR(bin, 10000, 500);
}

TEST(Utf8, DecodeInvertsAppendForEveryScalarValue) {
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string text;
    utf8::append(text, cp);
    const auto decoded = utf8::decode(text, 0);
    ASSERT_EQ(decoded.length, text.size()) << std::hex << static_cast<std::uint32_t>(cp);
    ASSERT_EQ(decoded.code_point, cp);
  }
}

TEST(Utf8, RefusesWhatRfc3629Refuses) {
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xFF"}) {
    EXPECT_EQ(utf8::decode(bad, 0).length, 0) << testing::PrintToString(bad);
    EXPECT_EQ(utf8::find_malformed("ok" + bad), 2U);
    for (std::size_t before = 0; before < 20; ++before) {  // eight bytes are looked at together
      const std::string text = std::string(before, 'a') + "\u00e9" + std::string(before, 'b') + bad;
      EXPECT_EQ(utf8::find_malformed(text + "123456789"), 2 * before + 2);
    }
  }
  EXPECT_EQ(utf8::find_malformed("ok"), std::string_view::npos);
}

TEST(System, ReadNamesPathAndLimit) {
  const std::string folder = temporary_folder();
  const std::string path = folder + "/file";
  auto& system = real_system();
  ASSERT_TRUE((*system.open(path, OpenMode::kTruncate))->append(bytes_of("hello")).has_value());
  EXPECT_EQ(*system.read(path, 5), "hello");
  const auto limited = system.read(path, 4);
  ASSERT_FALSE(limited.has_value());
  EXPECT_EQ(limited.error().code, ErrorCode::kLimit);
  EXPECT_NE(limited.error().message.find("5 bytes; at most 4"), std::string::npos)
      << limited.error().message;
  EXPECT_EQ(system.read(folder + "/none", 5).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(system.read(folder, 5).error().code, ErrorCode::kInvalid);
  EXPECT_EQ((*system.map(path))->bytes().size(), 5U);
  std::filesystem::remove_all(folder);
}

TEST(System, NeitherReadingNorWritingWaitsForTheOtherEndOfAPipeThatNobodyNamed) {
  const std::string folder = temporary_folder();
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  auto& system = real_system();
  for (const std::string& path : {pipe, std::string("/dev/zero")}) {
    const auto read = system.read(path, 5);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message, "'" + path + "' is not a regular file");
    EXPECT_EQ(system.map(path).error().code, ErrorCode::kInvalid);
  }
  const auto written = system.open(pipe, OpenMode::kTruncate);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "cannot write '" + pipe + "': no process reads it");
  std::filesystem::remove_all(folder);
}

TEST(System, APipeThatIsNamedIsReadToItsEndOnceItsWriterComes) {
  const std::string folder = temporary_folder();
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  auto& system = real_system();
  const std::string text(200'000, 'x');  // more than a pipe holds
  for (const bool late : {false, true}) {
    std::thread writer([&] {
      if (late) system.sleep(std::chrono::milliseconds(60));
      std::ofstream(pipe) << text;
    });
    EXPECT_EQ(system.read_named(pipe, text.size(), nullptr), text);
    writer.join();
  }
  std::thread writer([&] { const std::ofstream nothing(pipe); });
  EXPECT_EQ(system.read_named(pipe, 5, nullptr), "");
  writer.join();
  const auto endless = system.read_named("/dev/zero", 5, nullptr);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, ErrorCode::kLimit);
  // As a shell's <(…) makes it: its writer may be gone before it is opened.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "hello", 5), 5);
  ::close(ends[1]);
  EXPECT_EQ(system.read_named("/dev/fd/" + std::to_string(ends[0]), 5, nullptr), "hello");
  ::close(ends[0]);
  std::filesystem::remove_all(folder);
}

TEST(System, APipeThatNobodyWritesIsReadUntilItIsStopped) {
  const std::string folder = temporary_folder();
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::atomic<bool> stop = false;
  std::thread stopper([&] {
    real_system().sleep(std::chrono::milliseconds(60));
    stop = true;
  });
  const auto read = real_system().read_named(pipe, 5, &stop);
  stopper.join();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCancelled);
  std::filesystem::remove_all(folder);
}

TEST(System, AFileThatIsReplacedIsTheOneThatALinkLeadsTo) {
  const std::string folder = std::filesystem::canonical(temporary_folder()).string();
  auto& system = real_system();
  EXPECT_EQ(file_to_replace(folder + "/new", system), folder + "/new");
  std::ofstream(folder + "/file") << "x";
  EXPECT_EQ(file_to_replace(folder + "/file", system), folder + "/file");
  std::filesystem::create_symlink("file", folder + "/link");
  std::filesystem::create_symlink(folder + "/link", folder + "/second");
  EXPECT_EQ(file_to_replace(folder + "/second", system), folder + "/file");
  std::filesystem::create_symlink("later", folder + "/early");
  EXPECT_EQ(file_to_replace(folder + "/early", system), folder + "/later");
  std::filesystem::create_symlink("round", folder + "/round");
  EXPECT_FALSE(file_to_replace(folder + "/round", system));
  std::filesystem::create_symlink("/dev/null", folder + "/null");
  for (const std::string& path : {folder, folder + "/null", std::string("/dev/null")})
    EXPECT_FALSE(file_to_replace(path, system)) << path;
  std::filesystem::remove_all(folder);
}

TEST(System, AFileThatIsTouchedWasModifiedNowAndIsElseTheSame) {
  const std::string folder = temporary_folder();
  std::ofstream(folder + "/old") << "x";
  std::filesystem::last_write_time(
      folder + "/old", std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  std::ofstream(folder + "/new") << "y";
  ASSERT_LT(real_system().info(folder + "/old")->modified_ns,
            real_system().info(folder + "/new")->modified_ns);
  ASSERT_TRUE(real_system().touch(folder + "/old").has_value());
  EXPECT_GE(real_system().info(folder + "/old")->modified_ns,
            real_system().info(folder + "/new")->modified_ns);
  EXPECT_EQ(real_system().read(folder + "/old", 10), "x");
  const auto absent = real_system().touch(folder + "/absent");
  ASSERT_FALSE(absent.has_value());
  EXPECT_NE(absent.error().message.find("/absent"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder + "/absent"));
  std::filesystem::remove_all(folder);
}

TEST(System, ALockIsHeldByOneAndGoneWithItsHolder) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("espalier_lock_" + std::to_string(::getpid())))
          .string();
  {
    auto first = real_system().try_lock(path);
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_NE(*first, nullptr);
    const auto second = real_system().try_lock(path);
    ASSERT_TRUE(second);
    EXPECT_EQ(*second, nullptr);
    first->reset();
    const auto third = real_system().try_lock(path);
    ASSERT_TRUE(third);
    EXPECT_NE(*third, nullptr);
    // What a process that died left behind locks nobody out.
    std::filesystem::remove(path);
    std::ofstream(path) << "left";
    const auto fourth = real_system().try_lock(path);
    ASSERT_TRUE(fourth);
    EXPECT_NE(*fourth, nullptr);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  const auto nowhere = real_system().try_lock(path + "/no/such");
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find(path), std::string::npos);
}

TEST(FaultSystem, EveryCallOfASequenceCanBeMadeToFail) {
  const std::string folder = temporary_folder();
  FaultSystem system(real_system());
  const auto write_and_read = [&]() -> Result<std::string> {
    {
      ESP_ASSIGN(const auto file, system.open(folder + "/a", OpenMode::kTruncate));
      ESP_TRY(file->append(bytes_of("x")));
      ESP_TRY(file->sync());
    }
    ESP_TRY(system.rename(folder + "/a", folder + "/b"));
    ESP_TRY(system.touch(folder + "/b"));
    return system.read(folder + "/b", 10);
  };
  std::uint64_t n = 1;
  for (;; ++n) {
    system.fail_nth(n);
    const auto result = write_and_read();
    if (!system.reached()) {
      EXPECT_EQ(*result, "x");
      break;
    }
    ASSERT_FALSE(result.has_value()) << "call " << n;
  }
  EXPECT_EQ(n, 7U);
  std::filesystem::remove_all(folder);
}

TEST(FaultSystem, AFullDiskIsExhaustion) {
  const std::string folder = temporary_folder();
  FaultSystem system(real_system());
  system.limit_disk(3);
  auto file = *system.open(folder + "/a", OpenMode::kTruncate);
  EXPECT_TRUE(file->append(bytes_of("abc")).has_value());
  EXPECT_EQ(file->append(bytes_of("d")).error().code, ErrorCode::kExhausted);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace espalier
