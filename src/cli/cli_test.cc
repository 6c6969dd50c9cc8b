#include <arrow/array/builder_binary.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/array_primitive.h>
#include <arrow/io/file.h>
#include <arrow/ipc/api.h>
#include <arrow/table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "cli/app.h"
#include "cli/data_file.h"
#include "cli/exit_code.h"
#include "cli/json_text.h"
#include "cli/result_file.h"
#include "cli/sample_data.h"
#include "cli/table.h"

namespace arrowport::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cli_test_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string File(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// Exit code; what it printed is in output_ and error_.
  int Run(const std::vector<std::string>& args) {
    Context context = context_;
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = RunCommandLine(args, context);
    output_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  std::filesystem::path folder_;
  Context context_;
  std::string output_;
  std::string error_;
};

TEST(ExitCode, EveryErrorHasOne) {
  const auto [errors, count] = AllErrors();
  for (size_t i = 0; i < count; ++i) {
    const ExitCode code = ExitCodeOf(errors[i].code);
    const ExitCode expected = errors[i].code == ErrorCode::kUnreachable ? kUnavailable
                              : errors[i].code == ErrorCode::kBadConfig ? kUsage
                                                                        : kRefused;
    EXPECT_EQ(code, expected) << errors[i].name;
  }
  EXPECT_EQ(ExitCodeOf(arrow::Status::OK()), kDone);
}

TEST_F(CliTest, UsageErrorsExitWithTwo) {
  EXPECT_EQ(Run({}), kUsage);
  EXPECT_EQ(Run({"sevre"}), kUsage);
  EXPECT_THAT(error_, HasSubstr("did you mean 'serve'?"));
  EXPECT_EQ(Run({"query"}), kUsage);
  EXPECT_THAT(error_, HasSubstr("--query"));
  EXPECT_EQ(Run({"query", "--query", "x", "--output-format", "xml"}), kUsage);
  EXPECT_EQ(Run({"serve", "--prot", "1"}), kUsage);
  EXPECT_EQ(Run({"config", "check", "--set", "api.prot=1"}), kUsage);
  EXPECT_THAT(error_, HasSubstr("did you mean 'api.port'?"));
}

TEST_F(CliTest, HelpNamesEveryCommandAndExitsWithZero) {
  EXPECT_EQ(Run({"--help"}), kDone);
  for (const char* name : {"serve", "ingest", "query", "generate", "streams", "tables",
                           "config", "version", "completion", "delta", "migrate",
                           "quarantine", "backup", "recover", "user", "doctor", "zerobus"})
    EXPECT_THAT(output_, HasSubstr(std::string("\n  ") + name + " "));
  EXPECT_EQ(Run({"serve", "--help"}), kDone);
  EXPECT_THAT(output_, HasSubstr("--parquet-path"));
}

TEST_F(CliTest, CommandsNotBuiltSaySoAndExitWithTwo) {
  EXPECT_EQ(Run({"quarantine", "list"}), kUsage);
  EXPECT_THAT(error_, HasSubstr("`quarantine` is not built yet"));
}

TEST_F(CliTest, VersionInBothForms) {
  EXPECT_EQ(Run({"version"}), kDone);
  EXPECT_THAT(output_, HasSubstr("arrowport 1.0.0"));
  EXPECT_EQ(Run({"version", "--json"}), kDone);
  EXPECT_THAT(output_, HasSubstr("\"version\":\"1.0.0\""));
}

TEST_F(CliTest, CompletionKnowsCommandsAndFlags) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Run({"completion", shell}), kDone);
    EXPECT_THAT(output_, HasSubstr("ingest"));
    EXPECT_THAT(output_, HasSubstr("partition-by"));
  }
}

TEST_F(CliTest, ServeHandsOverTheSettings) {
  config::Settings got;
  context_.server.run = [&](const config::Settings& settings) {
    got = settings;
    return arrow::Status::OK();
  };
  EXPECT_EQ(Run({"serve", "--host", "::1", "--port", "0", "--allow-anonymous", "--db",
                 File("deep/x.duckdb"), "--set", "log.level=debug", "--set",
                 "streams.a.mode=overwrite"}),
            kDone)
      << error_;
  EXPECT_EQ(got.api.host, "::1");
  EXPECT_TRUE(got.api.port_given);
  EXPECT_TRUE(got.auth.allow_anonymous);
  EXPECT_EQ(got.log.level, "debug");
  EXPECT_EQ(got.streams.at("a").at("mode"), "overwrite");
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "deep"));
  context_.server.run = [](const config::Settings&) {
    return MakeError(ErrorCode::kUnreachable, "port 8888 is taken");
  };
  EXPECT_EQ(Run({"serve"}), kUnavailable);
  EXPECT_THAT(error_, HasSubstr("port 8888 is taken"));
}

