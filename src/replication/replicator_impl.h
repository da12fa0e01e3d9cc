// The inside of the Replicator. Its methods are in five files by subject: links.cc, handshake.cc,
// gossip.cc, pulls.cc, transfer.cc; report.cc tells about it.
//
// A link that is closed stays in links_ until the public call ends, so that no reference to it
// dangles meanwhile.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "replication/link.h"
#include "replication/replicator.h"
#include "replication/ring.h"
#include "replication/secret.h"

namespace jeton::replication {

class Replicator::Impl {
 public:
  Impl(Host& host, std::uint64_t seed, Settings settings);

  void Announce(Now now, const Address& address);
  void Restore(Now now, const NodesFile& nodes);
  Status AddFrame(Now now, std::shared_ptr<const std::string> bytes);
  Status Meet(Now now, const Address& address, bool keep);
  Status Forget(Now now, const NodeId& node);
  void Reset(Now now);
  void Configure(Now now, Settings settings);
  void CheckDigests(Now now);
  LinkId Accepted(Now now, std::string_view remote_ip);
  void DialDone(Now now, LinkId id, bool ok, std::string_view error);
  void Receive(Now now, LinkId id, std::string_view bytes);
  void Closed(Now now, LinkId id, std::string_view why);
  void Backlog(Now now, LinkId id, std::size_t bytes);
  void Tick(Now now);
  void Stop(Now now);
  MonoNs NextTick() const;
  std::vector<Output> TakeOutputs();
  std::vector<Event> TakeEvents();
  ReplicatorStatus status(Now now) const;
  const MemberMap& members() const { return members_; }
  bool clustered() const { return members_.size() > 1; }
  std::size_t AckedBy(Lsn lsn) const;

 private:
  // --- links.cc
  Link* Find(LinkId id);
  Link* UpLinkOf(const NodeId& node);
  const Link* UpLinkOf(const NodeId& node) const;
  Link& NewLink(Now now, bool dialed);
  void Emit(Now now, Link& link, MessageType type, std::uint8_t flags, std::uint32_t stream,
            std::string_view payload);
  void CloseLink(Now now, Link& link, const std::string& reason);
  void LinkGone(Now now, Link& link, const std::string& why);
  void Sweep();
  // How many bytes were used; 0 when more are needed or the link was closed.
  std::size_t ReceiveOne(Now now, Link& link, std::string_view bytes);
  void Assemble(Now now, Link& link, const Header& header, std::string_view payload);
  void Dispatch(Now now, Link& link, const Header& header, std::string_view payload);
  void DispatchUp(Now now, Link& link, const Header& header, std::string_view payload);
  void Corrupt(Now now, Link& link, const std::string& what);
  void DialDue(Now now);
  void DialTo(Now now, const Address& address, bool meet, Redial& redial);
  void DialFailed(Now now, LinkId id, const std::string& why);
  void ScheduleRedial(Now now, Redial& redial, bool patient);
  void ForgiveSilence(Now now);
  void CheckLinkTimeouts(Now now);

  // --- handshake.cc
  void SendHello(Now now, Link& link);
  void SendWelcome(Now now, Link& link);
  void SendRefuse(Now now, Link& link, const Refuse& refuse);
  void DropRefusedDial(const Link& link, RefuseReason reason);
  void OnHello(Now now, Link& link, std::string_view payload);
  void OnWelcome(Now now, Link& link, std::string_view payload);
  bool IsOut() const;
  Forgetter ForgetterOf(const Link& link) const;
  void OnRefuse(Now now, Link& link, std::string_view payload);
  std::optional<Refuse> CheckHello(Now now, const Link& link);
  std::optional<Refuse> CheckPeer(Now now, const Link& link);
  std::optional<ClusterId> Agreed(const Link& link) const;
  bool Adoptable() const;
  bool IsMember(const NodeId& node) const;
  Status AdoptAgreed(Now now, const Link& link);
  Mac MacOf(const Link& link, bool own, MessageType type, std::string_view said) const;
  crdt::VersionVector FinalsOf(const std::vector<OriginId>& origins) const;
  void Up(Now now, Link& link);
  void ResolveDuplicate(Now now, Link& link, Peer& peer);
  void LearnHost(Now now, const std::string& seen);
  void CheckFences(Now now);

  // --- gossip.cc
  void OnMembers(Now now, Link& link, std::string_view payload);
  bool MergeMember(Now now, const Member& member);
  bool MergeOwn(Now now, const Member& member);
  void Reissue(Now now);
  void SyncPeer(const NodeId& node);
  void StoreMember(Now now, const Member& member);
  void SpreadMembers(Now now, const std::vector<Member>& changed, LinkId except);
  void SendMembers(Now now, Link& link);
  std::vector<Member> AllMembers() const;
  void CloseForgotten(Now now, const NodeId& node);
  void ForgetMember(Now now, Member member);
  void ForgetStranger(Now now, const Link& link);
  void Heartbeat(Now now);
  void SendPing(Now now, Link& link);
  void OnPing(Now now, Link& link, const Header& header, std::string_view payload);
  void OnPong(Now now, Link& link, std::string_view payload);
  void CompareMembers(Now now, Link& link, std::uint64_t digest);
  void MeasureClock(Now now, const Link& link, Peer& peer, const Ping& pong);
  std::vector<RelayedHead> HeadsFor(Now now, const NodeId& to);
  void NoteReport(Now now, const NodeId& by, const RelayedHead& relayed);
  void NoteHead(const NodeId& node, const OriginId& origin, MonoNs sampled, Lsn head);
  void SweepHeads();
  void TrimRing();
  void SendDigest(Now now, Link& link);
  void OnDigest(Now now, Link& link, std::string_view payload);

