// Each test runs the writer under the preload library until it kills itself, cuts the power,
// and compares what is left with what POSIX promises, byte for byte.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/powercut/restore.h"

namespace holdfast::powercut {
namespace {

namespace fs = std::filesystem;
constexpr size_t kSector = 512;

std::string Runfile(const std::string& name) {
  const char* const folder = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  const std::string base = folder == nullptr ? "bazel-bin" : absl::StrCat(folder, "/", workspace);
  return fs::absolute(absl::StrCat(base, "/tests/support/powercut/", name)).string();
}

// "100*A 3*B": the bytes of a file as runs.
std::string Runs(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const size_t end = std::min(bytes.find_first_not_of(bytes[i], i), bytes.size());
    const std::string shown = bytes[i] == '\0' ? "0" : std::string(1, bytes[i]);
    absl::StrAppend(&text, text.empty() ? "" : " ", end - i, "*", shown);
    i = end;
  }
  return text;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

class PowerCut : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("TEST_TMPDIR");
    std::string pattern = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/powercut.XXXXXX");
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    fs::create_directories(root());
    fs::create_directories(journal());
  }
  void TearDown() override { fs::remove_all(base_); }

  fs::path root() const { return base_ / "root"; }
  fs::path journal() const { return base_ / "journal"; }

  // Runs the script; true iff it ran to its end or to its `kill`.
  bool Write(const std::string& script, const std::vector<std::string>& environment = {}) {
    std::ofstream(base_ / "script") << script;
    std::string command;
    for (const std::string& setting : environment) absl::StrAppend(&command, setting, " ");
    absl::StrAppend(&command, "HOLDFAST_POWERCUT_ROOT=", root().string(),
                    " HOLDFAST_POWERCUT_JOURNAL=", journal().string(),
                    " LD_PRELOAD=", Runfile("libpowercut.so"), " exec ", Runfile("writer"), " ",
                    root().string(), " ", (base_ / "script").string(), " > ",
                    (base_ / "output").string(), " 2>&1");
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) return false;
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    return killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  std::string Output() const { return ReadFile(base_ / "output"); }

  // One line per file or directory, by name: "path: runs" or "path/".
  std::string Listing() const {
    std::set<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(root())) {
      const std::string name = fs::relative(entry.path(), root()).string();
      lines.insert(entry.is_directory() ? name + "/" : name + ": " + Runs(ReadFile(entry.path())));
    }
    std::string text;
    for (const std::string& line : lines) absl::StrAppend(&text, line, "\n");
    return text;
  }

  // The listing after the script and a strict power cut.
  std::string AfterCut(const std::string& script,
                       const std::vector<std::string>& environment = {}) {
    if (!Write(script, environment)) return "the writer failed: " + Output();
    const auto report = Restore(root().string(), journal().string(), {});
    return report.ok() ? Listing() : report.status().ToString();
  }

  fs::path base_;
};

struct Case {
  const char* rule;
  const char* script;
  const char* left;
};

