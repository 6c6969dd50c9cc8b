#include "zerobus/rpc/target.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::zerobus::rpc {
namespace {

TEST(Endpoint, TakesSchemeHostAndPort) {
  auto plain = ParseEndpoint("http://127.0.0.1:50051").ValueOrDie();
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 50051);
  auto bare = ParseEndpoint("1234.zerobus.us-west-2.cloud.databricks.com").ValueOrDie();
  EXPECT_TRUE(bare.tls);
  EXPECT_EQ(bare.port, 443);
  EXPECT_EQ(bare.Authority(), "1234.zerobus.us-west-2.cloud.databricks.com");
  auto v6 = ParseEndpoint("https://[::1]:8443/").ValueOrDie();
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.Authority(), "[::1]:8443");
}

TEST(Endpoint, RefusesOthers) {
  for (const char* text : {"", "ftp://host", "https://", "host:0", "host:99999",
                           "host:1x", "https://host/path", "https://a b",
                           "https://user@host", "https://[::1", "https://h\r\nx"}) {
    auto endpoint = ParseEndpoint(text);
    ASSERT_FALSE(endpoint.ok()) << text;
    EXPECT_EQ(CodeOf(endpoint.status()), ErrorCode::kBadConfig);
  }
}

TEST(Proxy, FirstNonEmptyWins) {
  ProxySettings settings{"", "http://p2:3128", "p3:1", "", ""};
  auto proxy = ChooseProxy(settings, "host.example").ValueOrDie();
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->host, "p2");
  EXPECT_EQ(proxy->port, 3128);
  settings.grpc_proxy = "me:se%40cret@p1:8080";
  proxy = ChooseProxy(settings, "host.example").ValueOrDie();
  EXPECT_EQ(proxy->host, "p1");
  EXPECT_EQ(proxy->credentials, "me:se@cret");
  EXPECT_FALSE(ChooseProxy({}, "host").ValueOrDie());
}

TEST(Proxy, BypassIsBySuffixOnADotBorder) {
  EXPECT_TRUE(BypassCovers("a, example.com", "x.example.com"));
  EXPECT_TRUE(BypassCovers(".example.com", "example.com"));
  EXPECT_TRUE(BypassCovers("Example.COM", "X.EXAMPLE.com"));
  EXPECT_FALSE(BypassCovers("example.com", "badexample.com"));
  EXPECT_FALSE(BypassCovers("x.example.com", "example.com"));
  EXPECT_TRUE(BypassCovers("*", "anything"));
  EXPECT_FALSE(BypassCovers("", "host"));
  ProxySettings settings{"p:1", "", "", "only.this", "host"};
  EXPECT_TRUE(ChooseProxy(settings, "host").ValueOrDie());  // no_grpc_proxy goes first
  EXPECT_FALSE(ChooseProxy(settings, "only.this").ValueOrDie());
}

TEST(Proxy, ErrorHoldsNoPassword) {
  for (const char* text : {"https://u:topsecret@p:1", "u:topsecret@p:port"}) {
    auto proxy = ChooseProxy({text, "", "", "", ""}, "host");
    ASSERT_FALSE(proxy.ok());
    EXPECT_EQ(proxy.status().message().find("topsecret"), std::string::npos);
  }
}

}  // namespace
}  // namespace arrowport::zerobus::rpc
