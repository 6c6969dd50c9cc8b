#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "config/reference.h"
#include "config/setting_table.h"
#include "config/source.h"
#include "config/value.h"

namespace arrowport::config {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kGiB = int64_t{1} << 30;

class LoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("config_test_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    request_.working_directory = folder_.string();
    request_.memory_bytes = 8 * kGiB;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  Settings Load() {
    auto settings = LoadSettings(request_);
    EXPECT_TRUE(settings.ok()) << settings.status().ToString();
    return settings.ok() ? *settings : Settings();
  }
  std::string LoadError() {
    auto settings = LoadSettings(request_);
    EXPECT_FALSE(settings.ok());
    if (settings.ok()) return "";
    EXPECT_EQ(CodeOf(settings.status()), ErrorCode::kBadConfig);
    return settings.status().message();
  }
  std::string ErrorOf(const std::string& yaml) {
    Write("arrowport.yaml", yaml);
    return LoadError();
  }
  const EffectiveValue* Effective(const Settings& settings, const std::string& key) {
    for (const EffectiveValue& value : settings.effective)
      if (value.key == key) return &value;
    return nullptr;
  }

  std::filesystem::path folder_;
  LoadRequest request_;
};

TEST_F(LoadTest, DefaultsAreThoseOfTheContract) {
  const Settings s = Load();
  EXPECT_EQ(s.api.host, "127.0.0.1");
  EXPECT_EQ(s.api.port, 8888);
  EXPECT_EQ(s.flight.port, 8889);
  EXPECT_FALSE(s.api.port_given);
  EXPECT_TRUE(s.api.enable_metrics);
  EXPECT_FALSE(s.api.metrics_port.has_value());
  EXPECT_EQ(s.storage_backend, "duckdb");
  EXPECT_EQ(s.duckdb.path, "arrowport.duckdb");
  EXPECT_EQ(s.duckdb.memory_limit_bytes, 2 * kGiB);
  EXPECT_EQ(s.duckdb.checkpoint_wal_bytes, 64 << 20);
  EXPECT_EQ(s.duckdb.wal_bytes_max, 512 << 20);
  EXPECT_EQ(s.ducklake.catalog, "./lake.ducklake");
  EXPECT_EQ(s.delta_config.version_retention_hours, 168);
  EXPECT_EQ(s.compression.algorithm, "zstd");
  EXPECT_EQ(s.compression.level, 3);
  EXPECT_EQ(s.defaults.chunk_size, 122880);
  EXPECT_EQ(s.defaults.schema_mode, "");
  EXPECT_EQ(s.defaults.on_mismatch, "reject");
  EXPECT_EQ(s.delta_options.at("target_file_size"), "134217728");
  EXPECT_EQ(s.delta_options.at("commit_interval_ms"), "500");
  EXPECT_EQ(s.idempotency_window_hours, 24);
  EXPECT_FALSE(s.limits.body_bytes_max.has_value());
  EXPECT_EQ(s.limits.message_bytes_max, 256 << 20);
  EXPECT_EQ(s.limits.request_memory_max, 64 << 20);
  EXPECT_EQ(s.limits.ingest_memory_max, 2 * kGiB);
  EXPECT_EQ(s.limits.columns_max, 5000);
  EXPECT_EQ(s.limits.queue_wait, std::chrono::seconds(5));
  EXPECT_EQ(s.limits.body_rate_min, 1024);
  EXPECT_EQ(s.limits.idle_timeout, std::chrono::minutes(5));
  EXPECT_FALSE(s.limits.query_timeout.has_value());
  EXPECT_EQ(s.limits.session_idle, std::chrono::minutes(30));
  EXPECT_EQ(s.quarantine.bytes_max, 10 * kGiB);
  EXPECT_EQ(s.auth.session_ttl, std::chrono::hours(12));
  EXPECT_FALSE(s.auth.allow_anonymous);
  EXPECT_EQ(s.log.format, "auto");
  EXPECT_EQ(s.shutdown.grace_seconds, 30);
  EXPECT_TRUE(s.streams.empty());
}

TEST_F(LoadTest, MemoryDefaultsAreCappedAndNeverRefuseASmallMachine) {
  request_.memory_bytes = 64 * kGiB;
  EXPECT_EQ(Load().duckdb.memory_limit_bytes, 4 * kGiB);
  EXPECT_EQ(Load().limits.ingest_memory_max, 2 * kGiB);
  request_.memory_bytes = 1 << 20;
  EXPECT_EQ(Load().duckdb.memory_limit_bytes, 16 << 20);
}

TEST_F(LoadTest, LaterSourcesWin) {
  Write("arrowport.yaml", "api:\n  port: 1\n  host: a\nflight: {port: 5}\n");
  request_.environment = {{"ARROWPORT_API_PORT", "2"}, {"ARROWPORT_FLIGHT_PORT", "6"}};
  request_.args = {"--port", "3"};
  const Settings s = Load();
  EXPECT_EQ(s.api.port, 3);
  EXPECT_EQ(s.api.host, "a");
  EXPECT_EQ(s.flight.port, 6);
  EXPECT_TRUE(s.api.port_given);
  EXPECT_EQ(Effective(s, "api.port")->origin, "--port");
  EXPECT_EQ(Effective(s, "api.host")->origin, "arrowport.yaml:3");
  EXPECT_EQ(Effective(s, "flight.port")->origin, "ARROWPORT_FLIGHT_PORT");
  EXPECT_EQ(Effective(s, "log.level")->origin, "default");
}

TEST_F(LoadTest, FileIsFoundInOrder) {
  Write("config.yaml", "api: {port: 1}\n");
  EXPECT_EQ(Load().api.port, 1);
  Write("arrowport.yaml", "api: {port: 2}\n");
  EXPECT_EQ(Load().api.port, 2);
  Write("env.yaml", "api: {port: 3}\n");
  request_.environment = {{"ARROWPORT_CONFIG", "env.yaml"}};
  EXPECT_EQ(Load().api.port, 3);
  Write("flag.yaml", "api: {port: 4}\n");
  request_.args = {"--config=flag.yaml"};
  const Settings s = Load();
  EXPECT_EQ(s.api.port, 4);
  EXPECT_EQ(s.files, std::vector<std::string>{(folder_ / "flag.yaml").string()});
  request_.args = {"--config", "missing.yaml"};
  EXPECT_THAT(LoadError(), HasSubstr("missing.yaml: cannot be read"));
}

TEST_F(LoadTest, UnknownKeysNameFileLineAndNearestKey) {
  EXPECT_THAT(ErrorOf("api:\n  host: x\n  prot: 1\n"),
              HasSubstr("arrowport.yaml:3: unknown key 'api.prot'; did you mean "
                        "'api.port'?"));
  EXPECT_THAT(ErrorOf("streams:\n  ev:\n    schema_mod: strict\n"),
              HasSubstr("arrowport.yaml:3: unknown key 'streams.ev.schema_mod'; did you "
                        "mean 'streams.ev.schema_mode'?"));
  EXPECT_THAT(ErrorOf("apii:\n"), HasSubstr("arrowport.yaml:1: unknown key 'apii'"));
  EXPECT_THAT(ErrorOf("nonsense_quite_far_away: 1\n"), Not(HasSubstr("did you mean")));
}

TEST_F(LoadTest, BadValuesSayWhatIsAllowed) {
  EXPECT_THAT(ErrorOf("storage_backend: duckdbb\n"),
              HasSubstr("arrowport.yaml:1: 'storage_backend' must be one of duckdb, "
                        "ducklake, delta, not 'duckdbb'; did you mean 'duckdb'?"));
  EXPECT_THAT(ErrorOf("api: {port: 70000}\n"), HasSubstr("must be at most 65535"));
  EXPECT_THAT(ErrorOf("api: {port: -1}\n"), HasSubstr("must be at least 0"));
  EXPECT_THAT(ErrorOf("api: {port: 80x}\n"), HasSubstr("needs a whole number"));
  EXPECT_THAT(ErrorOf("limits: {queue_wait: 5}\n"), HasSubstr("needs a time such as"));
  EXPECT_THAT(ErrorOf("limits: {message_bytes_max: 5 apples}\n"),
              HasSubstr("needs a size such as"));
  EXPECT_THAT(ErrorOf("auth: {allow_anonymous: maybe}\n"),
              HasSubstr("needs true or false"));
  EXPECT_THAT(ErrorOf("api: 3\n"), HasSubstr("'api' is a group of settings"));
  EXPECT_THAT(ErrorOf("duckdb: {path: [a, b]}\n"), HasSubstr("needs one value"));
  EXPECT_THAT(ErrorOf("duckdb: {path: }\n"), HasSubstr("needs a value"));
}

TEST_F(LoadTest, AllProblemsAreReportedAtOnce) {
  const std::string error = ErrorOf("api:\n  prot: 1\n  port: x\n");
  EXPECT_THAT(error, HasSubstr("arrowport.yaml:2"));
  EXPECT_THAT(error, HasSubstr("arrowport.yaml:3"));
}

TEST_F(LoadTest, BadYamlIsAnErrorWithItsLine) {
  EXPECT_THAT(ErrorOf("api:\n  port: [1\n"), HasSubstr("is not valid YAML"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("must be a YAML mapping"));
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"), HasSubstr("only one YAML document"));
  EXPECT_THAT(ErrorOf("api:\n  port: 1\n  port: 2\n"),
              HasSubstr("'api.port' was already given at arrowport.yaml:2"));
  EXPECT_THAT(ErrorOf("db_path: a\nduckdb: {path: b}\n"), HasSubstr("already given"));
}

TEST_F(LoadTest, AliasBombsAreRefused) {
  std::string yaml = "a0: &a0 {x: 1, y: 2}\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {x: " + before +
            ", y: " + before + "}\n";
  }
  EXPECT_THAT(ErrorOf(yaml), HasSubstr("nested too deeply or holds too many values"));
}

TEST_F(LoadTest, StreamsAreTakenWithAllTheirSettings) {
  Write("arrowport.yaml", R"(
streams:
  events:
    target_table: sales.events
    storage_backend: delta
    chunk_size: 1000
    compression: {algorithm: zstd, level: 5}
    schema_mode: widen
    on_mismatch: quarantine
    mode: overwrite
    delta_options:
      partition_by: [date, "event type"]
      type_widening: true
      target_file_size: 1MiB
  sales.orders:
    compression: lz4
  bare:
)");
  request_.args = {"--set", "streams.sales.orders.mode=overwrite", "--set",
                   "streams.\"x.y\".mode=append"};
  request_.environment = {{"ARROWPORT_STREAMS_EVENTS_CHUNK_SIZE", "2000"}};
  const Settings s = Load();
  ASSERT_EQ(s.streams.size(), 4);
  const StreamSettings& events = s.streams.at("events");
  EXPECT_EQ(events.at("target_table"), "sales.events");
  EXPECT_EQ(events.at("storage_backend"), "delta");
  EXPECT_EQ(events.at("chunk_size"), "2000");
  EXPECT_EQ(events.at("compression"), "zstd:5");
  EXPECT_EQ(events.at("schema_mode"), "widen");
  EXPECT_EQ(events.at("on_mismatch"), "quarantine");
  EXPECT_EQ(events.at("mode"), "overwrite");
  EXPECT_EQ(events.at("delta_options.partition_by"), "date,event type");
  EXPECT_EQ(events.at("delta_options.type_widening"), "true");
  EXPECT_EQ(events.at("delta_options.target_file_size"), "1048576");
  EXPECT_EQ(s.streams.at("sales.orders").at("compression"), "lz4");
  EXPECT_EQ(s.streams.at("sales.orders").at("mode"), "overwrite");
  EXPECT_EQ(s.streams.at("x.y").at("mode"), "append");
  EXPECT_TRUE(s.streams.at("bare").empty());
}

TEST_F(LoadTest, StreamsPathAddsFilesOfAFolder) {
  Write("arrowport.yaml", "streams_path: more\nstreams: {a: {mode: append}}\n");
  Write("more/one.yaml", "b: {mode: append}\n");
  Write("more/two.yml", "streams:\n  c:\n    mode: overwrite\n");
  Write("more/ignored.txt", "nonsense");
  EXPECT_EQ(Load().streams.size(), 3);
  Write("more/three.yaml", "a:\n  mode: overwrite\n");
  EXPECT_THAT(LoadError(), HasSubstr("more/three.yaml:2: 'streams.a.mode' was already "
                                     "given at arrowport.yaml:2"));
  std::filesystem::remove(folder_ / "more/three.yaml");
  Write("more/four.yaml", "d: {mod: append}\n");
  EXPECT_THAT(LoadError(), HasSubstr("did you mean 'streams.d.mode'?"));
}

TEST_F(LoadTest, CompressionIsOneTextOrAGroup) {
  Write("arrowport.yaml", "compression: zstd:7\n");
  EXPECT_EQ(Load().compression.level, 7);
  request_.environment = {{"ARROWPORT_COMPRESSION", "lz4"}};
  EXPECT_EQ(Load().compression.algorithm, "lz4");
  request_.environment = {{"ARROWPORT_COMPRESSION", "zstd:99"}};
  EXPECT_THAT(LoadError(), HasSubstr("ARROWPORT_COMPRESSION: 'compression.level' must be "
                                     "at most 22"));
  request_.environment = {};
  EXPECT_THAT(ErrorOf("compression: brotli\n"), HasSubstr("must be one of zstd, lz4"));
}

TEST_F(LoadTest, UsersTokensAndGrants) {
  Write("arrowport.yaml", R"(
auth:
  users:
    ann: {password_hash: secret-hash, role: writer}
    bob:
      password_hash: other
      grants:
        - {on: "sales.*", do: [read, write]}
        - {on: "x", do: read}
  tokens:
    - {name: ci, hash: abc, role: admin}
)");
  const Settings s = Load();
  EXPECT_EQ(s.auth.users.at("ann").role, "writer");
  ASSERT_EQ(s.auth.users.at("bob").grants.size(), 2);
  EXPECT_EQ(s.auth.users.at("bob").grants[0].on, "sales.*");
  EXPECT_EQ(s.auth.users.at("bob").grants[0].abilities.size(), 2);
  EXPECT_EQ(s.auth.users.at("bob").grants[1].abilities[0], "read");
  EXPECT_EQ(s.auth.tokens.at(0).name, "ci");
  EXPECT_EQ(Effective(s, "auth.users.ann.password_hash")->value, "***");
  for (const EffectiveValue& value : s.effective)
    EXPECT_THAT(value.value, Not(HasSubstr("secret-hash")));
  EXPECT_THAT(ErrorOf("auth: {users: {ann: {role: writer}}}\n"),
              HasSubstr("'auth.users.ann' needs a password_hash"));
  EXPECT_THAT(ErrorOf("auth: {users: {ann: {password_hash: x, role: king}}}\n"),
              HasSubstr("must be one of admin, writer, reader"));
  request_.args = {"--set", "auth.tokens.99999999999.hash=x"};
  EXPECT_THAT(ErrorOf("{}\n"), HasSubstr("unknown key"));
}

TEST_F(LoadTest, ThingsThatGoTogether) {
  request_.args = {"--user", "ann"};
  EXPECT_THAT(LoadError(), HasSubstr("--password-file"));
  request_.args = {};
  EXPECT_THAT(ErrorOf("tls: {cert: a.pem}\n"), HasSubstr("tls.cert and tls.key"));
  EXPECT_THAT(ErrorOf("duckdb: {checkpoint_wal_bytes: 1GiB}\n"),
              HasSubstr("must not exceed"));
  EXPECT_THAT(ErrorOf("user: ann\n"), HasSubstr("is a flag, not a setting"));
}

TEST_F(LoadTest, EveryFlagSetsItsSetting) {
  request_.args = {"--host", "h",   "--port=1",         "--flight-port", "2", "--db", "d",
                   "--storage-backend", "ducklake",     "--delta-path",  "p",
                   "--parquet-path",    "q",            "--user",        "u",
                   "--password-file",   "f",            "--allow-anonymous",
                   "--ready-file",      "r"};
  const Settings s = Load();
  EXPECT_EQ(s.api.host, "h");
  EXPECT_EQ(s.api.port, 1);
  EXPECT_EQ(s.flight.port, 2);
  EXPECT_EQ(s.duckdb.path, "d");
  EXPECT_EQ(s.storage_backend, "ducklake");
  EXPECT_EQ(s.delta_config.table_path, "p");
  EXPECT_EQ(s.datasets.at("dataset"), "q");
  EXPECT_TRUE(s.parquet_path_given);
  EXPECT_EQ(s.auth.flag_user, "u");
  EXPECT_EQ(s.auth.password_file, "f");
  EXPECT_TRUE(s.auth.allow_anonymous);
  EXPECT_EQ(s.ready_file, "r");
  request_.args = {"--prot", "1"};
  EXPECT_THAT(LoadError(), HasSubstr("did you mean --port?"));
  request_.args = {"--port"};
  EXPECT_THAT(LoadError(), HasSubstr("--port: needs a value"));
}

TEST_F(LoadTest, EnvironmentNamesAndKubernetesLinks) {
  request_.environment = {{"ARROWPORT_PORT", "tcp://10.0.0.1:8888"},
                          {"ARROWPORT_SERVICE_HOST", "10.0.0.1"},
                          {"ARROWPORT_DB", "x.duckdb"},
                          {"ARROWPORT_LOG_LEVEL", "debug"},
                          {"ARROWPORT_METRICS_PORT", "9"},
                          {"ARROWPORT_DUCKDB_EXTENSIONS", "parquet, json"},
                          {"ARROWPORT_TEST_FAULTS", "a=kill"},
                          {"ARROWPORT_API_HOTS", "typo"}};
  const Settings s = Load();
  EXPECT_EQ(s.api.port, 8888);
  EXPECT_EQ(s.duckdb.path, "x.duckdb");
  EXPECT_EQ(s.log.level, "debug");
  EXPECT_EQ(s.api.metrics_port, 9);
  EXPECT_EQ(s.duckdb_extensions, (std::vector<std::string>{"parquet", "json"}));
  EXPECT_EQ(s.test_faults, "a=kill");
  EXPECT_THAT(s.warnings, Contains(HasSubstr("did you mean ARROWPORT_API_HOST?")));
  EXPECT_EQ(s.warnings.size(), 1);
  request_.environment = {{"ARROWPORT_PORT", "1"}, {"ARROWPORT_API_PORT", "2"}};
  EXPECT_THAT(LoadError(), HasSubstr("name the same setting with different values"));
}

TEST_F(LoadTest, ReloadComparesAndRefusesAnEmptyFile) {
  Write("arrowport.yaml", "api: {port: 1}\nlog: {level: debug}\ns3: {secret: a}\n");
  const Settings before = Load();
  Write("arrowport.yaml", "api: {port: 2}\nlog: {level: info}\ns3: {secret: b}\n"
                          "streams: {new: }\n");
  const Settings after = Load();
  std::map<std::string, bool> changes;
  for (const Change& change : CompareSettings(before, after))
    changes[change.key] = change.reloadable;
  EXPECT_EQ(changes, (std::map<std::string, bool>{{"api.port", false},
                                                  {"log.level", true},
                                                  {"s3.secret", false},
                                                  {"streams.new", true}}));
  EXPECT_TRUE(CompareSettings(after, after).empty());
  Write("arrowport.yaml", "");
  EXPECT_TRUE(LoadSettings(request_).ok());
  request_.empty_file = EmptyFile::kRefuse;
  EXPECT_THAT(LoadError(), HasSubstr("is empty"));
}

TEST_F(LoadTest, ParentFoldersAreCreated) {
  Settings s = Load();
  s.duckdb.path = (folder_ / "a/b/x.duckdb").string();
  ASSERT_TRUE(CreateParentFolders(s).ok());
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "a/b"));
  s.duckdb.path = ":memory:";
  EXPECT_TRUE(CreateParentFolders(s).ok());
}