const Case kCases[] = {
    {"a file without a synced directory is lost", "append a 100 A\nfsync a\nkill\n", ""},
    {"a synced directory without a synced file keeps an empty file",
     "append a 100 A\nsyncdir .\nkill\n", "a: \n"},
    {"file and directory synced are kept", "append a 100 A\nsync a\nsyncdir .\nkill\n",
     "a: 100*A\n"},
    {"an append after the sync is lost",
     "append a 700 A\nsync a\nsyncdir .\nappend a 700 B\nkill\n", "a: 700*A\n"},
    {"a synced append is kept",
     "append a 700 A\nsyncdir .\nappend a 700 B\nsync a\nappend a 1 C\nkill\n", "a: 700*A 700*B\n"},
    {"an unsynced overwrite brings the old bytes back",
     "append a 2000 A\nsync a\nsyncdir .\nwrite a 100 900 B\nwrite a 50 100 C\nkill\n",
     "a: 2000*A\n"},
    {"an overwrite across the end", "append a 1000 A\nsync a\nsyncdir .\nwrite a 900 900 B\nkill\n",
     "a: 1000*A\n"},
    {"a synced overwrite is kept",
     "append a 2000 A\nsync a\nsyncdir .\nwrite a 100 900 B\nsync a\nwrite a 0 10 C\nkill\n",
     "a: 100*A 900*B 1000*A\n"},
    {"a preallocated segment keeps its length and its synced overwrites",
     "allocate a 0 4096\nsync a\nsyncdir .\nwrite a 0 512 A\nsync a\nwrite a 512 512 B\nkill\n",
     "a: 512*A 3584*0\n"},
    {"an unsynced allocation is lost", "append a 9 A\nsync a\nsyncdir .\nallocate a 0 4096\nkill\n",
     "a: 9*A\n"},
    {"an unsynced punch brings the bytes back",
     "append a 9000 A\nsync a\nsyncdir .\npunch a 0 4096\nkill\n", "a: 9000*A\n"},
    {"an unsynced truncation brings the end back",
     "append a 3000 A\nsync a\nsyncdir .\ntruncate a 10\nappend a 20 B\nkill\n", "a: 3000*A\n"},
    {"a synced truncation is kept",
     "append a 3000 A\nsync a\nsyncdir .\ntruncate a 10\nsync a\nappend a 20 B\nkill\n",
     "a: 10*A\n"},
    {"a write with O_DSYNC is durable by itself, and nothing else is",
     "append a 2048 A\nsync a\nsyncdir .\nwrite a 0 512 B\ndsync a 512 512 C\nkill\n",
     "a: 512*A 512*C 1024*A\n"},
    {"an unsynced rename is undone and its victim comes back",
     "append a 5 A\nsync a\nappend b 5 B\nsync b\nsyncdir .\nrename a b\nkill\n",
     "a: 5*A\nb: 5*B\n"},
    {"a synced rename is kept with its victim gone",
     "append a 5 A\nsync a\nappend b 5 B\nsync b\nsyncdir .\nrename a b\nsyncdir .\nkill\n",
     "b: 5*A\n"},
    {"replacing a file without syncing it first loses the bytes",
     "append b 5 B\nsync b\nsyncdir .\nappend a 5 A\nrename a b\nsyncdir .\nkill\n", "b: \n"},
    {"an unsynced removal is undone", "append a 5 A\nsync a\nsyncdir .\nunlink a\nkill\n",
     "a: 5*A\n"},
    {"a synced removal is kept", "append a 5 A\nsync a\nsyncdir .\nunlink a\nsyncdir .\nkill\n",
     ""},
    {"a removed file comes back as it was synced",
     "append a 5 A\nsync a\nsyncdir .\nwrite a 0 5 B\nclose a\nunlink a\nkill\n", "a: 5*A\n"},
    {"a removed and recreated name comes back as the old file",
     "append a 5 A\nsync a\nsyncdir .\nclose a\nunlink a\nappend a 7 B\nsync a\nkill\n",
     "a: 5*A\n"},
    {"a recycled segment under its new name",
     "append 1 1024 A\nsync 1\nsyncdir .\nclose 1\nrename 1 2\nsyncdir .\nwrite 2 0 512 B\n"
     "sync 2\nwrite 2 512 512 C\nkill\n",
     "2: 512*B 512*A\n"},
    {"a recycled segment whose rename was not synced",
     "append 1 1024 A\nsync 1\nsyncdir .\nclose 1\nrename 1 2\nwrite 2 0 512 B\nsync 2\nkill\n",
     "1: 512*B 512*A\n"},
    {"a directory that was not synced into its parent is lost with all in it",
     "mkdir d\nappend d/a 5 A\nsync d/a\nsyncdir d\nkill\n", ""},
    {"a directory synced at both ends is kept",
     "mkdir d\nappend d/a 5 A\nsync d/a\nsyncdir d\nsyncdir .\nappend d/b 1 B\nsync d/b\nkill\n",
     "d/\nd/a: 5*A\n"},
    {"a removed directory comes back with its files",
     "mkdir d\nappend d/a 5 A\nsync d/a\nsyncdir d\nsyncdir .\nclose d/a\nunlink d/a\nrmdir d\n"
     "kill\n",
     "d/\nd/a: 5*A\n"},
    {"a rename of a directory is undone",
     "mkdir d\nappend d/a 5 A\nsync d/a\nsyncdir d\nsyncdir .\nrename d e\nkill\n",
     "d/\nd/a: 5*A\n"},
    {"changes in a directory renamed for good are undone under its new name",
     "mkdir d\nappend d/a 5 A\nsync d/a\nsyncdir d\nsyncdir .\nappend d/b 5 B\nsync d/b\n"
     "rename d e\nsyncdir .\nkill\n",
     "e/\ne/a: 5*A\n"},
    {"a rename across directories is durable with either",
     "mkdir d\nsyncdir .\nappend a 5 A\nsync a\nsyncdir .\nrename a d/a\nsyncdir d\nkill\n",
     "d/\nd/a: 5*A\n"},
    {"a durable rename carries the creation before it",
     "mkdir d\nsyncdir .\nappend a 5 A\nsync a\nrename a d/a\nsyncdir d\nkill\n", "d/\nd/a: 5*A\n"},
    {"an unsynced link is undone and leaves the first name",
     "append a 5 A\nsync a\nsyncdir .\nlink a b\nkill\n", "a: 5*A\n"},
    {"a link outlives the removal of the first name",
     "append a 5 A\nsync a\nsyncdir .\nlink a b\nunlink a\nsyncdir .\nkill\n", "b: 5*A\n"},
    {"what stdio wrote is lost, and what it replaced comes back",
     "append a 50 A\nsync a\nsyncdir .\nclose a\nstdio a 20 B\nkill\n", "a: 50*A\n"},
    {"what stdio wrote is durable once the file is synced",
     "stdio a 20 B\nsync a\nsyncdir .\nappend a 5 C\nkill\n", "a: 20*B\n"},
    {"a stream's copy is tracked", "append a 5 A\nsync a\ncopy a b\nsyncdir .\nkill\n",
     "a: 5*A\nb: \n"},
    {"a clean exit is a power cut as well", "append a 5 A\nsync a\nsyncdir .\nappend a 5 B\n",
     "a: 5*A\n"},
};

