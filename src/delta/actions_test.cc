#include "delta/actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::delta {
namespace {

using ::testing::HasSubstr;

template <typename T>
T Parsed(std::string_view line) {
  auto action = ParseAction(line);
  EXPECT_TRUE(action.ok()) << action.status().ToString();
  return std::get<T>(action.ValueOrDie().value());
}

std::string FaultOf(std::string_view line) {
  const auto action = ParseAction(line);
  EXPECT_FALSE(action.ok()) << line;
  if (action.ok()) return "";
  EXPECT_EQ(CodeOf(action.status()), ErrorCode::kStorageCorrupt);
  return action.status().message();
}

TEST(Actions, LinesSurvive) {
  for (std::string_view line : {
           R"({"add":{"path":"a=1/x%20y.parquet","partitionValues":{"a":"1","b":null},)"
           R"("size":10,"modificationTime":5,"dataChange":false,)"
           R"("stats":"{\"numRecords\":3}","tags":{"t":"v"},"deletionVector":)"
           R"({"storageType":"u","pathOrInlineDv":"ab","offset":1,"sizeInBytes":40,)"
           R"("cardinality":6},"baseRowId":0,"defaultRowCommitVersion":2}})",
           R"({"remove":{"path":"x","deletionTimestamp":9,"dataChange":true,)"
           R"("extendedFileMetadata":true,"partitionValues":{},"size":3}})",
           R"({"cdc":{"path":"_change_data/x","partitionValues":{},"size":1,"dataChange":false}})",
           R"({"metaData":{"id":"i","name":"n","format":{"provider":"parquet","options":{}},)"
           R"("schemaString":"{}","partitionColumns":["a"],"configuration":{"k":"v"},)"
           R"("createdTime":4}})",
           R"({"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],)"
           R"("writerFeatures":["appendOnly"]}})",
           R"({"txn":{"appId":"a\u0001\"","version":3,"lastUpdated":4}})",
           R"({"domainMetadata":{"domain":"d","configuration":"{}","removed":false}})",
           R"({"commitInfo":{"z":1,"timestamp":2,"operation":"WRITE","a":[1,{}]}})",
           R"({"checkpointMetadata":{"version":3}})",
           R"({"sidecar":{"path":"p","sizeInBytes":1,"modificationTime":2}})",
       }) {
    const auto action = ParseAction(line);
    ASSERT_TRUE(action.ok()) << line << ": " << action.status().ToString();
    ASSERT_TRUE(action->has_value()) << line;
    EXPECT_EQ(ActionToJson(**action), line);
  }
}