/// A value that differs from the default, as a file would hold it.
std::string OtherValue(const Setting& setting) {
  if (!setting.allowed.empty()) return std::string(setting.allowed.back());
  switch (setting.type) {
    case Type::kInteger:
      return std::to_string(std::min(setting.minimum + 7, setting.maximum));
    case Type::kPort:
      return "4711";
    case Type::kBoolean:
      return setting.default_text == "true" ? "false" : "true";
    case Type::kBytes:
    case Type::kMemory:
      return "96MiB";
    case Type::kRate:
      return "5KiB/s";
    case Type::kDuration:
      return "77s";
    default:
      return "other";
  }
}

TEST_F(LoadTest, EveryKeyIsTakenFromAFileAndShownInEffect) {
  for (const Setting& setting : SettingTable()) {
    if (!setting.in_files) continue;
    std::vector<std::string> parts = SplitKey(setting.key);
    std::string yaml, close;
    for (size_t i = 0; i < parts.size(); ++i) {
      const bool is_index = parts[i] == "<n>";
      if (IsWildcard(parts[i])) parts[i] = is_index ? "0" : "some";
      yaml += is_index ? "[" : "{" + parts[i] + ": ";
      close = (is_index ? "]" : "}") + close;
    }
    const std::string value = OtherValue(setting);
    Write("arrowport.yaml", yaml + value + close + "\n");
    request_.args = {"--set", "duckdb.wal_bytes_max=1GiB"};
    if (setting.key == "duckdb.wal_bytes_max") request_.args.clear();
    if (setting.key.starts_with("auth.users")) {
      request_.args.insert(request_.args.end(),
                           {"--set", "auth.users.some.password_hash=h", "--set",
                            "auth.users.some.grants.0.on=t", "--set",
                            "auth.users.some.grants.0.do=read"});
    }
    if (setting.key.starts_with("auth.tokens")) {
      request_.args.insert(
          request_.args.end(),
          {"--set", "auth.tokens.0.hash=h", "--set", "auth.tokens.0.grants.0.on=t",
           "--set", "auth.tokens.0.grants.0.do=read"});
    }
    if (setting.key.starts_with("tls.")) {
      for (const char* other : {"tls.cert=c", "tls.key=k"}) {
        if (!std::string_view(other).starts_with(setting.key))
          request_.args.insert(request_.args.end(), {"--set", other});
      }
    }
    if (setting.key == "streams_path") Write("other", "some: {mode: append}\n");
    SCOPED_TRACE(std::string(setting.key));
    const Settings s = Load();
    const EffectiveValue* effective = Effective(s, JoinKey(parts));
    ASSERT_NE(effective, nullptr);
    EXPECT_NE(effective->kind, OriginKind::kDefault);
    if (setting.visibility == Visibility::kSecret) {
      EXPECT_EQ(effective->value, "***");
    }
  }
}

