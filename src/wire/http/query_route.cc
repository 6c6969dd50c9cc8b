#include "wire/http/query_route.h"

#include <deque>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"

namespace arrowport::wire::http {
namespace {

constexpr int64_t kWriteBytes = 1 << 20;

arrow::Result<std::shared_ptr<arrow::Scalar>> ParameterOf(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return std::make_shared<arrow::NullScalar>();
    case nlohmann::json::value_t::boolean:
      return std::make_shared<arrow::BooleanScalar>(value.get<bool>());
    case nlohmann::json::value_t::number_integer:
      return std::make_shared<arrow::Int64Scalar>(value.get<int64_t>());
    case nlohmann::json::value_t::number_unsigned: {
      const auto number = value.get<uint64_t>();
      if (number > static_cast<uint64_t>(INT64_MAX)) {
        return std::make_shared<arrow::UInt64Scalar>(number);
      }
      return std::make_shared<arrow::Int64Scalar>(static_cast<int64_t>(number));
    }
    case nlohmann::json::value_t::number_float:
      return std::make_shared<arrow::DoubleScalar>(value.get<double>());
    case nlohmann::json::value_t::string:
      return std::make_shared<arrow::StringScalar>(value.get<std::string>());
    default:
      return Error(ErrorCode::kInvalidArgument,
                   "params may hold null, true, false, numbers and text, not: ",
                   value.type_name());
  }
}

/// True when a JSON text nests deeper than a query request ever does.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if ((c == '{' || c == '[') && ++depth > 8) {
      return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n;") == std::string_view::npos;
}

}  // namespace

arrow::Result<query::Request> ParseQueryBody(const std::string& media_type,
                                             std::string_view body) {
  query::Request request;
  const size_t first = body.find_first_not_of(" \t\r\n");
  const bool json = media_type == "application/json" ||
                    (first != std::string_view::npos && body[first] == '{');
  if (!json) {
    request.source = std::string(body);
  } else {
    if (NestsTooDeep(body)) {
      return Error(ErrorCode::kInvalidArgument, "JSON query body nests too deep");
    }
    const auto parsed = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object()) {
      return Error(ErrorCode::kInvalidArgument,
                   "query body is not a JSON object {\"sql\": .., \"params\": [..]}");
    }
    const auto sql = parsed.find("sql");
    if (sql == parsed.end() || !sql->is_string()) {
      return Error(ErrorCode::kInvalidArgument, "query body has no text \"sql\"");
    }
    request.source = sql->get<std::string>();
    const auto params = parsed.find("params");
    if (params != parsed.end() && !params->is_null()) {
      if (!params->is_array()) {
        return Error(ErrorCode::kInvalidArgument, "\"params\" is not a list");
      }
      for (const auto& value : *params) {
        ARROW_ASSIGN_OR_RAISE(auto scalar, ParameterOf(value));
        request.parameters.push_back(std::move(scalar));
      }
    }
  }
  if (IsBlank(std::get<std::string>(request.source))) {
    return Error(ErrorCode::kInvalidArgument, "the SQL text is empty");
  }
  return request;
}

/// Encodes batches and writes them as the transport takes them. OnSchema, OnBatch and
/// OnEnd come from a query thread, Continue from the call's sequence. The head is sent
/// with the first rows, so that a statement that fails before them gets a proper error.
class QueryHandler::Sender : public query::ResultConsumer {
 public:
  Sender(std::shared_ptr<Exchange> exchange, ResultFormat format,
         std::unique_ptr<ResultWriter> writer)
      : exchange_(std::move(exchange)), format_(format), writer_(std::move(writer)) {}

  void OnSchema(const std::shared_ptr<arrow::Schema>& schema) override {
    MutexLock lock(mutex_);
    schema_ = schema;
  }

