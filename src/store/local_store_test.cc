#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "store/store.h"

namespace arrowport::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class LocalStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "arrowport-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    outer_ = pattern;
    root_ = outer_ / "root";
    auto opened = OpenLocalStore(root_.string(), Durability::kSync, true);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = *opened;
  }
  void TearDown() override { fs::remove_all(outer_); }

  std::vector<std::string> Names(std::string_view folder, std::string_view after = "") {
    std::vector<std::string> names;
    EXPECT_TRUE(store_->List(folder, after, [&](const FileInfo& info) {
                        names.push_back(info.path);
                        return arrow::Status::OK();
                      }).ok());
    return names;
  }
  std::string Content(std::string_view path) {
    auto buffer = store_->Read(path, 1 << 20);
    return buffer.ok() ? (*buffer)->ToString() : buffer.status().ToString();
  }
  static ErrorCode Code(const arrow::Status& status) {
    EXPECT_FALSE(status.ok());
    return status.ok() ? ErrorCode::kInternal : CodeOf(status);
  }

  fs::path outer_, root_;
  std::shared_ptr<Store> store_;
};

TEST_F(LocalStoreTest, PutIfAbsentHasOneWinner) {
  std::atomic<int> won = 0, lost = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const auto status = store_->PutIfAbsent("log/1.json", std::to_string(i));
      if (status.ok()) {
        ++won;
      } else if (CodeOf(status) == ErrorCode::kAlreadyExists) {
        ++lost;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 7);
  // No temporary file is left, of the winner or of the losers.
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "log"), {}), 1);
}

TEST_F(LocalStoreTest, AWriterKilledLeavesNothingBehind) {
  const pid_t child = fork();
  if (child == 0) {
    for (const char* path : {"data/a", "data/b"}) {
      auto writer = store_->Create(path);
      if (!writer.ok() || !(*writer)->stream()->Write("rows").ok()) _exit(1);
      (void)writer->release();
    }
    (void)store_->Create("data/c").ValueOrDie()->Finish();
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  // Where the file system has no unnamed files, vacuum knows theirs.
  const int unnamed = open((root_ / "data").c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (unnamed < 0) GTEST_SKIP() << "this file system has no files without a name";
  close(unnamed);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root_ / "data")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ElementsAre("c"));
}

TEST_F(LocalStoreTest, ALockHasOneHolderAmongAllProcesses) {
  auto held = store_->TryLock("log/lock").ValueOrDie();
  ASSERT_NE(held, nullptr);
  auto other = OpenLocalStore(root_.string(), Durability::kSync, true).ValueOrDie();
  EXPECT_EQ(other->TryLock("log/lock").ValueOrDie(), nullptr);
  EXPECT_NE(other->TryLock("log/other").ValueOrDie(), nullptr);
  held.reset();
  const pid_t child = fork();
  if (child == 0) {
    (void)other->TryLock("log/lock").ValueOrDie().release();
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_NE(store_->TryLock("log/lock").ValueOrDie(), nullptr);
  EXPECT_EQ(Code(store_->TryLock("../lock").status()), ErrorCode::kInvalidName);
}

TEST_F(LocalStoreTest, PutReplaces) {
  ASSERT_TRUE(store_->Put("a", "one").ok());
  ASSERT_TRUE(store_->Put("a", "two").ok());
  EXPECT_EQ(Content("a"), "two");
}

TEST_F(LocalStoreTest, ListsInNameOrderAfterAName) {
  for (const char* name : {"d/10", "d/2", "d/1", "d/sub/3", "e"}) {
    ASSERT_TRUE(store_->Put(name, "x").ok());
  }
  EXPECT_THAT(Names("d"), ElementsAre("d/1", "d/10", "d/2"));
  EXPECT_THAT(Names("d", "1"), ElementsAre("d/10", "d/2"));
  EXPECT_THAT(Names("missing"), ElementsAre());
  std::vector<std::string> all;
  ASSERT_TRUE(store_->ListBelow("", [&](const FileInfo& info) {
                      all.push_back(info.path);
                      return arrow::Status::OK();
                    }).ok());
  EXPECT_THAT(all, ::testing::UnorderedElementsAre("d/1", "d/10", "d/2", "d/sub/3", "e"));
}

TEST_F(LocalStoreTest, AFileAppearsOnlyWhenFinished) {
  {
    auto writer = store_->Create("part/x.parquet");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->stream()->Write(std::string(1 << 20, 'a')).ok());
    EXPECT_THAT(Names("part"), ElementsAre());
  }
  EXPECT_TRUE(fs::is_empty(root_ / "part")) << "an abandoned file left a trace";
  auto writer = store_->Create("part/x.parquet");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->stream()->Write("head").ok());
  ASSERT_TRUE((*writer)->stream()->Write(std::string(1 << 20, 'b')).ok());
  EXPECT_EQ(*(*writer)->stream()->Tell(), (1 << 20) + 4);
  ASSERT_TRUE((*writer)->stream()->Close().ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  ASSERT_TRUE(store_->SyncFolder("part").ok());
  auto info = store_->Stat("part/x.parquet");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->size, (1 << 20) + 4);
  auto second = store_->Create("part/x.parquet");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(Code((*second)->Finish()), ErrorCode::kAlreadyExists);
}

