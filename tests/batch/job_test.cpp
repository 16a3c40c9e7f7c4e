#include "batch/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>

#include "base/fault_system.h"
#include "tests/support/memory_system.h"

namespace espalier::batch {
namespace {

using ::espalier::testing::MemorySystem;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kOut = "out.jsonl";

// A job over `rows` documents whose answers are a function of the text; document 3 always fails.
struct Fixture {
  explicit Fixture(std::size_t rows = 12) {
    for (std::size_t i = 0; i < rows; ++i) {
      const std::string number = std::to_string(100 + i);
      system.put("in/" + number + ".txt", "text of " + number);
    }
  }
  RowFunction function() {
    return [this](const Row& row) -> Result<Json> {
      system.advance(200ms);  // so that syncs fall between rows
      {
        const std::lock_guard lock(mutex);
        ++runs[row.document];
      }
      if (row.document == "text of 103") return fail(ErrorCode::kTool, "the tool died");
      return Json{{"length", row.document.size()},
                  {"text", row.document + "\n\"quoted\" \xC3\xA4"}};
    };
  }
  Result<JobReport> run(System& through, Journal::Options options = {}, unsigned parallel = 1) {
    ESP_ASSIGN(const auto inputs, Inputs::open("in/*.txt", through));
    ESP_ASSIGN(auto journal, Journal::open(kOut, identity, options, through));
    JobOptions job;
    job.parallel = parallel;
    return run_job(inputs, journal, function(), job, stop, through);
  }
  Result<JobReport> run(Journal::Options options = {}, unsigned parallel = 1) {
    return run(system, options, parallel);
  }

  MemorySystem system;
  Json identity = {{"program", "gen f(x: string) -> int { }"}, {"model", "toy"}};
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::map<std::string, int> runs;  // by document
};

std::vector<Json> rows_of(const std::string& text) {
  std::vector<Json> rows;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) rows.push_back(Json::parse(line));
  return rows;
}

TEST(Job, EachInputGetsOneRowInTheOrderOfTheInputs) {
  for (const unsigned parallel : {1U, 2U, 5U, 40U}) {
    Fixture fixture;
    const auto report = fixture.run({}, parallel);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->total, 12U);
    EXPECT_EQ(report->ran, 12U);
    EXPECT_EQ(report->failed, 1U);
    EXPECT_FALSE(report->cancelled);
    const auto rows = rows_of(fixture.system.get(kOut));
    ASSERT_EQ(rows.size(), 12U);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i]["id"], "in/" + std::to_string(100 + i) + ".txt");
      EXPECT_NE(rows[i].contains("value"), rows[i].contains("error"));
    }
    EXPECT_EQ(rows[3]["error"]["code"], "tool");
    EXPECT_EQ(rows[3]["error"]["message"], "the tool died");
  }
}

TEST(Job, AFinishedJobRunsNothingAgain) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  const std::string before = fixture.system.get(kOut);
  fixture.runs.clear();
  const auto report = fixture.run();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kept, 12U);
  EXPECT_EQ(report->ran, 0U);
  EXPECT_TRUE(fixture.runs.empty());
  EXPECT_EQ(fixture.system.get(kOut), before);
}

TEST(Job, NewInputsAreAddedToAFinishedJob) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  fixture.system.put("in/050.txt", "a new one");
  fixture.runs.clear();
  const auto report = fixture.run();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->ran, 1U);
  EXPECT_EQ(fixture.runs.size(), 1U);
  const auto rows = rows_of(fixture.system.get(kOut));
  ASSERT_EQ(rows.size(), 13U);
  EXPECT_EQ(rows[0]["id"], "in/050.txt");
}

TEST(Job, FailedRowsRunAgainOnlyWhenAsked) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  fixture.runs.clear();
  const auto report = fixture.run({.retry_failed = true});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->ran, 1U);
  EXPECT_EQ(fixture.runs, (std::map<std::string, int>{{"text of 103", 1}}));
  EXPECT_EQ(rows_of(fixture.system.get(kOut)).size(), 12U);
}

TEST(Job, AnotherJobsOutputIsRefusedByName) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  const std::string before = fixture.system.get(kOut);
  fixture.identity["program"] = "changed";
  fixture.identity["seed"] = 7;
  const auto refused = fixture.run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("the program and the seed changed"));
  EXPECT_THAT(refused.error().message, HasSubstr("--restart"));
  EXPECT_EQ(fixture.system.get(kOut), before);
  fixture.runs.clear();
  ASSERT_TRUE(fixture.run({.restart = true}));
  EXPECT_EQ(fixture.runs.size(), 12U);
}