  query::Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) override {
    MutexLock lock(mutex_);
    if (over_) return query::Flow::kContinue;
    batches_.push_back(std::move(batch));
    paused_ = !Drive();
    return paused_ ? query::Flow::kPause : query::Flow::kContinue;
  }

  void OnEnd(const arrow::Status& status) override {
    MutexLock lock(mutex_);
    if (over_) return;
    if (!status.ok()) return FailLocked(status);
    ended_ = true;
    Drive();
  }

  /// The transport has room again. True: the cursor may go on.
  bool Continue() {
    MutexLock lock(mutex_);
    blocked_ = false;
    return Drive() && !over_ && std::exchange(paused_, false);
  }

  void Stop() {
    MutexLock lock(mutex_);
    over_ = true;
    pending_.clear();
    batches_.clear();
  }

 private:
  /// Writes what there is; false when the transport is full.
  bool Drive() REQUIRES(mutex_) {
    while (!over_) {
      if (!Flush()) return false;
      if (!batches_.empty()) {
        arrow::Status status = EncodeRows();
        if (!status.ok()) FailLocked(status);
        continue;
      }
      if (!ended_) return true;
      arrow::Status status = Begin();
      if (status.ok() && !std::exchange(closed_, true)) {
        status = writer_->End(&pending_);
        if (status.ok()) continue;
      }
      if (!status.ok()) {
        FailLocked(status);
      } else {
        Finish();
      }
    }
    return true;
  }

  void Finish() REQUIRES(mutex_) {
    over_ = true;
    exchange_->call().Finish();
  }

  arrow::Status Begin() REQUIRES(mutex_) {
    if (begun_) return {};
    if (!schema_) return Error(ErrorCode::kInternal, "the result has no schema");
    ARROW_RETURN_NOT_OK(writer_->Begin(schema_, &pending_));
    begun_ = true;
    exchange_->BeginStream(MediaTypeOf(format_));
    return {};
  }

  arrow::Status EncodeRows() REQUIRES(mutex_) {
    ARROW_RETURN_NOT_OK(Begin());
    const arrow::RecordBatch& batch = *batches_.front();
    const int64_t rows =
        std::min(writer_->rows_per_write(), batch.num_rows() - batch_row_);
    if (rows > 0) {
      ARROW_RETURN_NOT_OK(writer_->Write(*batch.Slice(batch_row_, rows), &pending_));
    }
    batch_row_ += rows;
    if (batch_row_ < batch.num_rows()) return {};
    batches_.pop_front();
    batch_row_ = 0;
    return {};
  }

  /// Hands over at most kWriteBytes at a time: one large batch must not look like a
  /// reader that stalls.
  bool Flush() REQUIRES(mutex_) {
    size_t next = 0;
    bool room = !blocked_;
    while (room && next < pending_.size()) {
      net::Slices part;
      int64_t bytes = 0;
      while (next < pending_.size() && bytes < kWriteBytes) {
        auto& slice = pending_[next];
        const int64_t wanted = std::min(slice->size(), kWriteBytes - bytes);
        bytes += wanted;
        if (wanted == slice->size()) {
          part.push_back(std::move(slice));
          ++next;
        } else {
          part.push_back(arrow::SliceBuffer(slice, 0, wanted));
          slice = arrow::SliceBuffer(slice, wanted);
        }
      }
      room = exchange_->call().Write(std::move(part));
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(next));
    blocked_ = !room;
    return room;
  }

  void FailLocked(const arrow::Status& status) REQUIRES(mutex_) {
    over_ = true;
    pending_.clear();
    batches_.clear();
    exchange_->Fail(status);
  }

  const std::shared_ptr<Exchange> exchange_;
  const ResultFormat format_;
  Mutex mutex_;
  const std::unique_ptr<ResultWriter> writer_ PT_GUARDED_BY(mutex_);
  std::shared_ptr<arrow::Schema> schema_ GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<arrow::RecordBatch>> batches_ GUARDED_BY(mutex_);
  int64_t batch_row_ GUARDED_BY(mutex_) = 0;  ///< of the first, already encoded
  net::Slices pending_ GUARDED_BY(mutex_);
  bool begun_ GUARDED_BY(mutex_) = false;
  bool blocked_ GUARDED_BY(mutex_) = false;
  bool paused_ GUARDED_BY(mutex_) = false;  ///< the cursor waits for Resume
  bool ended_ GUARDED_BY(mutex_) = false;   ///< the statement gave its last batch
  bool closed_ GUARDED_BY(mutex_) = false;  ///< the format's end is in pending_
  bool over_ GUARDED_BY(mutex_) = false;
};