TEST_F(LocalStoreTest, ReadsAreBoundedAndMissingFilesNamed) {
  ASSERT_TRUE(store_->Put("a", "12345").ok());
  EXPECT_EQ(Code(store_->Read("a", 4).status()), ErrorCode::kTooLarge);
  EXPECT_EQ(Code(store_->Read("b", 4).status()), ErrorCode::kNotFound);
  EXPECT_EQ(Code(store_->Open("b").status()), ErrorCode::kNotFound);
  EXPECT_EQ(Code(store_->Stat("a/b").status()), ErrorCode::kNotFound);
  auto file = store_->Open("a");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*(*file)->ReadAt(1, 3))->ToString(), "234");
  EXPECT_TRUE(store_->Remove("b").ok());
  EXPECT_TRUE(store_->Remove("a").ok());
  EXPECT_EQ(Code(store_->Stat("a").status()), ErrorCode::kNotFound);
}

TEST_F(LocalStoreTest, NoPathLeavesTheRoot) {
  std::ofstream(outer_ / "secret") << "secret";
  fs::create_symlink("../secret", root_ / "link");
  fs::create_directory_symlink("..", root_ / "up");
  fs::create_symlink(outer_ / "secret", root_ / "absolute");
  for (const char* path : {"../secret", "a/../../secret", "/etc/passwd", "", "a//b", "./a",
                           "link", "absolute", "up/secret"}) {
    EXPECT_EQ(Code(store_->Read(path, 100).status()), ErrorCode::kInvalidName) << path;
    EXPECT_EQ(Code(store_->Open(path).status()), ErrorCode::kInvalidName) << path;
  }
  EXPECT_EQ(Code(store_->PutIfAbsent("up/new", "x")), ErrorCode::kInvalidName);
  EXPECT_EQ(Code(store_->Remove("up/secret")), ErrorCode::kInvalidName);
  EXPECT_TRUE(fs::exists(outer_ / "secret"));
  EXPECT_EQ(Code(store_->Read(std::string_view("a\0b", 3), 9).status()),
            ErrorCode::kInvalidName);
}

TEST_F(LocalStoreTest, LinksInsideTheRootAreFollowed) {
  ASSERT_TRUE(store_->Put("data/a", "inside").ok());
  fs::create_symlink("data/a", root_ / "alias");
  EXPECT_EQ(Content("alias"), "inside");
}

TEST_F(LocalStoreTest, AFifoIsNoFile) {
  ASSERT_EQ(mkfifo((root_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Code(store_->Read("pipe", 10).status()), ErrorCode::kNotFound);
}

TEST_F(LocalStoreTest, AMissingRootIsNotFound) {
  EXPECT_EQ(Code(OpenLocalStore((outer_ / "none").string(), Durability::kSync, false)
                     .status()),
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace arrowport::store
