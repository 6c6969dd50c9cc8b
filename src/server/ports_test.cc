#include "server/ports.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::server {
namespace {

using testing::ElementsAre;

// Ports that a test has declared taken fail to bind.
BindPort Binder(std::set<uint16_t> taken) {
  return [taken = std::move(taken)](uint16_t port) -> arrow::Result<uint16_t> {
    if (taken.contains(port)) return Error(ErrorCode::kUnreachable, "port taken: ", port);
    return port == 0 ? 40000 : port;
  };
}

config::Settings Defaults() {
  config::Settings settings;
  settings.api.port = 8888;
  settings.flight.port = 8889;
  return settings;
}

TEST(Ports, DefaultsHaveTheHttpAlias) {
  Ports ports = BindPorts(Defaults(), Binder({})).ValueOrDie();
  EXPECT_THAT(ports.http, ElementsAre(8888, 8000));
  EXPECT_THAT(ports.flight, ElementsAre(8888, 8889));
}

TEST(Ports, TakenAliasIsSkippedTakenPortIsAnError) {
  EXPECT_THAT(BindPorts(Defaults(), Binder({8000})).ValueOrDie().http, ElementsAre(8888));
  EXPECT_EQ(CodeOf(BindPorts(Defaults(), Binder({8888})).status()), ErrorCode::kUnreachable);
  EXPECT_EQ(CodeOf(BindPorts(Defaults(), Binder({8889})).status()), ErrorCode::kUnreachable);
}

TEST(Ports, GivenPortDropsTheAliases) {
  config::Settings settings = Defaults();
  settings.api.port = 8815;
  settings.api.port_given = true;
  settings.parquet_path_given = true;
  Ports ports = BindPorts(settings, Binder({})).ValueOrDie();
  EXPECT_THAT(ports.http, ElementsAre(8815));
  EXPECT_THAT(ports.flight, ElementsAre(8815, 8889));
}

TEST(Ports, ParquetPathOpensItsAlias) {
  config::Settings settings = Defaults();
  settings.parquet_path_given = true;
  Ports ports = BindPorts(settings, Binder({})).ValueOrDie();
  EXPECT_THAT(ports.http, ElementsAre(8888, 8000, 8815));
  EXPECT_THAT(ports.flight, ElementsAre(8888, 8815, 8889));
}

TEST(Ports, OnePortForBothIsBoundOnce) {
  config::Settings settings = Defaults();
  settings.api.port = settings.flight.port = 9000;
  settings.api.port_given = settings.flight.port_given = true;
  Ports ports = BindPorts(settings, Binder({})).ValueOrDie();
  EXPECT_THAT(ports.flight, ElementsAre(9000));
}

TEST(Ports, ReadyFileIsWrittenWithItsFolder) {
  auto folder = std::filesystem::temp_directory_path() / ("ports-" + std::to_string(getpid()));
  std::string path = (folder / "a" / "ready.json").string();
  Ports ports{{1}, {1, 2}};
  ASSERT_TRUE(WriteReadyFile(path, ports).ok());
  std::ifstream in(path);
  std::string text(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(text, ReadyFileText(ports));
  EXPECT_THAT(text, testing::HasSubstr("\"http\":[1],\"flight\":[1,2]"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace arrowport::server