QueryHandler::QueryHandler(std::unique_ptr<Exchange> exchange,
                           std::shared_ptr<query::Service> service,
                           int64_t text_bytes_max, std::optional<query::Request> given)
    : exchange_(std::move(exchange)),
      service_(std::move(service)),
      text_bytes_max_(text_bytes_max),
      given_(std::move(given)) {}

QueryHandler::~QueryHandler() = default;

void QueryHandler::OnMessage(net::Message message) {
  if (over_) return;
  if (static_cast<int64_t>(body_.size()) + message.body->size() > text_bytes_max_) {
    return Fail(Error(ErrorCode::kTooLarge,
                      "the query text is over the limit of bytes: ", text_bytes_max_));
  }
  body_.append(message.body->ToString());
}

void QueryHandler::OnEnd() {
  if (over_) return;
  arrow::Status status = Run();
  if (!status.ok()) Fail(status);
}

arrow::Result<query::Request> QueryHandler::ReadRequest(
    const QueryParameters& parameters) {
  if (given_) return *std::move(given_);
  const net::RequestHead& head = exchange_->head();
  const auto sql = parameters.find("sql");
  if (head.method == "GET" || (sql != parameters.end() && body_.empty())) {
    if (sql == parameters.end()) {
      return Error(ErrorCode::kInvalidArgument, "query parameter sql is missing");
    }
    return ParseQueryBody("text/plain", sql->second);
  }
  const std::string* type = head.Header("content-type");
  return ParseQueryBody(type ? MediaTypeOf(*type) : "", body_);
}

arrow::Status QueryHandler::Run() {
  const net::RequestHead& head = exchange_->head();
  ARROW_ASSIGN_OR_RAISE(QueryParameters parameters, ParseQueryPart(head.query));
  ARROW_ASSIGN_OR_RAISE(query::Request request, ReadRequest(parameters));
  std::string().swap(body_);
  if (const std::string* token = head.Header("arrowport-read-after")) {
    request.read_after = *token;
  }
  request.request_id = head.request_id;

  ARROW_ASSIGN_OR_RAISE(ResultFormat format,
                        parameters.contains("format")
                            ? ParseResultFormat(parameters["format"])
                            : NegotiateFormat(head.Header("accept")));
  Codec codec;
  if (parameters.contains("codec")) {
    ARROW_ASSIGN_OR_RAISE(codec, ParseCodec(parameters["codec"]));
  }
  ARROW_ASSIGN_OR_RAISE(auto writer, MakeResultWriter(format, codec));
  sender_ = std::make_shared<Sender>(exchange_, format, std::move(writer));
  ARROW_ASSIGN_OR_RAISE(cursor_, service_->Execute(std::move(request), sender_));
  return {};
}

void QueryHandler::OnBodyError(arrow::Status status) {
  if (!over_) Fail(status);
}

void QueryHandler::OnWritable() {
  if (sender_ && sender_->Continue() && cursor_) cursor_->Resume();
}

void QueryHandler::OnDone(const arrow::Status&) {
  over_ = true;
  if (sender_) sender_->Stop();
  cursor_.reset();
}

void QueryHandler::Fail(const arrow::Status& status) {
  over_ = true;
  exchange_->Fail(status);
}

}  // namespace arrowport::wire::http
