// What the writers of one client share.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "arrowport/zerobus/writer.h"
#include "zerobus/rpc/connection.h"
#include "zerobus/rpc/reactor.h"
#include "zerobus/rpc/task_pool.h"
#include "zerobus/token_cache.h"

namespace arrowport::zerobus {

/// Thread-safe, except SharedConnection. Destroyed by a thread of its users, never one of
/// its own: streams are stopped before and hold no reference.
class ClientCore final : public Client {
 public:
  static arrow::Result<std::shared_ptr<ClientCore>> Start();

  rpc::Reactor* reactor() { return reactor_.get(); }
  /// For what blocks.
  rpc::TaskPool* tasks() { return &tasks_; }
  /// One thread: what it is given runs in order.
  rpc::TaskPool* callbacks() { return &callbacks_; }
  TokenCache* tokens() { return tokens_.get(); }

  /// A usable connection under `key`, opened if there is none. I/O thread only.
  std::shared_ptr<rpc::Connection> SharedConnection(
      const std::string& key, const rpc::ConnectionOptions& options);

 private:
  explicit ClientCore(std::unique_ptr<rpc::Reactor> reactor);

  // Destroyed from the bottom: tasks post to the reactor.
  std::map<std::string, std::weak_ptr<rpc::Connection>> connections_;
  const std::unique_ptr<rpc::Reactor> reactor_;
  std::shared_ptr<TokenCache> tokens_;
  rpc::TaskPool callbacks_{1};
  rpc::TaskPool tasks_{8};
};

}  // namespace arrowport::zerobus
