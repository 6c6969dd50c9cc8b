#include "wire/flight/flight_router.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "wire/flight/actions.h"
#include "wire/flight/get_handler.h"
#include "wire/flight/guarded_handler.h"
#include "wire/flight/handshake.h"
#include "wire/flight/info.h"
#include "wire/flight/put_handler.h"
#include "wire/flight/reply_handler.h"

namespace arrowport::wire::flight {
namespace {

using net::RequestHead;
using Body = std::shared_ptr<arrow::Buffer>;

constexpr std::string_view kService = "/arrow.flight.protocol.FlightService/";

// Ends a call whose method is known but not offered.
class RefusingHandler : public net::CallHandler {
 public:
  RefusingHandler(std::shared_ptr<net::Call> call, arrow::Status status)
      : call_(std::move(call)), status_(std::move(status)) {}
  void OnMessage(net::Message) override { Finish(*call_, status_); }
  void OnEnd() override { Finish(*call_, status_); }
  void OnBodyError(arrow::Status) override { Finish(*call_, status_); }
  void OnDone(const arrow::Status&) override {}

 private:
  const std::shared_ptr<net::Call> call_;
  const arrow::Status status_;
};

// The options live as long as the handler's answer needs them.
struct MethodContext {
  std::shared_ptr<const FlightOptions> options;
  std::shared_ptr<net::Call> call;
  Grant grant;
};
using Method = std::unique_ptr<net::CallHandler> (*)(MethodContext context);

template <arrow::Result<Replies> (*kFunction)(query::Service&, const RequestHead&,
                                              const Body&)>
std::unique_ptr<net::CallHandler> Describing(MethodContext c) {
  auto call = c.call;
  return MakeReplyHandler(call, [c = std::move(c)](const Body& body) {
    return kFunction(*c.options->query, c.call->head(), body);
  });
}

std::unique_ptr<net::CallHandler> Listing(MethodContext c) {
  auto call = c.call;
  return MakeReplyHandler(call, [c = std::move(c)](const Body& body) {
    return ListFlights(*c.options->query, body);
  });
}

ActionOptions ActionOptionsOf(const FlightOptions& options) {
  return {options.ingest, options.query, options.maintain};
}

std::unique_ptr<net::CallHandler> Acting(MethodContext c) {
  auto call = c.call;
  return MakeLaterReplyHandler(call, [c = std::move(c)](const Body& body, Deliver deliver) {
    DoAction(ActionOptionsOf(*c.options), c.call->head(), body, std::move(deliver));
  });
}

std::unique_ptr<net::CallHandler> ListingActions(MethodContext c) {
  auto call = c.call;
  return MakeReplyHandler(call, [c = std::move(c)](const Body&) {
    return ListActions(ActionOptionsOf(*c.options));
  });
}

std::unique_ptr<net::CallHandler> Getting(MethodContext c) {
  return MakeGetHandler(c.call, {c.options->query, c.options->sender, c.options->facts});
}

std::unique_ptr<net::CallHandler> Putting(MethodContext c) {
  return MakePutHandler(c.call,
                        {c.options->ingest, c.options->decoder, c.options->budget});
}

std::unique_ptr<net::CallHandler> Exchanging(MethodContext c) {
  return std::make_unique<RefusingHandler>(
      c.call, Error(ErrorCode::kUnimplemented, "DoExchange is not offered"));
}

std::unique_ptr<net::CallHandler> ShakingHands(MethodContext c) {
  return MakeHandshakeHandler(c.call, c.options->authenticator, std::move(c.grant));
}

struct Entry {
  std::string_view name;
  net::MessageFormat format;
  Method make;
};

constexpr std::array kMethods = {
    Entry{"Handshake", net::MessageFormat::kRaw, ShakingHands},
    Entry{"ListFlights", net::MessageFormat::kRaw, Listing},
    Entry{"GetFlightInfo", net::MessageFormat::kRaw, Describing<GetFlightInfo>},
    Entry{"PollFlightInfo", net::MessageFormat::kRaw, Describing<PollFlightInfo>},
    Entry{"GetSchema", net::MessageFormat::kRaw, Describing<GetSchema>},
    Entry{"DoGet", net::MessageFormat::kRaw, Getting},
    Entry{"DoPut", net::MessageFormat::kFlightData, Putting},
    Entry{"DoExchange", net::MessageFormat::kFlightData, Exchanging},
    Entry{"DoAction", net::MessageFormat::kRaw, Acting},
    Entry{"ListActions", net::MessageFormat::kRaw, ListingActions},
};

const Entry* Find(const RequestHead& head) {
  const std::string_view path = head.path;
  if (head.protocol != net::Protocol::kGrpc || !path.starts_with(kService))
    return nullptr;
  const auto name = path.substr(kService.size());
  const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                  [name](const Entry& e) { return e.name == name; });
  return found == kMethods.end() ? nullptr : &*found;
}

}  // namespace

FlightRouter::FlightRouter(FlightOptions options)
    : options_(std::make_shared<const FlightOptions>(std::move(options))) {}

bool FlightRouter::Takes(const net::RequestHead& head) {
  return head.protocol == net::Protocol::kGrpc && head.path.starts_with(kService);
}

net::Route FlightRouter::OnRequest(const net::RequestHead& head,
                                   const std::shared_ptr<net::Call>& call) {
  const Entry* entry = Find(head);
  if (!entry) return {};
  net::Route route;
  route.format = entry->format;
  route.handler = MakeGuardedHandler(
      call, options_->authenticator,
      [options = options_, call, make = entry->make](const Grant& grant) {
        return make({options, call, grant});
      });
  return route;
}

}  // namespace arrowport::wire::flight