TEST(Job, AFileThatNoJobWroteIsNeverTouched) {
  Fixture fixture;
  fixture.system.put(kOut, "my letters\n");
  const auto refused = fixture.run();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no job wrote it"));
  EXPECT_EQ(fixture.system.get(kOut), "my letters\n");
  fixture.system.put(identity_path(kOut), "{\"format\": 1}");
  ASSERT_FALSE(fixture.run());
  EXPECT_EQ(fixture.system.get(kOut), "my letters\n");
}

TEST(Job, AnOutputThatIsNoRegularFileIsLeftAlone) {
  std::string folder = (std::filesystem::temp_directory_path() / "espalier-batch-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const bool restart : {false, true}) {
    const auto journal = Journal::open(pipe, Json::object(), {.restart = restart}, real_system());
    ASSERT_FALSE(journal);
    EXPECT_THAT(journal.error().message, HasSubstr("not a regular file"));
    EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  }
  std::filesystem::remove_all(folder);
}

TEST(Job, AnOutputThatIsALinkIsWrittenWhereItLeads) {
  std::string folder = (std::filesystem::temp_directory_path() / "espalier-batch-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  folder = std::filesystem::canonical(folder).string();
  std::ofstream(folder + "/file") << "";
  std::filesystem::create_symlink("file", folder + "/link");
  {
    auto journal = Journal::open(folder + "/link", Json::object(), {}, real_system());
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_TRUE(journal->append({{"id", 1}, {"value", 2}}));
    const auto second = Journal::open(folder + "/file", Json::object(), {}, real_system());
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another job is writing"));
  }
  EXPECT_TRUE(std::filesystem::is_symlink(folder + "/link"));
  EXPECT_GT(std::filesystem::file_size(folder + "/file"), 0U);
  EXPECT_TRUE(std::filesystem::exists(identity_path(folder + "/file")));
  std::filesystem::remove_all(folder);
}

TEST(Job, ASecondJobOnTheSameOutputIsRefusedWhileTheFirstRuns) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  const std::string whole = fixture.system.get(kOut);
  {
    const auto first = Journal::open(kOut, fixture.identity, {}, fixture.system);
    ASSERT_TRUE(first) << first.error().message;
    for (const bool restart : {false, true}) {
      const auto second =
          Journal::open(kOut, fixture.identity, {.restart = restart}, fixture.system);
      ASSERT_FALSE(second);
      EXPECT_EQ(second.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(second.error().message, HasSubstr("another job is writing 'out.jsonl' now"));
    }
    ASSERT_TRUE(Journal::open("other.jsonl", fixture.identity, {}, fixture.system));
  }
  EXPECT_EQ(fixture.system.get(kOut), whole);
  EXPECT_TRUE(fixture.run()) << "the first is over";
}

TEST(Job, TornAndSpoiltRowsRunAgain) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  const std::string whole = fixture.system.get(kOut);
  // Every way to cut the file, and every byte of the first two rows overwritten by a zero.
  for (std::size_t cut = 0; cut <= whole.size(); cut += 7) {
    fixture.system.put(kOut, whole.substr(0, cut));
    ASSERT_TRUE(fixture.run()) << cut;
    ASSERT_EQ(fixture.system.get(kOut), whole) << "cut at " << cut;
  }
  const std::size_t two_rows = whole.find('\n', whole.find('\n') + 1);
  for (std::size_t i = 0; i < two_rows; ++i) {
    std::string spoilt = whole;
    spoilt[i] = '\0';
    fixture.system.put(kOut, spoilt);
    ASSERT_TRUE(fixture.run()) << i;
    ASSERT_EQ(fixture.system.get(kOut), whole) << "byte " << i;
  }
}

TEST(Job, DuplicateRowsInTheFileBecomeOne) {
  Fixture fixture;
  ASSERT_TRUE(fixture.run());
  const std::string whole = fixture.system.get(kOut);
  fixture.system.put(kOut, whole + whole.substr(0, whole.find('\n') + 1));
  ASSERT_TRUE(fixture.run());
  EXPECT_EQ(fixture.system.get(kOut), whole);
}