TEST_F(CliTest, ConfigShowMasksSecretsAndNamesOrigins) {
  Write("c.yaml", "s3:\n  secret: hush\n");
  EXPECT_EQ(Run({"config", "show", "--config", File("c.yaml"), "--port", "7"}), kDone);
  EXPECT_THAT(output_, HasSubstr("api.port\t7\t--port"));
  EXPECT_THAT(output_, HasSubstr("s3.secret\t***\t"));
  EXPECT_THAT(output_, Not(HasSubstr("hush")));
  EXPECT_EQ(Run({"config", "check", "--config", File("missing.yaml"), "--json"}), kUsage);
  EXPECT_THAT(error_, HasSubstr("\"code\":\"BAD_CONFIG\""));
}

/// Takes what is sent, or refuses streams called "bad".
class FakeLocal : public LocalIngest {
 public:
  explicit FakeLocal(std::vector<SendOptions>* sent) : sent_(sent) {}
  arrow::Result<Receipt> Send(const std::string& stream, arrow::RecordBatchReader& reader,
                              const SendOptions& options) override {
    sent_->push_back(options);
    ARROW_ASSIGN_OR_RAISE(const auto table, reader.ToTable());
    if (table->num_columns() != 2)
      return MakeError(ErrorCode::kSchemaMismatch, "two columns are wanted");
    Receipt receipt;
    receipt.table = stream;
    receipt.rows = table->num_rows();
    return receipt;
  }
  arrow::Status Close() override { return {}; }

 private:
  std::vector<SendOptions>* const sent_;
};

TEST_F(CliTest, LocalIngestOfSeveralFilesIsPartlyDoneWhenSomeFail) {
  std::vector<SendOptions> sent;
  context_.server.open_local = [&](const config::Settings&) {
    return arrow::Result<std::unique_ptr<LocalIngest>>(std::make_unique<FakeLocal>(&sent));
  };
  Write("good.csv", "a,b\n1,x\n2,y\n");
  Write("bad.csv", "a\n1\n");
  const std::string db = File("x.duckdb");
  EXPECT_EQ(Run({"ingest", "s", File("good.csv"), "--local", "--db", db, "--mode", "overwrite",
                 "--partition-by", "a", "--partition-by", "b", "--key", "k"}),
            kDone)
      << error_;
  EXPECT_THAT(output_, HasSubstr("2 rows"));
  EXPECT_EQ(sent[0].settings.at("mode"), "overwrite");
  EXPECT_EQ(sent[0].settings.at("delta_options.partition_by"), "a,b");
  EXPECT_EQ(sent[0].idempotency_key, "k");
  EXPECT_EQ(Run({"ingest", "s", File("good.csv"), File("bad.csv"), "--local", "--key", "k",
                 "--db", db, "--json"}),
            kPartly);
  EXPECT_EQ(sent[1].idempotency_key, "k/0");
  EXPECT_EQ(sent[2].idempotency_key, "k/1");
  EXPECT_THAT(error_, HasSubstr("SCHEMA_MISMATCH"));
  EXPECT_THAT(output_, HasSubstr("\"rows_processed\":2"));
  EXPECT_EQ(Run({"ingest", "s", File("bad.csv"), "--local", "--db", db}), kRefused);
  EXPECT_EQ(Run({"ingest", "s", File("none.csv"), "--local", "--db", db}), kRefused);
}

TEST_F(CliTest, NothingToReachIsThree) {
  Write("good.csv", "a,b\n1,x\n");
  EXPECT_EQ(Run({"streams", "--url", "http://127.0.0.1:1"}), kUnavailable);
  EXPECT_EQ(Run({"tables", "t", "--url", "http://127.0.0.1:1", "--json"}), kUnavailable);
  EXPECT_THAT(error_, HasSubstr("\"code\":\"UNREACHABLE\""));
  EXPECT_EQ(Run({"query", "--port", "1", "--query", "SELECT 1"}), kUnavailable);
}