TEST_F(LoadTest, DefaultsReadBackAsThemselves) {
  for (const Setting& setting : SettingTable()) {
    SCOPED_TRACE(std::string(setting.key));
    ASSERT_NE(setting.apply, nullptr);
    EXPECT_FALSE(setting.doc.empty());
    const Value value = DefaultValue(setting, 8 * kGiB);
    if (std::holds_alternative<std::monostate>(value)) continue;
    auto again = ParseValue(setting, {{CanonicalText(setting, value)}}, 8 * kGiB);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(*again, value);
  }
}

TEST(Value, SizesAndTimes) {
  EXPECT_EQ(*ParseBytes("64MiB"), 64 << 20);
  EXPECT_EQ(*ParseBytes("1.5 GiB"), 3 * (kGiB / 2));
  EXPECT_EQ(*ParseBytes("10GB"), 10'000'000'000);
  EXPECT_EQ(*ParseBytes("1024"), 1024);
  for (const char* bad : {"", "x", "-1", "1XiB", "99999999999TiB", "1e3", "0x10", "inf"})
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  EXPECT_EQ(*ParseDurationMs("1h30m"), 5'400'000);
  EXPECT_EQ(*ParseDurationMs("250ms"), 250);
  EXPECT_EQ(*ParseDurationMs("7d"), 604'800'000);
  for (const char* bad : {"", "5", "s", "-5s", "5 parsecs", "999999999999999d"})
    EXPECT_FALSE(ParseDurationMs(bad).ok()) << bad;
  EXPECT_EQ(FormatBytes(64 << 20), "64MiB");
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatDurationMs(90'000), "90s");
}

TEST(Value, Nearest) {
  EXPECT_EQ(EditDistance("prot", "port"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(Nearest("prot", {"host", "port"}), "port");
  EXPECT_EQ(Nearest("zzzzzz", {"host", "port"}), "");
}

TEST(Memory, IsGranted) { EXPECT_GT(MemoryGrantedBytes(), 1 << 20); }

TEST(Reference, PageInTheRepositoryIsCurrent) {
  const auto environment = ProcessEnvironment();
  const auto source = environment.find("ARROWPORT_SOURCE_DIR");
  if (source == environment.end()) GTEST_SKIP() << "run by ctest";
  std::ifstream file(source->second + "/docs/reference/settings.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == ReferencePage())
      << "run: arrowport config reference > docs/reference/settings.md";
}

}  // namespace
}  // namespace arrowport::config