// A process that was killed while the library made its journal had failed the cut.
TEST_F(PowerCut, AProcessWithoutAWholeJournalHasChangedNothing) {
  std::ofstream(root() / "f") << "AAA";
  std::ofstream(journal() / "lock");
  std::ofstream(journal() / "control");
  std::ofstream(journal() / "names");
  const auto report = Restore(root().string(), journal().string(), {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->writes_undone + report->names_undone, 0u);
  EXPECT_EQ(Listing(), "f: 3*A\n");
}

TEST_F(PowerCut, LeavesExactlyWhatWasSynced) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.rule);
    TearDown();
    SetUp();
    EXPECT_EQ(AfterCut(c.script), c.left);
  }
}

TEST_F(PowerCut, WithSyncsIgnoredNothingIsKept) {
  const char* const kScript =
      "append a 100 A\nsync a\nfsync a\nsyncdir .\nmkdir d\nsyncdir .\nkill\n";
  EXPECT_EQ(AfterCut(kScript), "a: 100*A\nd/\n");
  TearDown();
  SetUp();
  EXPECT_EQ(AfterCut(kScript, {"HOLDFAST_POWERCUT_IGNORE_SYNC=1"}), "");
}

// What a killed process left in the page cache is there for the next one, and still not synced.
TEST_F(PowerCut, UnsyncedBytesOfAnEarlierProcessAreLostToo) {
  ASSERT_TRUE(Write("append a 5 A\nsync a\nsyncdir .\nappend a 5 B\nappend b 5 B\nkill\n"));
  EXPECT_EQ(Listing(), "a: 5*A 5*B\nb: 5*B\n");
  EXPECT_EQ(AfterCut("append c 5 C\nsync c\nsyncdir .\nkill\n"), "a: 5*A\nb: \nc: 5*C\n");
}

TEST_F(PowerCut, ASyncByTheNextProcessCoversTheEarlierOnesBytes) {
  ASSERT_TRUE(Write("append a 5 A\nsync a\nsyncdir .\nappend a 5 B\nkill\n"));
  EXPECT_EQ(AfterCut("sync a\nappend a 5 C\nkill\n"), "a: 5*A 5*B\n");
}

TEST_F(PowerCut, TwoCutsInARow) {
  EXPECT_EQ(AfterCut("append a 5 A\nsync a\nsyncdir .\nappend a 5 B\nkill\n"), "a: 5*A\n");
  EXPECT_EQ(AfterCut("append a 5 C\nsync a\nappend a 5 D\nkill\n"), "a: 5*A 5*C\n");
}

TEST_F(PowerCut, KeepsARandomPartSectorBySector) {
  std::set<char> seen;
  std::set<size_t> lengths;
  bool torn = false;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    TearDown();
    SetUp();
    ASSERT_TRUE(
        Write("append a 4096 A\nsync a\nsyncdir .\nwrite a 0 4096 B\n"
              "write a 0 4096 C\nappend a 1024 D\nkill\n"));
    const RestoreOptions options = {.keep = Keep::kRandomPart, .seed = seed};
    ASSERT_TRUE(Restore(root().string(), journal().string(), options).ok());
    const std::string bytes = ReadFile(root() / "a");
    lengths.insert(bytes.size());
    std::set<char> kinds;
    for (size_t at = 0; at < bytes.size(); at += kSector) {
      const std::string sector = bytes.substr(at, kSector);
      EXPECT_EQ(sector, std::string(sector.size(), sector[0])) << "torn inside a sector";
      const std::string allowed = at < 4096 ? "ABC" : std::string("D\0", 2);
      EXPECT_NE(allowed.find(sector[0]), std::string::npos) << "seed " << seed << " at " << at;
      kinds.insert(sector[0]);
    }
    torn = torn || (kinds.count('A') + kinds.count('B') + kinds.count('C')) > 1;
    seen.insert(kinds.begin(), kinds.end());
  }
  EXPECT_EQ(seen, (std::set<char>{'\0', 'A', 'B', 'C', 'D'}));
  EXPECT_EQ(lengths, (std::set<size_t>{4096, 5120}));
  EXPECT_TRUE(torn);
}

