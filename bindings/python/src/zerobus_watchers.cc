#include "zerobus_watchers.h"

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "errors.h"
#include "module.h"

namespace arrowport::python {
namespace {

using std::chrono::milliseconds;
using zerobus::TelemetryLevel;
using Texts = std::map<std::string, std::string>;

constexpr Service kService = Service::kZerobus;

constexpr std::pair<const char*, TelemetryLevel> kLevels[] = {
    {"debug", TelemetryLevel::kDebug}, {"info", TelemetryLevel::kInfo},
    {"warning", TelemetryLevel::kWarning}, {"error", TelemetryLevel::kError},
    {"off", TelemetryLevel::kOff}};

arrow::Result<TelemetryLevel> LevelOf(const std::string& name) {
  std::string known;
  for (const auto& [text, level] : kLevels) {
    if (name == text) return level;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  return arrow::Status::Invalid("log_level wants one of ", known, ", not ", name);
}

const char* NameOf(TelemetryLevel wanted) {
  for (const auto& [text, level] : kLevels) {
    if (level == wanted) return text;
  }
  return "info";
}

void MakeTelemetry(TelemetryHandle* self, const std::string& endpoint,
                   const Texts& headers, const std::string& output_dir,
                   int64_t interval_ms, int64_t timeout_ms, int64_t flush_timeout_ms,
                   const std::string& service_name, const Texts& resource_attributes,
                   int64_t queued_spans_max, const std::string& tls_ca_file,
                   const std::string& log_level, nb::object log) {
  zerobus::TelemetryOptions options;
  options.endpoint = endpoint;
  options.headers.assign(headers.begin(), headers.end());
  options.output_folder = output_dir;
  options.interval = milliseconds(interval_ms);
  options.timeout = milliseconds(timeout_ms);
  options.flush_timeout = milliseconds(flush_timeout_ms);
  options.service_name = service_name;
  options.resource_attributes.assign(resource_attributes.begin(),
                                     resource_attributes.end());
  options.queued_spans_max = queued_spans_max;
  options.tls.ca_file = tls_ca_file;
  options.log_level = Unwrap(kService, LevelOf(log_level));
  options.log = [kept = KeptObject(std::move(log))](TelemetryLevel level,
                                                    std::string_view text) {
    RunCallback(kept, [&](nb::handle callable) { callable(NameOf(level), text); });
  };
  auto telemetry = Unlocked(kService, [&] {
    EndRetired();
    return zerobus::Telemetry::Make(std::move(options));
  });
  new (self) TelemetryHandle(std::move(telemetry));
}

void MakeDebugFiles(DebugFilesHandle* self, const std::string& table,
                    const std::string& output_dir, const std::string& mode, bool arrow,
                    bool protobuf, int64_t flush_interval_ms,
                    std::optional<int64_t> max_file_size,
                    std::optional<int64_t> max_files_retained) {
  zerobus::DebugFileOptions options;
  options.output_folder = output_dir;
  options.arrow = arrow;
  options.protobuf = protobuf;
  options.flush_interval = milliseconds(flush_interval_ms);
  options.file_bytes_max = max_file_size;
  options.rotated_files_max = max_files_retained;
  // The other modes have no rows of protobuf, and differ in nothing else here.
  const auto encoded = mode == "proto" ? zerobus::Mode::kProto : zerobus::Mode::kJson;
  auto files = Unlocked(kService, [&] {
    EndRetired();
    return zerobus::DebugFiles::Make(table, encoded, options);
  });
  new (self) DebugFilesHandle(std::move(files));
}

std::optional<std::string> LastErrorOf(const DebugFilesHandle& self) {
  const arrow::Status status = self.get()->last_error();
  if (status.ok()) return std::nullopt;
  return status.message();
}

}  // namespace

void BindZerobusWatchers(nb::module_& module) {
  using nb::arg;
  using zerobus::TelemetryStatistics;
  nb::class_<TelemetryStatistics>(module, "TelemetryStatistics",
                                  "Counters of one Telemetry.")
      .def_ro("exports", &TelemetryStatistics::exports)
      .def_ro("failed_exports", &TelemetryStatistics::failed_exports)
      .def_ro("spans_exported", &TelemetryStatistics::spans_exported)
      .def_ro("spans_dropped", &TelemetryStatistics::spans_dropped)
      .def_ro("file_errors", &TelemetryStatistics::file_errors);
  nb::class_<TelemetryHandle>(module, "ZerobusTelemetry", nb::is_weak_referenceable())
      .def("__init__", &MakeTelemetry, nb::kw_only(), arg("endpoint"), arg("headers"),
           arg("output_dir"), arg("interval_ms"), arg("timeout_ms"),
           arg("flush_timeout_ms"), arg("service_name"), arg("resource_attributes"),
           arg("queued_spans_max"), arg("tls_ca_file"), arg("log_level"), arg("log"))
      .def("flush",
           [](const TelemetryHandle& self) {
             Unlocked(kService, [&] { return self.get()->Flush(); });
           })
      .def("close",
           [](const TelemetryHandle& self) {
             if (InCallback()) RaiseClosed("a callback may not close a telemetry");
             Unlocked(kService, [&] { return self.get()->Close(); });
           })
      .def("statistics",
           [](const TelemetryHandle& self) { return self.get()->statistics(); });
  nb::class_<DebugFilesHandle>(module, "ZerobusDebugFiles", nb::is_weak_referenceable())
      .def("__init__", &MakeDebugFiles, nb::kw_only(), arg("table"), arg("output_dir"),
           arg("mode"), arg("arrow"), arg("protobuf"), arg("flush_interval_ms"),
           arg("max_file_size").none(), arg("max_files_retained").none())
      .def("close",
           [](const DebugFilesHandle& self) {
             Unlocked(kService, [&] { return self.get()->Close(); });
           })
      .def_prop_ro("write_errors",
                   [](const DebugFilesHandle& self) {
                     return self.get()->write_errors();
                   })
      .def_prop_ro("last_error", &LastErrorOf);
}

}  // namespace arrowport::python
