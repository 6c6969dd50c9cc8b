#include "zerobus_options.h"


#include <chrono>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "errors.h"
#include "kept_object.h"
#include "shared_client.h"
#include "zerobus_observer.h"
#include "zerobus_watchers.h"

namespace arrowport::python {
namespace {

using zerobus::Options;

/// A value that does not fit; becomes a ConfigurationError that names its keyword.
struct BadValue {
  std::string text;
};

template <typename T>
T As(nb::handle value, const char* wanted) {
  T out;
  if (!nb::try_cast<T>(value, out, false)) throw BadValue{std::string("wants ") + wanted};
  return out;
}

std::string Text(nb::handle value) { return As<std::string>(value, "text"); }
bool Flag(nb::handle value) { return As<bool>(value, "True or False"); }
int64_t Number(nb::handle value) { return As<int64_t>(value, "a whole number"); }
double Ratio(nb::handle value) {
  if (PyLong_Check(value.ptr())) return static_cast<double>(Number(value));
  return As<double>(value, "a number");
}
int SmallNumber(nb::handle value) { return As<int>(value, "a whole number"); }
std::chrono::milliseconds Milliseconds(nb::handle value) {
  return std::chrono::milliseconds(As<int64_t>(value, "a whole number of milliseconds"));
}

template <typename T>
T Choice(nb::handle value,
         std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::string text = Text(value);
  std::string known;
  for (const auto& [name, choice] : choices) {
    if (name == text) return choice;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw BadValue{"wants one of " + known + ", not " + text};
}

KeptObject Callable(nb::handle value) {
  if (!PyCallable_Check(value.ptr())) throw BadValue{"wants something to call"};
  return KeptObject(nb::borrow(value));
}

/// Calls back into Python from a thread of the library; what it raises becomes a status.
template <typename T, typename Convert>
arrow::Result<T> Ask(const KeptObject& callable, const char* what, Convert convert) {
  if (!nb::is_alive()) return arrow::Status::Cancelled("the interpreter has ended");
  const nb::gil_scoped_acquire lock;
  try {
    return convert(callable.object()());
  } catch (const std::exception& error) {
    return arrow::Status::Invalid(what, " failed: ", error.what());
  }
}

zerobus::HeaderProvider HeaderProviderFrom(nb::handle value) {
  return [kept = Callable(value)] {
    return Ask<zerobus::Headers>(kept, "the header provider", [](const nb::object& answer) {
      const nb::object items =
          nb::isinstance<nb::dict>(answer) ? nb::list(answer.attr("items")()) : answer;
      return nb::cast<zerobus::Headers>(items);
    });
  };
}

/// Text, or (text, seconds since 1970 at which it expires or None).
zerobus::SubjectToken SubjectTokenFrom(const nb::object& answer) {
  if (nb::isinstance<nb::str>(answer)) return {nb::cast<std::string>(answer), std::nullopt};
  const auto [text, expires] =
      nb::cast<std::pair<std::string, std::optional<double>>>(answer);
  zerobus::SubjectToken token{text, std::nullopt};
  if (expires) {
    token.expires = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::duration<double>(*expires)));
  }
  return token;
}

zerobus::Federation& FederationOf(Options& options) {
  if (!options.federation) options.federation.emplace();
  return *options.federation;
}

using Setter = void (*)(Options&, nb::handle);
using Setters = std::map<std::string_view, Setter>;

const Setters& ConnectionSetters() {
  static const Setters setters = {
      {"unity_catalog_url", [](Options& o, nb::handle v) { o.unity_catalog_url = Text(v); }},
      {"client_id", [](Options& o, nb::handle v) { o.client_id = Text(v); }},
      {"client_secret", [](Options& o, nb::handle v) { o.client_secret = Text(v); }},
      {"workspace_id", [](Options& o, nb::handle v) { o.workspace_id = Text(v); }},
      {"application_name", [](Options& o, nb::handle v) { o.application_name = Text(v); }},
      {"header_provider",
       [](Options& o, nb::handle v) { o.header_provider = HeaderProviderFrom(v); }},
      {"subject_token",
       [](Options& o, nb::handle v) {
         FederationOf(o).subject_token = [kept = Callable(v)] {
           return Ask<zerobus::SubjectToken>(kept, "the subject token provider",
                                             SubjectTokenFrom);
         };
       }},
      {"federation_client_id",
       [](Options& o, nb::handle v) { FederationOf(o).client_id = Text(v); }},
      {"federation_identity",
       [](Options& o, nb::handle v) { FederationOf(o).identity = Text(v); }},
      {"tls_ca_file", [](Options& o, nb::handle v) { o.tls.ca_file = Text(v); }},
      {"tls_cert_file", [](Options& o, nb::handle v) { o.tls.cert_file = Text(v); }},
      {"tls_key_file", [](Options& o, nb::handle v) { o.tls.key_file = Text(v); }},
      {"tls_server_name", [](Options& o, nb::handle v) { o.tls.server_name = Text(v); }},
      {"grpc_proxy", [](Options& o, nb::handle v) { o.proxy.grpc_proxy = Text(v); }},
      {"https_proxy", [](Options& o, nb::handle v) { o.proxy.https_proxy = Text(v); }},
      {"http_proxy", [](Options& o, nb::handle v) { o.proxy.http_proxy = Text(v); }},
      {"no_grpc_proxy", [](Options& o, nb::handle v) { o.proxy.no_grpc_proxy = Text(v); }},
      {"no_proxy", [](Options& o, nb::handle v) { o.proxy.no_proxy = Text(v); }},
  };
  return setters;
}

const Setters& StreamSetters() {
  using zerobus::BackPressure, zerobus::IpcCompression, zerobus::RejectedRequests;
  static const Setters setters = {
      {"max_inflight_requests",
       [](Options& o, nb::handle v) { o.stream.max_inflight_requests = Number(v); }},
      {"max_inflight_batches",
       [](Options& o, nb::handle v) { o.stream.max_inflight_batches = Number(v); }},
      {"max_inflight_bytes",
       [](Options& o, nb::handle v) { o.stream.max_inflight_bytes = Number(v); }},
      {"max_request_bytes",
       [](Options& o, nb::handle v) { o.stream.max_request_bytes = Number(v); }},
      {"recovery", [](Options& o, nb::handle v) { o.stream.recovery = Flag(v); }},
      {"recovery_retries",
       [](Options& o, nb::handle v) { o.stream.recovery_retries = SmallNumber(v); }},
      {"recovery_timeout_ms",
       [](Options& o, nb::handle v) { o.stream.recovery_timeout = Milliseconds(v); }},
      {"recovery_backoff_base_ms",
       [](Options& o, nb::handle v) { o.stream.recovery_backoff_base = Milliseconds(v); }},
      {"recovery_backoff_max_ms",
       [](Options& o, nb::handle v) { o.stream.recovery_backoff_max = Milliseconds(v); }},
      {"connection_timeout_ms",
       [](Options& o, nb::handle v) { o.stream.connection_timeout = Milliseconds(v); }},
      {"server_lack_of_ack_timeout_ms",
       [](Options& o, nb::handle v) {
         o.stream.server_lack_of_ack_timeout = Milliseconds(v);
       }},
      {"flush_timeout_ms",
       [](Options& o, nb::handle v) { o.stream.flush_timeout = Milliseconds(v); }},
      {"stream_paused_max_wait_ms",
       [](Options& o, nb::handle v) { o.stream.stream_paused_max_wait = Milliseconds(v); }},
      {"callback_max_wait_ms",
       [](Options& o, nb::handle v) { o.stream.callback_max_wait = Milliseconds(v); }},
      {"ipc_compression",
       [](Options& o, nb::handle v) {
         o.stream.ipc_compression = Choice<IpcCompression>(
             v, {{"zstd", IpcCompression::kZstd},
                 {"lz4", IpcCompression::kLz4Frame},
                 {"none", IpcCompression::kNone}});
       }},
      {"token_cache", [](Options& o, nb::handle v) { o.stream.token_cache = Flag(v); }},
      {"token_refresh_buffer_s",
       [](Options& o, nb::handle v) {
         o.stream.token_refresh_buffer = std::chrono::seconds(Number(v));
       }},
      {"connection_per_stream",
       [](Options& o, nb::handle v) { o.stream.connection_per_stream = Flag(v); }},
      {"rejected_requests",
       [](Options& o, nb::handle v) {
         o.stream.rejected_requests =
             Choice<RejectedRequests>(v, {{"fail", RejectedRequests::kFail},
                                          {"bisect", RejectedRequests::kBisect}});
       }},
      {"bisect_rejections_max",
       [](Options& o, nb::handle v) { o.stream.bisect_rejections_max = SmallNumber(v); }},
      {"back_pressure",
       [](Options& o, nb::handle v) {
         o.stream.back_pressure = Choice<BackPressure>(
             v, {{"block", BackPressure::kBlock}, {"fail", BackPressure::kFail}});
       }},
  };
  return setters;
}

const Setters& WriterSetters() {
  using zerobus::Mode, zerobus::NullElements, zerobus::SchemaChange;
  static const Setters setters = {
      {"mode",
       [](Options& o, nb::handle v) {
         o.mode = Choice<Mode>(
             v, {{"proto", Mode::kProto}, {"json", Mode::kJson}, {"flight", Mode::kFlight}});
       }},
      {"retry_max_attempts",
       [](Options& o, nb::handle v) { o.retry.attempts_max = SmallNumber(v); }},
      {"retry_base_delay_ms",
       [](Options& o, nb::handle v) { o.retry.delay_base = Milliseconds(v); }},
      {"retry_max_delay_ms",
       [](Options& o, nb::handle v) { o.retry.delay_max = Milliseconds(v); }},
      {"circuit_breaker",
       [](Options& o, nb::handle v) { o.circuit_breaker.enabled = Flag(v); }},
      {"circuit_breaker_failed_rows_ratio_max",
       [](Options& o, nb::handle v) {
         o.circuit_breaker.failed_rows_ratio_max = Ratio(v);
       }},
      {"circuit_breaker_window_ms",
       [](Options& o, nb::handle v) { o.circuit_breaker.window = Milliseconds(v); }},
      {"circuit_breaker_rows_min",
       [](Options& o, nb::handle v) { o.circuit_breaker.rows_min = Number(v); }},
      {"schema_change",
       [](Options& o, nb::handle v) {
         o.schema_change =
             Choice<SchemaChange>(v, {{"new_stream", SchemaChange::kNewStream},
                                      {"refuse", SchemaChange::kRefuse}});
       }},
      {"null_elements",
       [](Options& o, nb::handle v) {
         o.null_elements = Choice<NullElements>(
             v, {{"fail_row", NullElements::kFailRow}, {"drop", NullElements::kDrop}});
       }},
      {"unsupported_types",
       [](Options& o, nb::handle v) {
         o.unsupported_types = Choice<zerobus::UnsupportedTypes>(
             v, {{"refuse", zerobus::UnsupportedTypes::kRefuse},
                 {"integers", zerobus::UnsupportedTypes::kIntegers},
                 {"text", zerobus::UnsupportedTypes::kText}});
       }},
      {"cast_to_table", [](Options& o, nb::handle v) { o.cast_to_table = Flag(v); }},
      {"zerobus_writer_disabled",
       [](Options& o, nb::handle v) { o.writer_disabled = Flag(v); }},
      {"on_durable",
       [](Options& o, nb::handle v) {
         o.on_durable = [kept = Callable(v)](const zerobus::DurableRange& range) {
           RunCallback(kept, [&](nb::handle callable) {
             callable(range.first_offset, range.last_offset);
           });
         };
       }},
      {"on_failed",
       [](Options& o, nb::handle v) {
         o.on_failed = [kept = Callable(v)](const zerobus::FailedRange& range) {
           RunCallback(kept, [&](nb::handle callable) {
             callable(range.first_offset, range.last_offset,
                      ExceptionOf(Service::kZerobus, range.error));
           });
         };
       }},
      {"observer",
       [](Options& o, nb::handle v) {
         o.observers.push_back(MakeObserver(nb::borrow(v)));
       }},
      {"debug_files",
       [](Options& o, nb::handle v) {
         o.observers.push_back(
             As<DebugFilesHandle*>(v, "an arrowport.zerobus.DebugFiles")->get());
       }},
      {"client",
       [](Options& o, nb::handle v) {
         o.client = As<SharedClient*>(v, "an arrowport.zerobus.Client")->client;
       }},
  };
  return setters;
}

Setter FindSetter(const std::string& name) {
  for (const Setters* setters :
       {&ConnectionSetters(), &StreamSetters(), &WriterSetters()}) {
    if (const auto found = setters->find(name); found != setters->end()) {
      return found->second;
    }
  }
  throw BadValue{"is not an option"};
}

[[noreturn]] void RaiseBadOption(const std::string& name, const BadValue& bad) {
  const nb::object error = nb::module_::import_("arrowport._errors")
                               .attr("make_zerobus_error")(
                                   "Configuration", "option " + name + " " + bad.text, false,
                                   nb::none(), nb::none(), nb::list());
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

std::string TakeText(nb::dict& keywords, const char* name) {
  if (!keywords.contains(name)) RaiseBadOption(name, BadValue{"is missing"});
  try {
    const std::string text = Text(keywords[name]);
    nb::del(keywords[name]);
    return text;
  } catch (const BadValue& bad) {
    RaiseBadOption(name, bad);
  }
}

}  // namespace

zerobus::Options ZerobusOptionsFrom(nb::dict keywords) {
  std::string endpoint = TakeText(keywords, "endpoint");
  Options options(std::move(endpoint), TakeText(keywords, "table"));
  std::shared_ptr<zerobus::Telemetry> telemetry;
  for (const nb::handle key : keywords.keys()) {
    const nb::object value = keywords[key];
    if (value.is_none()) continue;
    const std::string name = nb::cast<std::string>(key);
    try {
      if (name == "telemetry") {
        telemetry = As<TelemetryHandle*>(value, "an arrowport.zerobus.Telemetry")->get();
        continue;
      }
      FindSetter(name)(options, value);
    } catch (const BadValue& bad) {
      RaiseBadOption(name, bad);
    }
  }
  // Last: what it tells depends on the others.
  if (telemetry) options.observers.push_back(telemetry->ObserverOf(options));
  return options;
}

}  // namespace arrowport::python
