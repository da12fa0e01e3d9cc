#include "server/transfer_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace jeton::server {

Result<TransferClient> TransferClient::Connect(const ServerAddress& address) {
  auto socket = bench::Connect(address.host, address.port, 0);
  if (!socket) return socket.error();
  TransferClient client(std::move(*socket), fmt::format("{}:{}", address.host, address.port));
  std::vector<std::string_view> hello = {"HELLO", "2"};
  if (!address.password.empty()) hello.insert(hello.end(), {"AUTH", "default", address.password});
  if (auto reply = client.Call(hello); !reply) return reply.error();
  return client;
}

void TransferClient::Queue(const std::vector<std::string_view>& args) {
  ASSERT(!Full());
  AppendRespRequest(out_, args);
  ++pending_;
}

Result<RespValue> TransferClient::Next() {
  ASSERT(pending_ > 0);
  for (;;) {
    RespValue value;
    std::size_t consumed = 0;
    switch (ParseRespValue(std::string_view(in_).substr(in_at_), consumed, value)) {
      case RespValueOutcome::kError:
        return Failed("it does not speak RESP");
      case RespValueOutcome::kNeedMore:
        break;
      case RespValueOutcome::kValue:
        in_at_ += consumed;
        --pending_;
        return value;
    }
    in_.erase(0, in_at_);
    in_at_ = 0;
    if (Status moved = Exchange(); !moved) return moved.error();
  }
}

Result<RespValue> TransferClient::Call(const std::vector<std::string_view>& args) {
  ASSERT(pending_ == 0);
  Queue(args);
  auto reply = Next();
  if (reply && reply->IsError()) return Error{ErrorKind::kInvalid, reply->text};
  return reply;
}

Status TransferClient::Exchange() {
  const bool unsent = out_at_ < out_.size();
  pollfd entry{.fd = socket_.fd(),
               .events = static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN),
               .revents = 0};
  const int ready = poll(&entry, 1, kReplyTimeoutMs);
  if (ready < 0) {
    if (errno == EINTR) return {};
    return Failed(std::strerror(errno));
  }
  if (ready == 0) return Failed(fmt::format("no reply within {} s", kReplyTimeoutMs / 1000));
  if ((entry.revents & POLLOUT) != 0) {
    if (Status sent = SendSome(); !sent) return sent;
  }
  if ((entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0) return ReceiveSome();
  return {};
}

Status TransferClient::SendSome() {
  const ssize_t size =
      send(socket_.fd(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size < 0) {
    // What the server has said before it hung up is worth reading.
    if (errno == EPIPE || errno == ECONNRESET || errno == EAGAIN || errno == EINTR) return {};
    return Failed(std::strerror(errno));
  }
  out_at_ += static_cast<std::size_t>(size);
  if (out_at_ == out_.size()) {
    out_.clear();
    out_at_ = 0;
  }
  return {};
}

Status TransferClient::ReceiveSome() {
  const std::size_t old_size = in_.size();
  in_.resize(old_size + kReadBytes);
  const ssize_t size = recv(socket_.fd(), in_.data() + old_size, kReadBytes, MSG_DONTWAIT);
  in_.resize(old_size + static_cast<std::size_t>(size > 0 ? size : 0));
  if (size > 0) return {};
  if (size == 0) return Failed("the server closed the connection");
  if (errno == EAGAIN || errno == EINTR) return {};
  return Failed(std::strerror(errno));
}

Error TransferClient::Failed(std::string_view what) const {
  return {ErrorKind::kIo, fmt::format("{}: {}", where_, what)};
}

Result<std::optional<TreeInfo>> FindTree(TransferClient& client, std::string_view tree) {
  auto reply = client.Call({"TREE.INFO", tree});
  if (!reply) {
    if (reply.error().text.starts_with("ERR no such tree")) return std::optional<TreeInfo>();
    return reply.error();
  }
  TreeInfo info;
  for (std::size_t i = 0; i + 1 < reply->items.size(); i += 2) {
    const std::string& name = reply->items[i].text;
    const RespValue& value = reply->items[i + 1];
    if (name == "bucket") info.bucket = value.text;
    if (name == "timezone") info.timezone = value.text;
    if (name == "keys") info.keys = static_cast<std::uint64_t>(value.integer);
  }
  return std::optional<TreeInfo>(std::move(info));
}

}  // namespace jeton::server