// Kills the job at every file operation, in turn until a run is not reached; then goes on, and
// looks at the output.
void kill_everywhere(double keep_unsynced, bool machine_dies, unsigned parallel) {
  Fixture reference;
  ASSERT_TRUE(reference.run());
  const std::string expected = reference.system.get(kOut);
  std::uint64_t kills = 0;
  for (std::uint64_t n = 1;; ++n) {
    Fixture fixture;
    fixture.system.die_at(n);
    const auto killed = fixture.run({}, parallel);
    if (!fixture.system.dead()) {
      ASSERT_TRUE(killed);
      break;
    }
    ++kills;
    // What stands whole in the file at this moment (after the crash: on the device) is
    // acknowledged.
    if (machine_dies) {
      fixture.system.crash(keep_unsynced);
    } else {
      fixture.system.restart();
    }
    std::size_t acknowledged = 0;
    const std::string left = fixture.system.get(kOut);
    if (left != "<absent>")
      acknowledged = static_cast<std::size_t>(std::count(left.begin(), left.end(), '\n'));
    fixture.runs.clear();
    const auto resumed = fixture.run({}, parallel);
    ASSERT_TRUE(resumed) << "killed at " << n << ": " << resumed.error().message;
    ASSERT_EQ(fixture.system.get(kOut), expected) << "killed at " << n;
    ASSERT_EQ(fixture.runs.size(), 12 - acknowledged)
        << "killed at " << n << ": a whole row ran again";
    for (const auto& path : fixture.system.paths()) {
      ASSERT_FALSE(path.ends_with(".part")) << path;
    }
  }
  EXPECT_GT(kills, 30U);
}

TEST(Job, GoesOnAfterAKillAtEveryFileOperation) { kill_everywhere(1.0, false, 1); }
TEST(Job, GoesOnAfterAKillAtEveryFileOperationWithRowsInFlight) { kill_everywhere(1.0, false, 4); }
TEST(Job, GoesOnAfterALossOfPowerThatDropsWhatWasNotSynced) { kill_everywhere(0.0, true, 1); }
TEST(Job, GoesOnAfterALossOfPowerThatTearsWhatWasNotSynced) { kill_everywhere(0.6, true, 1); }

TEST(Job, SurvivesAThousandRandomKillsAndCrashes) {
  Fixture reference(30);
  ASSERT_TRUE(reference.run());
  const std::string expected = reference.system.get(kOut);
  const std::uint32_t seed = 20260;
  std::mt19937 random(seed);
  std::size_t kills = 0;
  while (kills < 1000) {
    Fixture fixture(30);
    for (bool over = false; !over;) {
      fixture.system.die_at(1 + random() % 150);
      const auto result = fixture.run({}, 1 + random() % 4);
      if (!fixture.system.dead()) {
        ASSERT_TRUE(result) << "seed " << seed << ", kill " << kills << ": "
                            << result.error().message;
        over = true;
        break;
      }
      ++kills;
      if (random() % 2 == 0) {
        fixture.system.crash(static_cast<double>(random() % 101) / 100);
      } else {
        fixture.system.restart();
      }
    }
    ASSERT_EQ(fixture.system.get(kOut), expected) << "seed " << seed << ", kill " << kills;
  }
}

// The n-th call fails once (it does not die): an error or the right answer, and the next run puts
// it right.
TEST(Job, EveryFailedCallIsACleanErrorOrARowOfItsOwn) {
  Fixture reference;
  ASSERT_TRUE(reference.run());
  const std::string expected = reference.system.get(kOut);
  std::size_t faults = 0;
  for (std::uint64_t n = 1;; ++n) {
    Fixture fixture;
    FaultSystem faulty(fixture.system);
    faulty.fail_nth(n);
    const auto result = fixture.run(faulty);
    if (!faulty.reached()) break;
    ++faults;
    if (!result) {
      EXPECT_THAT(result.error().message, HasSubstr("injected fault")) << n;
    }
    // Reading one document failed: that row's error, which --retry-failed runs again.
    const auto resumed = fixture.run({.retry_failed = true});
    ASSERT_TRUE(resumed) << n << ": " << resumed.error().message;
    ASSERT_EQ(fixture.system.get(kOut), expected) << n;
  }
  EXPECT_GT(faults, 30U);
}

TEST(Job, AFullDiskIsAClearErrorAndTheJobGoesOnWhenThereIsRoom) {
  Fixture reference;
  ASSERT_TRUE(reference.run());
  const std::string expected = reference.system.get(kOut);
  for (std::uint64_t room = 0; room < 2 * expected.size(); room += 97) {
    Fixture fixture;
    fixture.system.limit_disk(room);
    const auto full = fixture.run();
    const std::string left = fixture.system.get(kOut);
    if (!full) {
      EXPECT_EQ(full.error().code, ErrorCode::kExhausted);
      EXPECT_THAT(full.error().message, HasSubstr("No space left"));
      EXPECT_TRUE(left == "<absent>" || left.empty() || left.back() == '\n') << "torn at " << room;
    }
    fixture.system.limit_disk(UINT64_MAX);
    ASSERT_TRUE(fixture.run()) << room;
    ASSERT_EQ(fixture.system.get(kOut), expected) << room;
  }
}