/// A member that the plain reader does not know sends a line to the general one.
TEST(Actions, BothReadersOfAddsAgree) {
  const auto both = [](const std::string& members) {
    const auto text = [](const std::string& line) -> std::string {
      const auto action = ParseAction(line);
      return action.ok() ? ActionToJson(action->value()) : "refused";
    };
    const std::string plain = text("{\"add\":{" + members + "}}");
    EXPECT_EQ(plain, text("{\"add\":{\"unknown\":1," + members + "}}")) << members;
    return plain;
  };
  const std::string path = R"("path":"x","size":1)";
  EXPECT_THAT(both(R"("path":"a\"b\\c","size":7,"stats":"{\"numRecords\":3}")"),
              HasSubstr(R"("a\"b\\c")"));
  both(path + R"(,"partitionValues":{"a":"","b":null,"c":"d"},"dataChange":false)");
  both(path + R"(,"partitionValues":{})");
  both(R"( "path" : "x" , "size" : 1 )");
  both(R"("path":"\u00e9\n","size":1)");
  both("\"path\":\"\xC3\xA9\",\"size\":1");
  both(R"("path":"x","size":1,"path":"y")");
  both(path + R"(,"partitionValues":{"a":"1","a":null})");
  for (const char* bad :
       {R"("path":"x")", R"("size":1)", R"("path":"x","size":-1)", R"("path":"x","size":01)",
        R"("path":"x","size":1.0)", R"("path":"x","size":"1")", R"("path":"x","size":1,)",
        R"("path":"x" "size":1)", R"("path":"x","size":1,"dataChange":1)",
        R"("path":5,"size":1)", R"("path":"x","size":99999999999999999999)"}) {
    EXPECT_EQ(both(bad), "refused") << bad;
  }
}

TEST(Actions, EmptyPartitionValueIsNull) {
  const auto add = Parsed<AddFile>(
      R"({"add":{"path":"x","size":1,"partitionValues":{"a":"","b":"c"},"tags":null}})");
  EXPECT_EQ(add.partition_values.at("a"), std::nullopt);
  EXPECT_EQ(add.partition_values.at("b"), "c");
}

TEST(Actions, CommitInfoIsFreeText) {
  const auto info = Parsed<CommitInfo>(
      R"({"commitInfo":{"timestamp":"soon","inCommitTimestamp":7,"operation":5}})");
  EXPECT_EQ(info.timestamp_ms, std::nullopt);
  EXPECT_EQ(info.in_commit_timestamp_ms, 7);
  EXPECT_EQ(info.operation, std::nullopt);
}

TEST(Actions, UnknownActionsAreSkipped) {
  const auto action = ParseAction(R"({"futureThing":{"x":1}})");
  ASSERT_TRUE(action.ok());
  EXPECT_FALSE(action->has_value());
}

TEST(Actions, FaultsNameTheMember) {
  EXPECT_THAT(FaultOf(R"({"add":{"size":1}})"), HasSubstr("add: path"));
  EXPECT_THAT(FaultOf(R"({"add":{"path":"x","size":"1"}})"), HasSubstr("size"));
  EXPECT_THAT(FaultOf(R"({"add":{"path":"x","size":18446744073709551615}})"),
              HasSubstr("size"));
  EXPECT_THAT(FaultOf(R"({"add":{"path":"x","size":-1}})"), HasSubstr("size"));
  EXPECT_THAT(FaultOf(R"({"add":5})"), HasSubstr("add"));
  EXPECT_THAT(FaultOf(R"({"protocol":{"minReaderVersion":4294967296,"minWriterVersion":1}})"),
              HasSubstr("minReaderVersion"));
  EXPECT_THAT(FaultOf(R"({"add":{"path":"x","size":1,"deletionVector":{"storageType":"q",)"
                      R"("pathOrInlineDv":"","sizeInBytes":1,"cardinality":1}}})"),
              HasSubstr("deletionVector"));
  EXPECT_THAT(FaultOf("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(FaultOf(R"({"add":)"), HasSubstr("no JSON object"));
}

TEST(Actions, ACommitNamesTheLine) {
  const auto commit = ParseCommit("{\"txn\":{\"appId\":\"a\",\"version\":1}}\n\n{\"ad", "7.json");
  ASSERT_FALSE(commit.ok());
  EXPECT_THAT(commit.status().message(), HasSubstr("malformed commit: 7.json line 3"));
  EXPECT_EQ(ParseCommit("{\"txn\":{\"appId\":\"a\",\"version\":1}}\r\n", "x")->size(), 1u);
}

TEST(Actions, PathsAreDecodedOnce) {
  EXPECT_EQ(DecodePath("k=a%253Ab/x.parquet")->path, "k=a%3Ab/x.parquet");
  EXPECT_FALSE(DecodePath("time=10:30/x")->absolute);
  EXPECT_TRUE(DecodePath("s3://b/x%20")->absolute);
  EXPECT_EQ(DecodePath("s3://b/x%20")->path, "s3://b/x%20");
  for (const char* form : {"file:/a/b%20c", "file:///a/b c", "/a/b%20c"}) {
    const auto path = DecodePath(form);
    ASSERT_TRUE(path.ok()) << form;
    EXPECT_EQ(path->path, "/a/b c");
    EXPECT_TRUE(path->absolute);
  }
  for (const char* bad : {"", "../x", "a/%2e%2e/x", "a%00b", "a%", "a%2", "a%zz", "a//b",
                          "file:x", "./a"}) {
    EXPECT_FALSE(DecodePath(bad).ok()) << bad;
  }
  const std::string odd = "k=a%3Ab/é x?#.parquet";
  EXPECT_EQ(DecodePath(EncodePath(odd))->path, odd);
}

}  // namespace
}  // namespace arrowport::delta