TEST_F(PowerCut, NeverTouchesSyncedBytesWhateverTheSeed) {
  std::set<std::string> listings;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    TearDown();
    SetUp();
    ASSERT_TRUE(
        Write("append a 1024 A\nsync a\nappend b 9 B\nsync b\nsyncdir .\n"
              "write a 512 512 X\nsync a\nappend c 9 C\nunlink b\nrename c d\nkill\n"));
    const RestoreOptions options = {.keep = Keep::kRandomPart, .seed = seed};
    ASSERT_TRUE(Restore(root().string(), journal().string(), options).ok());
    EXPECT_EQ(Runs(ReadFile(root() / "a")), "512*A 512*X");
    if (fs::exists(root() / "b")) {
      EXPECT_EQ(Runs(ReadFile(root() / "b")), "9*B");
    }
    EXPECT_FALSE(fs::exists(root() / "c") && fs::exists(root() / "d"));
    std::string names;
    for (const char* name : {"a", "b", "c", "d"}) {
      if (fs::exists(root() / name)) names += name;
    }
    listings.insert(names);
  }
  // Names come and go in the order in which they were changed.
  EXPECT_EQ(listings, (std::set<std::string>{"ab", "abc", "ac", "ad"}));
}

TEST_F(PowerCut, AFullDiskRefusesWhatNeedsRoom) {
  EXPECT_EQ(AfterCut("append a 512 A\nsync a\nsyncdir .\nfails append b 1 B\n"
                     "fails append a 1 B\nfails allocate a 0 4096\nwrite a 0 10 C\nsync a\n",
                     {"HOLDFAST_POWERCUT_FAIL=enospc", "HOLDFAST_POWERCUT_FAIL_AFTER=2"}),
            "a: 10*C 502*A\n");
  EXPECT_EQ(Output(), "ENOSPC\nENOSPC\nENOSPC\n");
}

TEST_F(PowerCut, AReadOnlyDiskRefusesEveryChange) {
  EXPECT_EQ(AfterCut("append a 5 A\nsync a\nsyncdir .\nfails append a 5 B\nfails unlink a\n"
                     "fails rename a b\nfails mkdir d\nfails truncate a 1\n",
                     {"HOLDFAST_POWERCUT_FAIL=erofs", "HOLDFAST_POWERCUT_FAIL_AFTER=2"}),
            "a: 5*A\n");
  EXPECT_EQ(Output(), "EROFS\nEROFS\nEROFS\nEROFS\nEROFS\n");
}

// Linux reports a failed write-back once, marks the pages clean, and answers success from then
// on although the bytes never reached the disk.
TEST_F(PowerCut, WhatAFailedSyncCoveredIsLostEvenIfALaterSyncSucceeds) {
  ASSERT_TRUE(Write("append a 2048 A\nsync a\nsyncdir .\nwrite a 0 512 B\nfails sync a\nkill\n",
                    {"HOLDFAST_POWERCUT_FAIL=eio_fsync", "HOLDFAST_POWERCUT_FAIL_AFTER=2"}));
  EXPECT_EQ(Output(), "EIO\n");
  EXPECT_EQ(AfterCut("write a 512 512 C\nsync a\nkill\n", {"HOLDFAST_POWERCUT_FAIL=none"}),
            "a: 512*A 512*C 1024*A\n");
}

TEST_F(PowerCut, FaultsCanBeSwitchedFromOutside) {
  ASSERT_TRUE(Write("append a 5 A\nsync a\nsyncdir .\n"));
  ASSERT_TRUE(SetDiskFault(journal().string(), DiskFault::kNoSpace, 0).ok());
  ASSERT_TRUE(Write("fails append a 5 B\n"));
  EXPECT_EQ(*InjectedFailures(journal().string()), 1u);
  ASSERT_TRUE(SetDiskFault(journal().string(), DiskFault::kNone, 0).ok());
  EXPECT_EQ(AfterCut("append a 5 C\nsync a\n"), "a: 5*A 5*C\n");
}

TEST_F(PowerCut, WritableSharedMappingsAreRefusedLoudly) {
  EXPECT_FALSE(Write("append a 5000 A\nmap a\n"));
  EXPECT_NE(Output().find("writable shared mapping cannot be followed"), std::string::npos)
      << Output();
}

TEST_F(PowerCut, AWriteBehindTheLibrarysBackIsReported) {
  ASSERT_TRUE(Write("append a 5 A\nsync a\nsyncdir .\nkill\n"));
  std::ofstream(root() / "a", std::ios::app) << "unseen";
  const auto report = Restore(root().string(), journal().string(), {});
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition) << report.status();
}

}  // namespace
}  // namespace holdfast::powercut
