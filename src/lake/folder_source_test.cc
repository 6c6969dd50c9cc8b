#include "lake/folder_source.h"

#include <gmock/gmock.h>

#include "lake/lake_fixture.h"

namespace arrowport::lake {
namespace {

using ::testing::ElementsAre;

class FolderSourceTest : public LakeTest {
 protected:
  void Make(const std::string& table) {
    Commit(table, 0, {Protocol(), Metadata({Field("i", "long")}), Add("a.parquet")});
  }
  static Rows Names(LogSource& source) {
    Rows names;
    auto tables = source.Tables();
    EXPECT_TRUE(tables.ok()) << tables.status();
    for (const auto& table : *tables) names.push_back(table.ToString());
    return names;
  }
};

TEST_F(FolderSourceTest, TablesAreFoldersWithALog) {
  FolderSource source({.root = Root()});
  EXPECT_THAT(Names(source), ElementsAre());
  Make("t");
  Make("s/u");
  Make("t/inner");       // belongs to t
  Make("s/deep/v");      // too deep
  Make("bad name");      // no name of a table
  std::filesystem::create_directories(Path("empty/folder"));
  EXPECT_THAT(Names(source), ElementsAre("t", "s.u"));
  EXPECT_TRUE(*source.HasSchema("s"));
  EXPECT_TRUE(*source.HasSchema("main"));
  EXPECT_FALSE(*source.HasSchema("t"));
  EXPECT_FALSE(*source.HasSchema("none"));
  EXPECT_EQ(CodeOf(source.Load({"t", "inner"}).status()), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(source.Load({"main", "bad name"}).status()), ErrorCode::kInvalidName);
  EXPECT_EQ(CodeOf(source.Load({"main", ".."}).status()), ErrorCode::kInvalidName);
}

TEST_F(FolderSourceTest, ARootThatIsNotThereYetHasNoTables) {
  FolderSource source({.root = Root() + "/later"});
  EXPECT_THAT(Names(source), ElementsAre());
  EXPECT_EQ(CodeOf(source.Load({"main", "t"}).status()), ErrorCode::kTableNotFound);
}

TEST_F(FolderSourceTest, SnapshotsAreKeptWhileNothingIsNew) {
  Make("t");
  FolderSource source({.root = Root()});
  auto first = source.Load({"main", "t"});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(source.Load({"main", "t"})->snapshot, first->snapshot);
  EXPECT_EQ(source.Load({"main", "T"})->snapshot, first->snapshot);
  EXPECT_EQ(source.LoadVersion({"main", "t"}, 0)->snapshot, first->snapshot);
  Commit("t", 1, {Add("b.parquet")});
  auto second = source.Load({"main", "t"});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->snapshot->version(), 1);
  EXPECT_EQ(second->snapshot->file_count(), 2);
  EXPECT_EQ(source.LoadVersion({"main", "t"}, 0)->snapshot->file_count(), 1);
}

TEST_F(FolderSourceTest, TheCacheIsBounded) {
  FolderSource source({.root = Root(), .cached_tables_max = 2, .cached_files_max = 10});
  for (const char* name : {"a", "b", "c", "d"}) Make(name);
  auto first = source.Load({"main", "a"});
  ASSERT_TRUE(first.ok()) << first.status();
  for (const char* name : {"b", "c", "d"}) {
    ASSERT_TRUE(source.Load({"main", name}).ok());
  }
  auto again = source.Load({"main", "a"});  // was dropped, is read anew
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->snapshot, first->snapshot);
  EXPECT_EQ(again->snapshot->version(), 0);
}

TEST_F(FolderSourceTest, NamesIgnoreCaseWhereThatIsClear) {
  Make("Events");
  FolderSource source({.root = Root()});
  EXPECT_EQ(source.Load({"main", "EVENTS"})->name.table, "Events");
  Make("events");
  EXPECT_EQ(source.Load({"main", "events"})->name.table, "events");
  EXPECT_EQ(CodeOf(source.Load({"main", "EVENTS"}).status()), ErrorCode::kTableNotFound);
}

TEST_F(FolderSourceTest, CommitsHaveTheirTime) {
  Make("t");
  FolderSource source({.root = Root()});
  auto commit = source.ReadCommit({"main", "t"}, 0);
  ASSERT_TRUE(commit.ok()) << commit.status();
  EXPECT_EQ(commit->actions.size(), 3u);
  EXPECT_GT(commit->timestamp_ms, 1'500'000'000'000);
  EXPECT_EQ(CodeOf(source.ReadCommit({"main", "t"}, 1).status()), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace arrowport::lake