  // --- pulls.cc
  Lsn Known(const OriginId& origin) const;
  // Whether the run `run` writes `origin`: it is its own, or its lazy one.
  static bool IsOfRun(const OriginId& run, const OriginId& origin) {
    return origin == run || origin == LazyOf(run);
  }
  bool IsOwn(const OriginId& origin) const { return IsOfRun(origin_, origin); }
  // Closed or folded: nobody may write it any more.
  bool IsOver(const OriginId& origin) const;
  void FlushVectors(Now now);
  void SendVector(Now now, Link& link);
  void OnVector(Now now, Link& link, const Header& header, std::string_view payload);
  void OnDelta(Now now, Link& link, const Header& header, std::string_view payload);
  ApplyOutcome ApplyDelta(Now now, Link& link, const crdt::Frame& frame, std::string_view bytes);
  void NoteRow(const crdt::Frame& frame);
  void OnNeed(Now now, Link& link, const Header& header, std::string_view payload);
  void ServeNeeds(Now now, Link& link);
  bool ServeNeed(Now now, Link& link, const PendingNeed& pending);
  struct Found {
    std::shared_ptr<const std::string> bytes;
    Lsn to = 0;
  };
  Found FrameAfter(const OriginId& origin, Lsn after) const;
  void OnMiss(Now now, Link& link, const Header& header, std::string_view payload);
  void StartPulls(Now now);
  void PullFrom(Now now, Link& link);
  bool WaitsForPush(Now now, const Link& link, const OriginId& origin);
  void EndPull(const OriginId& origin);
  void CheckPullTimeouts(Now now);
  void SendMiss(Now now, Link& link, std::uint32_t stream, MissReason reason,
                const OriginId& origin, const std::string& text);
  void PushOwn(Now now, const crdt::Frame& frame, const std::string& bytes);
  bool OfferedElsewhere(Now now, const OriginId& origin, LinkId except);

  // --- transfer.cc
  // No frame may be applied: a state is on its way that must not be overtaken.
  bool Receiving() const;
  crdt::VersionVector Want() const;
  bool MayDonate(const Link& link) const;
  void TryState(Now now, Link& preferred, const OriginId& origin);
  void StateStep(Now now);
  void RetryState(Now now);
  void EndState(Now now, bool success, const std::string& why);
  void TakeBackWhatWasTold(Now now, const crdt::VersionVector& before);
  void OnStateBegin(Now now, Link& link, const Header& header, std::string_view payload);
  void OnStateChunk(Now now, Link& link, const Header& header, std::string_view payload);
  void OnStateEnd(Now now, Link& link, const Header& header, std::string_view payload);
  void OnNeedState(Now now, Link& link, const Header& header, std::string_view payload);
  void PumpDonation(Now now, Link& link);
  void EndDonation(Link& link);
  void CheckJoined();
  bool Joining() const;
  void SetJoining(bool joining, bool as_newcomer);
  bool OnlyNewcomersAreLeft() const;

  // --- report.cc
  void Note(bool warning, std::string text);
  // Stays for a minute after it was raised last.
  void Raise(Now now, const std::string& key, const std::string& text);
  void DropOldAlarms(Now now);
  PeerStatus StatusOf(Now now, const Member& member) const;
  std::string NameOf(const Link& link) const;

  std::int64_t LinkTimeoutMs() const;

  struct Alarm {
    std::string text;
    MonoNs raised = 0;
  };

  Host& host_;
  Prng prng_;
  Settings settings_;
  NodeId node_{};
  OriginId origin_{};
  ClusterId cluster_{};
  Address announced_;
  MemberMap members_;  // our own record among them
  std::uint64_t members_digest_ = 0;
  OriginMap<NodeId> nodes_by_origin_;
  std::map<NodeId, Peer> peers_;
  std::map<NodeId, Redial> redials_;
  std::vector<MeetTarget> meets_;
  std::map<LinkId, std::unique_ptr<Link>> links_;
  LinkId next_link_ = 1;
  std::uint32_t next_stream_ = 1;
  Ring ring_;

  OriginMap<Pull> pulls_;
  OriginMap<MonoNs> gap_since_;       // waiting for the origin's own push
  MonoNs pull_pause_until_ = 0;       // the host was busy
  crdt::VersionVector seen_durable_;  // of the host, when vectors were flushed last
  bool vectors_dirty_ = false;
  MonoNs vectors_due_ = 0;
  MonoNs last_tick_ = 0;
  MonoNs next_heartbeat_ = 0;
  MonoNs next_digest_ = 0;
  MonoNs next_dial_ = 0;
  std::size_t relay_turn_ = 0;  // which heads a PONG begins with

  std::optional<Incoming> incoming_;
  MonoNs state_retry_at_ = 0;
  std::int64_t state_backoff_ms_ = 0;
  bool half_state_ = false;  // the host holds half of one: only another try helps
  std::size_t donations_ = 0;
  bool joining_ = false;
  bool newcomer_ = false;  // and has come to a cluster that others were in
  bool joined_ = false;
  crdt::VersionVector join_goal_;  // what those had who were met while joining, when they were met
  bool forgotten_ = false;
  std::set<NodeId> forgotten_by_;  // who has refused us for that
  bool fenced_ = false;
  bool reissued_ = false;       // our record was once older than what peers had of us
  bool reissued_host_ = false;  // our host was learned from a peer, by this process

  std::vector<Output> outputs_;  // of closed links, and dials
  std::vector<Event> events_;
  std::map<std::string, Alarm> alarms_;
  ReplicatorStatus totals_;  // only its counters are used
};

}  // namespace jeton::replication
