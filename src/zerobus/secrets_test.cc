// No secret shows: in errors, logs, options, debug files, telemetry, the circuit breaker;
// also when the service repeats what it was sent.
#include "zerobus/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "arrowport/zerobus/debug_files.h"
#include "arrowport/zerobus/telemetry.h"
#include "zerobus/testing_collector.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;
using testing::FakeCollector;
using testing::FakeService;
using ::testing::HasSubstr;
using testing::Ids;
using testing::MakeWriter;
using ::testing::Not;
using testing::OptionsFor;
using testing::Received;
using testing::ServerCall;
using Action = FakeService::Action;
using Connection = FakeService::Connection;

constexpr const char* kToken = "tok-5d0c9e1f77";
constexpr const char* kApiKey = "key-81b2c3d4e5";
constexpr const char* kClientSecret = "sec-0f9e8d7c6b";
constexpr const char* kCollectorKey = "col-aa55aa55aa";
constexpr const char* kProxyPassword = "pro-1234567890";

/// What somebody could read. Add is thread-safe.
class Texts {
 public:
  void Add(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    all_ += text + "\n";
  }
  void Add(const arrow::Status& status) {
    if (!status.ok()) Add(status.ToString());
  }
  void Add(const TransmissionResult& result) {
    Add(result.error());
    for (const std::string& text : result.GetErrorMessages()) Add(text);
  }
  void AddFiles(const fs::path& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      Add(std::string(std::istreambuf_iterator<char>(file), {}));
      ++files_;
    }
  }
  int files() const { return files_; }
  void ExpectClean() const {
    for (const char* secret :
         {kToken, kApiKey, kClientSecret, kCollectorKey, kProxyPassword}) {
      EXPECT_EQ(all_.find(secret), std::string::npos) << secret;
    }
  }
  const std::string& all() const { return all_; }

 private:
  std::mutex mutex_;
  std::string all_;
  int files_ = 0;
};

std::string Echo(ServerCall& call) {
  return "you sent " + call.header("authorization") + " and " + call.header("x-api-key");
}

class Secrets : public ::testing::TestWithParam<Mode> {
 protected:
  Secrets() {
    std::string name = (fs::temp_directory_path() / "zerobus_secrets_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Secrets() override { fs::remove_all(folder_); }

  Options Make(const FakeService& service) {
    Options options = OptionsFor(service, GetParam());
    options.client_secret = kClientSecret;  // not used beside a provider, but there
    options.header_provider = []() -> arrow::Result<Headers> {
      return Headers{{"authorization", std::string("Bearer ") + kToken},
                     {"x-api-key", kApiKey}};
    };
    options.proxy.http_proxy =
        std::string("http://me:") + kProxyPassword + "@127.0.0.1:1";
    options.proxy.no_proxy = "*";
    options.stream.recovery_retries = 1;
    options.retry.attempts_max = 2;
    options.circuit_breaker.enabled = true;
    options.circuit_breaker.rows_min = 1;
    options.on_failed = [this](const FailedRange& range) { texts_.Add(range.error); };
    return options;
  }

  fs::path folder_;
  Texts texts_;
};

TEST_P(Secrets, NeverShow) {
  FakeService service;
  service.set_on_open([](ServerCall& call, Connection& connection) {
    if (connection.number == 0) {
      call.Finish(14, Echo(call), Echo(call));
      return true;
    }
    return false;
  });
  service.set_on_request([](ServerCall& call, Connection&, const Received& received) {
    if (received.ids.front() == 0) return Action::kLogAndAck;
    call.Finish(3, Echo(call), Echo(call));
    return Action::kDrop;
  });
  FakeCollector collector;
  TelemetryOptions exported;
  exported.endpoint = collector.endpoint();
  exported.headers = {{"authorization", std::string("Bearer ") + kCollectorKey}};
  exported.output_folder = folder_.string();
  exported.log_level = TelemetryLevel::kDebug;
  exported.log = [this](TelemetryLevel, std::string_view text) {
    texts_.Add(std::string(text));
  };
  auto telemetry = Telemetry::Make(exported).ValueOrDie();
  Options options = Make(service);
  auto files = DebugFiles::Make(
                   options.table, options.mode,
                   {.output_folder = folder_.string(), .arrow = true, .protobuf = true})
                   .ValueOrDie();
  options.observers = {telemetry->ObserverOf(options), files};
  texts_.Add(options.ToString());
  auto writer = MakeWriter(options);
  EXPECT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  const auto refused = writer->SendBatch(Ids(10, 10));
  EXPECT_FALSE(refused.success());
  // The echo arrived: it is there, without what must not show.
  EXPECT_THAT(refused.error().message(), HasSubstr("you sent Bearer ****"));
  texts_.Add(refused);
  const auto broken = writer->SendBatch(Ids(20, 10));
  EXPECT_FALSE(broken.success());
  EXPECT_EQ(broken.attempts(), 0);  // by the circuit breaker
  texts_.Add(broken);
  texts_.Add(writer->Flush());
  texts_.Add(writer->Shutdown());
  collector.set_status(500);
  texts_.Add(telemetry->Flush());
  texts_.Add(telemetry->Close());
  texts_.Add(files->Close());
  ASSERT_FALSE(collector.spans().empty());
  for (const auto& request : collector.requests()) texts_.Add(request.body);
  texts_.AddFiles(folder_);
  EXPECT_GE(texts_.files(), GetParam() == Mode::kProto ? 5 : 3);
  EXPECT_THAT(texts_.all(), HasSubstr("exported"));
  texts_.ExpectClean();
}

INSTANTIATE_TEST_SUITE_P(All, Secrets,
                         ::testing::Values(Mode::kProto, Mode::kJson, Mode::kFlight));

TEST(SecretTexts, AddressesWithCredentialsAreRefusedUnrepeated) {
  const std::string address = std::string("http://me:") + kClientSecret + "@host:1";
  Texts texts;
  Options options(address, "main.test.ids");
  options = options.WithCredentials("id", kClientSecret).WithUnityCatalog(address);
  texts.Add(options.ToString());
  const arrow::Status refused = options.Validate();
  EXPECT_THAT(refused.message(), HasSubstr("credentials"));
  texts.Add(refused);
  options.endpoint = "http://host";
  texts.Add(options.Validate());
  options.proxy.https_proxy = std::string("socks5://me:") + kProxyPassword + "@p:1";
  options.unity_catalog_url = "http://host";
  texts.Add(ZerobusWriter::Make(options).status());
  texts.ExpectClean();
}

TEST(SecretTexts, AreMaskedInPlace) {
  std::string text = "a secret-one b secret-one";
  MaskSecrets({"secret-one", "a", ""}, &text);
  EXPECT_EQ(text, "a ********** b **********");
  EXPECT_EQ(SecretOf("Bearer abc"), "abc");
  EXPECT_EQ(SecretOf("abc"), "abc");
  EXPECT_EQ(WithoutCredentials("https://me:x@host/p"), "https://***@host/p");
  EXPECT_EQ(WithoutCredentials("me:x@host"), "***@host");
  EXPECT_EQ(WithoutCredentials("https://host/p"), "https://host/p");
}

}  // namespace
}  // namespace arrowport::zerobus