TEST_F(CliTest, GenerateIsTheSameForTheSameSeed) {
  const auto generate = [&](const std::string& file, const std::string& seed) {
    EXPECT_EQ(Run({"generate", "--num-records", "250001", "--output-path", File(file),
                   "--seed", seed}),
              kDone)
        << error_;
  };
  generate("a.parquet", "7");
  generate("b.parquet", "7");
  generate("c.parquet", "8");
  EXPECT_EQ(Read("a.parquet"), Read("b.parquet"));
  EXPECT_NE(Read("a.parquet"), Read("c.parquet"));
  auto data = OpenDataFile(File("a.parquet"));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->rows_total, 250001);
  const auto table = *data->reader->ToTable();
  EXPECT_EQ(table->num_rows(), 250001);
  EXPECT_EQ(table->schema()->ToString(),
            "id: int64\ndate: date32[day]\ncategory: string\nvalue1: double\n"
            "value2: double\nactive: bool\ndescription: string");
  generate("empty.parquet", "7");
  EXPECT_EQ(Run({"generate", "--num-records", "0", "--output-path", File("e.parquet")}),
            kDone);
  EXPECT_FALSE(std::filesystem::exists(File("e.parquet.partial")));
}

TEST(SampleData, HasTheRightDistributions) {
  const int64_t rows = 200000;
  const auto batch = *MakeSampleBatch(3, 1000, rows);
  ASSERT_TRUE(batch->ValidateFull().ok());
  const auto& id = static_cast<const arrow::Int64Array&>(*batch->column(0));
  const auto& date = static_cast<const arrow::Date32Array&>(*batch->column(1));
  const auto& category = static_cast<const arrow::DictionaryArray&>(*batch->column(2));
  const auto& value1 = static_cast<const arrow::DoubleArray&>(*batch->column(3));
  const auto& value2 = static_cast<const arrow::DoubleArray&>(*batch->column(4));
  const auto& active = static_cast<const arrow::BooleanArray&>(*batch->column(5));
  double sum1 = 0, squares1 = 0, sum2 = 0;
  int64_t categories[5] = {};
  int32_t first_day = INT32_MAX, last_day = 0;
  for (int64_t row = 0; row < rows; ++row) {
    ASSERT_EQ(id.Value(row), 1000 + row);
    sum1 += value1.Value(row);
    squares1 += value1.Value(row) * value1.Value(row);
    sum2 += value2.Value(row);
    ASSERT_GE(value2.Value(row), 0);
    ++categories[category.GetValueIndex(row)];
    first_day = std::min(first_day, date.Value(row));
    last_day = std::max(last_day, date.Value(row));
  }
  const double mean = sum1 / rows;
  EXPECT_NEAR(mean, 100, 0.3);
  EXPECT_NEAR(std::sqrt(squares1 / rows - mean * mean), 15, 0.3);
  EXPECT_NEAR(sum2 / rows, 50, 1);
  EXPECT_NEAR(static_cast<double>(active.true_count()) / rows, 0.7, 0.01);
  for (int64_t count : categories) EXPECT_NEAR(static_cast<double>(count) / rows, 0.2, 0.01);
  EXPECT_EQ(first_day, 18262);  // 2020-01-01
  EXPECT_EQ(last_day, 19722);   // 2023-12-31
}

TEST_F(CliTest, DataFilesAreToldByTheirContent) {
  const auto batch = *MakeSampleBatch(1, 0, 10);
  for (const bool is_file : {true, false}) {
    const std::string path = File(is_file ? "x.arrow" : "x.arrows");
    auto out = *arrow::io::FileOutputStream::Open(path);
    auto writer = is_file ? *arrow::ipc::MakeFileWriter(out, batch->schema())
                          : *arrow::ipc::MakeStreamWriter(out, batch->schema());
    ASSERT_TRUE(writer->WriteRecordBatch(*batch).ok());
    ASSERT_TRUE(writer->Close().ok());
    ASSERT_TRUE(out->Close().ok());
    auto data = OpenDataFile(path);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_EQ((*data->reader->ToTable())->num_rows(), 10);
  }
  Write("x.csv", "a,b\n1,2\n");
  EXPECT_EQ((*OpenDataFile(File("x.csv"))->reader->ToTable())->num_columns(), 2);
  Write("empty", "");
  EXPECT_EQ(CodeOf(OpenDataFile(File("empty")).status()), ErrorCode::kBadData);
  Write("cut.parquet", "PAR1 nothing more");
  EXPECT_FALSE(OpenDataFile(File("cut.parquet")).ok());
  EXPECT_EQ(CodeOf(OpenDataFile(File("none")).status()), ErrorCode::kNotFound);
}

