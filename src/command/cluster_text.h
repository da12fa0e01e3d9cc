// The texts and lists in which a node tells of the others: CLUSTER NODES and INFO, HELLO in
// Discnt's form, the section of INFO.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "command/cluster_host.h"
#include "command/server_state.h"
#include "protocol/reply.h"

namespace jeton::command {

// What was published last, or the status of a lone node where there is no cluster. Id and address
// of this node are filled in.
ClusterStatus StatusFor(const ServerState& server, const Session& session);

// Null: unknown.
const PeerStatus* FindPeer(const ClusterStatus& status, std::string_view id);

// A line for each node: id, address, flags, ping sent, pong received, state of the link.
std::string NodesText(const ClusterStatus& status);
// The lines of CLUSTER INFO.
std::string ClusterInfoText(const ClusterStatus& status);
// The lines of INFO's section behind cluster_enabled.
std::string ClusterSectionText(const ClusterStatus& status, const std::string& own_id);
// Discnt's HELLO: version 1, the own id, then id, address, port and priority of every node.
void ReplyHello(const ClusterStatus& status, Reply& reply);
// Redis' CLUSTER LINKS, with what there is to say here.
void ReplyLinks(const ClusterStatus& status, Reply& reply);

// "handshake", "noflags", "fail?", "fail", "forgotten".
std::string_view FlagsOf(PeerStatus::State state);

}  // namespace jeton::command
