#include "client/connection.h"

#include <arrow/util/base64.h>

#include <fstream>

namespace arrowport::client {
namespace {

namespace flight = arrow::flight;

arrow::Status ReadPem(const std::string& path, std::string* out) {
  if (path.empty()) return {};
  std::ifstream file(path, std::ios::binary);
  out->assign(std::istreambuf_iterator<char>(file), {});
  if (out->empty())
    return Error(ErrorCode::kBadConfig, "cannot read the TLS file ", path);
  return {};
}

}  // namespace

std::string AuthorizationHeader(const ClientOptions& options) {
  if (!options.token.empty()) return "Bearer " + options.token;
  if (options.user.empty()) return "";
  return "Basic " + arrow::util::base64_encode(options.user + ":" + options.password);
}

Connection::Connection(ClientOptions options, std::string authorization)
    : options_(std::move(options)),
      authorization_(std::move(authorization)),
      trailers_(std::make_shared<ErrorTrailers>()) {}

Connection::~Connection() {
  if (flight_) (void)flight_->Close();
}

arrow::Result<std::shared_ptr<Connection>> Connection::Open(const ServerAddress& address,
                                                            const ClientOptions& options) {
  std::shared_ptr<Connection> connection(
      new Connection(options, AuthorizationHeader(options)));
  ARROW_ASSIGN_OR_RAISE(const auto location,
                        flight::Location::Parse(address.FlightUri()));
  flight::FlightClientOptions flight_options = flight::FlightClientOptions::Defaults();
  ARROW_RETURN_NOT_OK(ReadPem(options.tls_ca_file, &flight_options.tls_root_certs));
  ARROW_RETURN_NOT_OK(ReadPem(options.tls_cert_file, &flight_options.cert_chain));
  ARROW_RETURN_NOT_OK(ReadPem(options.tls_key_file, &flight_options.private_key));
  flight_options.middleware.push_back(connection->trailers_);
  ARROW_ASSIGN_OR_RAISE(connection->flight_,
                        flight::FlightClient::Connect(location, flight_options));
  return connection;
}

flight::FlightCallOptions Connection::CallOptions() const {
  flight::FlightCallOptions call;
  if (!authorization_.empty()) call.headers.emplace_back("authorization", authorization_);
  if (options_.call_timeout)
    call.timeout = std::chrono::duration<double>(*options_.call_timeout);
  return call;
}

arrow::Status Connection::Translate(const arrow::Status& status) {
  return FromFlight(status, *trailers_);
}

}  // namespace arrowport::client
