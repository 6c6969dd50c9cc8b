#include "zerobus/client_core.h"

#include <utility>

#include "base/clock.h"

namespace arrowport::zerobus {

ClientCore::ClientCore(std::unique_ptr<rpc::Reactor> reactor)
    : reactor_(std::move(reactor)),
      tokens_(std::make_shared<TokenCache>(
          [this](std::function<void()> task) { return tasks_.Run(std::move(task)); },
          &SystemClock())) {}

arrow::Result<std::shared_ptr<ClientCore>> ClientCore::Start() {
  ARROW_ASSIGN_OR_RAISE(auto reactor, rpc::Reactor::Start());
  return std::shared_ptr<ClientCore>(new ClientCore(std::move(reactor)));
}

std::shared_ptr<rpc::Connection> ClientCore::SharedConnection(
    const std::string& key, const rpc::ConnectionOptions& options) {
  std::erase_if(connections_, [](const auto& entry) { return entry.second.expired(); });
  if (auto found = connections_[key].lock(); found && found->usable()) return found;
  auto opened = rpc::Connection::Open(reactor_.get(), &tasks_, options);
  connections_[key] = opened;
  return opened;
}

arrow::Result<std::shared_ptr<Client>> Client::Make() { return ClientCore::Start(); }

}  // namespace arrowport::zerobus
