#include "wire/net/bind.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "base/error.h"

namespace arrowport::wire::net {
namespace {

constexpr int kFreePortTries = 16;

struct Failure {
  int error = 0;
  const char* step = "";
};

void SetPort(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  }
}

uint16_t PortOf(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  }
  return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
}

Descriptor Listen(const addrinfo& entry, uint16_t port, Failure* failure) {
  Descriptor socket(
      ::socket(entry.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) {
    *failure = {errno, "socket"};
    return Descriptor();
  }
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (entry.ai_family == AF_INET6) {
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  sockaddr_storage address{};
  std::memcpy(&address, entry.ai_addr, entry.ai_addrlen);
  SetPort(reinterpret_cast<sockaddr*>(&address), port);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), entry.ai_addrlen) < 0) {
    *failure = {errno, "bind"};
    return Descriptor();
  }
  if (::listen(socket.get(), SOMAXCONN) < 0) {
    *failure = {errno, "listen"};
    return Descriptor();
  }
  return socket;
}

bool IsMissingAddress(int error) {
  return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

// One attempt. `*failure` is set when an address failed that should not have.
Bound TryBind(const addrinfo* list, uint16_t port, Failure* failure) {
  Bound bound;
  bound.port = port;
  std::set<std::string> seen;
  Failure missing;
  for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    std::string key(reinterpret_cast<const char*>(entry->ai_addr), entry->ai_addrlen);
    if (!seen.insert(key).second) continue;
    Failure one;
    Descriptor socket = Listen(*entry, bound.port, &one);
    if (socket.get() < 0) {
      if (IsMissingAddress(one.error)) {
        missing = one;
        continue;
      }
      *failure = one;
      return bound;
    }
    if (bound.port == 0) bound.port = PortOf(socket.get());
    bound.sockets.push_back(std::move(socket));
  }
  if (bound.sockets.empty()) *failure = missing;
  return bound;
}

std::set<std::string> ListeningInodes(uint16_t port) {
  std::set<std::string> inodes;
  char suffix[8];
  std::snprintf(suffix, sizeof suffix, ":%04X", port);
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout,
          inode;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >>
          uid >> timeout >> inode;
      if (state == "0A" && local.ends_with(suffix)) inodes.insert(inode);
    }
  }
  return inodes;
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

bool HoldsAny(const std::string& process, const std::set<std::string>& inodes) {
  Directory files(::opendir((process + "/fd").c_str()), &::closedir);
  if (!files) return false;
  while (const dirent* file = ::readdir(files.get())) {
    char target[64];
    std::string path = process + "/fd/" + file->d_name;
    ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size <= 9) continue;
    std::string_view link(target, static_cast<size_t>(size));
    if (!link.starts_with("socket:[")) continue;
    if (inodes.contains(std::string(link.substr(8, link.size() - 9)))) return true;
  }
  return false;
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

std::string HolderOfPort(uint16_t port) {
  std::set<std::string> inodes = ListeningInodes(port);
  if (inodes.empty()) return {};
  Directory processes(::opendir("/proc"), &::closedir);
  if (!processes) return {};
  while (const dirent* entry = ::readdir(processes.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    std::string process = std::string("/proc/") + entry->d_name;
    if (!HoldsAny(process, inodes)) continue;
    std::string name;
    std::ifstream comm(process + "/comm");
    std::getline(comm, name);
    return name + " (pid " + entry->d_name + ")";
  }
  return {};
}

arrow::Result<Bound> BindAll(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  int code = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), "0", &hints, &found);
  if (code != 0) {
    return Error(ErrorCode::kBadConfig, "cannot resolve the address to listen on: ", host,
                 ": ", ::gai_strerror(code));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, &::freeaddrinfo);
  Failure failure;
  // A port that is free on the first address may be taken on the second: try another.
  for (int i = 0; i < (port == 0 ? kFreePortTries : 1); ++i) {
    failure = {};
    Bound bound = TryBind(list.get(), port, &failure);
    if (failure.error == 0) return bound;
  }
  std::string holder = failure.error == EADDRINUSE ? HolderOfPort(port) : "";
  return Error(ErrorCode::kUnreachable, "cannot listen on ", host, " port ", port, ": ",
               std::strerror(failure.error), holder.empty() ? "" : ", held by ", holder);
}

Peer PeerOf(const sockaddr_storage& address) {
  Peer peer;
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    peer.port = ntohs(v4.sin_port);
    peer.loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    peer.port = ntohs(v6.sin6_port);
    peer.loopback =
        IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
        (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == 127);
  }
  peer.address = text;
  return peer;
}

}  // namespace arrowport::wire::net
