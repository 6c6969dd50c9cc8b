// SQL over HTTP: the statement in, its result streamed out in the negotiated format.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "query/service.h"
#include "wire/http/exchange.h"
#include "wire/http/request_target.h"
#include "wire/http/result_writer.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// SQL and parameters of a request body: JSON {"sql": .., "params": [..]} when the media
/// type says so or the text begins with '{', else the text itself.
/// Errors: kInvalidArgument.
arrow::Result<query::Request> ParseQueryBody(const std::string& media_type,
                                             std::string_view body);

/// Events and posted tasks run one at a time; results come on query threads.
class QueryHandler : public net::CallHandler {
 public:
  /// `given`: the statement, where it is not the caller who writes it.
  QueryHandler(std::unique_ptr<Exchange> exchange,
               std::shared_ptr<query::Service> service, int64_t text_bytes_max,
               std::optional<query::Request> given = std::nullopt);
  ~QueryHandler() override;

  void OnMessage(net::Message message) override;
  void OnEnd() override;
  void OnBodyError(arrow::Status status) override;
  void OnWritable() override;
  void OnDone(const arrow::Status& status) override;

 private:
  class Sender;

  arrow::Result<query::Request> ReadRequest(const QueryParameters& parameters);
  arrow::Status Run();
  void Fail(const arrow::Status& status);

  const std::shared_ptr<Exchange> exchange_;
  const std::shared_ptr<query::Service> service_;
  const int64_t text_bytes_max_;
  std::optional<query::Request> given_;
  std::string body_;
  bool over_ = false;
  std::shared_ptr<Sender> sender_;
  std::unique_ptr<query::Cursor> cursor_;
};

}  // namespace arrowport::wire::http