TEST(Job, ARowThatWasCancelledIsNotWrittenAndRunsLater) {
  Fixture fixture;
  std::atomic<int> ran = 0;
  const auto inputs = Inputs::open("in/*.txt", fixture.system);
  ASSERT_TRUE(inputs);
  {
    auto journal = Journal::open(kOut, fixture.identity, {}, fixture.system);
    ASSERT_TRUE(journal);
    const RowFunction until_stopped = [&](const Row& row) -> Result<Json> {
      if (++ran > 5) {
        fixture.stop = true;
        return fail(ErrorCode::kCancelled, "stopped");
      }
      return fixture.function()(row);
    };
    const auto report =
        run_job(*inputs, *journal, until_stopped, {.parallel = 1, .on_row = {}, .cancel_rows = {}},
                fixture.stop, fixture.system);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->cancelled);
    EXPECT_EQ(report->ran, 5U);
  }
  EXPECT_EQ(rows_of(fixture.system.get(kOut)).size(), 5U);
  fixture.stop = false;
  const auto report = fixture.run();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kept, 5U);
  EXPECT_EQ(report->ran, 7U);
}

TEST(Job, AFullDiskEndsTheRowsInFlight) {
  Fixture fixture;
  const auto inputs = Inputs::open("in/*.txt", fixture.system);
  auto journal = Journal::open(kOut, fixture.identity, {}, fixture.system);
  ASSERT_TRUE(inputs && journal);
  fixture.system.limit_disk(10);
  std::atomic<bool> cancelled = false;
  JobOptions options;
  options.parallel = 3;
  options.cancel_rows = [&] { cancelled = true; };
  const auto report =
      run_job(*inputs, *journal, fixture.function(), options, fixture.stop, fixture.system);
  ASSERT_FALSE(report);
  EXPECT_TRUE(cancelled);
}

// Where what runs the rows is gone, no row has that error: the same command runs them.
TEST(Job, ALostDeviceEndsTheJobAndTheSameCommandGoesOn) {
  Fixture reference;
  ASSERT_TRUE(reference.run());
  for (const unsigned parallel : {1U, 3U}) {
    Fixture fixture;
    const auto inputs = Inputs::open("in/*.txt", fixture.system);
    auto journal = Journal::open(kOut, fixture.identity, {}, fixture.system);
    ASSERT_TRUE(inputs && journal);
    std::atomic<int> ran = 0;
    const RowFunction until_lost = [&](const Row& row) -> Result<Json> {
      if (++ran > 6) return fail(ErrorCode::kInternal, "CUDA: step of 1 rows: device lost");
      return fixture.function()(row);
    };
    std::atomic<bool> cancelled = false;
    JobOptions options;
    options.parallel = parallel;
    options.cancel_rows = [&] { cancelled = true; };
    options.ends_job = [](const Error& error) { return error.code == ErrorCode::kInternal; };
    const auto report =
        run_job(*inputs, *journal, until_lost, options, fixture.stop, fixture.system);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("device lost"));
    EXPECT_TRUE(cancelled);
    EXPECT_LE(ran, 6 + static_cast<int>(parallel));
    for (const Json& row : rows_of(fixture.system.get(kOut))) {
      EXPECT_TRUE(row.contains("value") || row["error"]["code"] == "tool") << row;
    }
    journal = fail(ErrorCode::kInternal, "closed");
    const auto rest = fixture.run();
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_GT(rest->kept, 0U);
    EXPECT_EQ(fixture.system.get(kOut), reference.system.get(kOut));
  }
}

TEST(Job, ProgressCountsEveryRow) {
  Fixture fixture;
  const auto inputs = Inputs::open("in/*.txt", fixture.system);
  auto journal = Journal::open(kOut, fixture.identity, {}, fixture.system);
  ASSERT_TRUE(inputs && journal);
  std::vector<std::uint64_t> done;
  JobOptions options;
  options.parallel = 4;
  options.on_row = [&](const JobProgress& progress) { done.push_back(progress.done); };
  ASSERT_TRUE(
      run_job(*inputs, *journal, fixture.function(), options, fixture.stop, fixture.system));
  ASSERT_EQ(done.size(), 12U);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 12U);
}

}  // namespace
}  // namespace espalier::batch
