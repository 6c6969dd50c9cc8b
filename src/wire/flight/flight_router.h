// The ten methods of Arrow Flight on the listener's handler interface.
#pragma once

#include <memory>

#include "base/byte_budget.h"
#include "ingest/session.h"
#include "maintain/service.h"
#include "query/service.h"
#include "wire/flight/authenticator.h"
#include "wire/flight/result_sender.h"
#include "wire/flight/sql_info.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct FlightOptions {
  std::shared_ptr<ingest::Service> ingest;
  std::shared_ptr<query::Service> query;
  std::shared_ptr<maintain::Service> maintain;  ///< may be null
  std::shared_ptr<Authenticator> authenticator;
  ipc::DecoderLimits decoder;
  std::shared_ptr<ByteBudget> budget;  ///< for decompressed uploads; may be null
  SenderOptions sender;
  ServerFacts facts;
};

/// Routes "/arrow.flight.protocol.FlightService/<method>"; other paths get a null
/// handler. Immutable, thread-safe.
class FlightRouter : public net::Router {
 public:
  explicit FlightRouter(FlightOptions options);

  net::Route OnRequest(const net::RequestHead& head,
                       const std::shared_ptr<net::Call>& call) override;

  /// Whether OnRequest takes this request, for a router that serves several protocols.
  static bool Takes(const net::RequestHead& head);

 private:
  const std::shared_ptr<const FlightOptions> options_;
};

}  // namespace arrowport::wire::flight