TEST_F(CliTest, ResultFilesAppearOnlyWhole) {
  const auto batch = *MakeSampleBatch(1, 0, 3);
  for (const auto format : {OutputFormat::kCsv, OutputFormat::kParquet, OutputFormat::kArrow,
                            OutputFormat::kJson}) {
    const std::string path = File("result" + std::to_string(static_cast<int>(format)));
    {
      auto dropped = *ResultFile::Create(path, format, batch->schema());
      ASSERT_TRUE(dropped->Write(batch).ok());
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_) ||
                !std::filesystem::exists(path + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(path));
    auto file = *ResultFile::Create(path, format, batch->schema());
    ASSERT_TRUE(file->Write(batch).ok());
    ASSERT_TRUE(file->Close().ok());
    EXPECT_GT(std::filesystem::file_size(path), 100);
  }
  EXPECT_FALSE(
      ResultFile::Create(File("no/such/folder/x"), OutputFormat::kCsv, batch->schema()).ok());
}

TEST(JsonText, HostileValues) {
  arrow::BinaryBuilder binary;
  ASSERT_TRUE(binary.Append(std::string_view("\0\xFF\t", 3)).ok());
  const auto bytes = *binary.Finish();
  EXPECT_EQ(PlainText(*bytes, 0), "\\x00\\xFF\\x09");
  std::string text;
  AppendJson(*bytes, 0, &text);
  EXPECT_EQ(text, "\"AP8J\"");
  arrow::DoubleBuilder doubles;
  ASSERT_TRUE(doubles.AppendValues({NAN, INFINITY, 0.1}).ok());
  const auto numbers = *doubles.Finish();
  text.clear();
  for (int row = 0; row < 3; ++row) AppendJson(*numbers, row, &text), text += ' ';
  EXPECT_EQ(text, "null null 0.1 ");
  arrow::StringBuilder strings;
  ASSERT_TRUE(strings.Append("a\"\n\xFF").ok());
  text.clear();
  AppendJson(**strings.Finish(), 0, &text);
  EXPECT_EQ(text, "\"a\\\"\\n\xEF\xBF\xBD\"");
}

TEST(Table, WidthsCountColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);
  EXPECT_EQ(DisplayWidth("\xFF\xFE"), 2);
  EXPECT_EQ(Fit("日本語", 5), "日本…");
  EXPECT_EQ(Fit("a\nb\x1b[31m", 10), "a·b·[31m");
  EXPECT_EQ(Fit("abc", 3), "abc");
  EXPECT_EQ(Grouped(-1234567), "-1,234,567");
  EXPECT_EQ(Grouped(999), "999");
}

TEST(Table, FitsTheTerminal) {
  Table table;
  table.right_aligned = {true, false};
  table.header = {"n", "text"};
  table.rows = {{"1", std::string(100, 'x')}, {std::nullopt, "日本語"}};
  const std::string text = RenderTable(table, 30);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(DisplayWidth(line), 30) << line;
  EXPECT_THAT(text, HasSubstr("│ NULL │ 日本語"));
  EXPECT_THAT(text, HasSubstr("│    1 │ xxx"));
  EXPECT_THAT(text, HasSubstr("…"));
}

TEST(Table, LeavesOutMiddleColumns) {
  Table table;
  for (int i = 0; i < 50; ++i) table.header.push_back("column" + std::to_string(i));
  table.rows.push_back(std::vector<std::optional<std::string>>(50, "value"));
  const std::string text = RenderTable(table, 60);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 60) << line;
  EXPECT_THAT(text, HasSubstr("colum"));
  EXPECT_THAT(text, HasSubstr("│ … │"));
  EXPECT_EQ(RenderTable(Table{}, 80), "");
}

}  // namespace
}  // namespace arrowport::cli
