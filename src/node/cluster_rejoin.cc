// Cluster: a node that the others have forgotten. With `rejoin auto` it sets its life aside and is
// started again, as an empty node that joins them; then it adds what only it has counted. See
// node/rejoin.h.
#include <algorithm>
#include <limits>
#include <mutex>
#include <shared_mutex>

#include "node/cluster.h"
#include "node/cluster_internal.h"
#include "node/node.h"

namespace jeton::node {

namespace {

constexpr MonoNs kRejoinInterval = 100 * kNsPerMs;

}  // namespace

// ---- forgotten

void Cluster::WeWereForgotten(const replication::Forgetter& by, const crdt::VersionVector& finals) {
  if (set_aside_ || (!rejoin_ && (!replica_ || receiving_))) return;
  const bool automatic = RejoinsBySetting() && node_.environment().request_restart != nullptr;
  // That others have told of it without a refusal of their own is not enough to give up anything.
  if (by.node == NodeId{}) {
    if (!automatic) AlarmForgotten(finals, "");
    return;
  }
  if (forgotten_alarm_.empty()) {
    node_.Say(LogLevel::kWarning, "The other nodes have forgotten this one");
  }
  if (!automatic)
    return AlarmForgotten(finals, "CONFIG SET rejoin auto takes it in again and adds them");
  if (by.forgotten_here && !by.met) {
    return AlarmForgotten(
        finals,
        "both sides have forgotten each other: CLUSTER MEET on this node takes it "
        "to the other side, where they are added");
  }
  if (rejoin_) {
    // It may begin again with what it brings along, as if it had never come back.
    if (IsWithoutIncrements()) {
      SetAside(by);
    } else {
      AlarmForgotten(finals, "what it brought along from before is not added yet");
    }
    node_.state().loading.store(IsLoading());
    return;
  }
  const auto facts = FactsOfOwnTail(finals);
  if (!facts) return AlarmForgotten(finals, "");
  if (facts->gap) {
    return AlarmForgotten(
        finals, "the log does not reach back far enough, so it does not rejoin by itself");
  }
  SetAside(by);
}

// Of such a life nothing is kept, so nobody is served any more once it is found to be one.
bool Cluster::IsWithoutIncrements() {
  if (!injected_.empty() || rejoin_state_ == RejoinState::kAdding) return false;
  if (!LogIsWithoutIncrements()) return false;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    node_.state().loading.store(true);
  }
  return LogIsWithoutIncrements();
}

bool Cluster::LogIsWithoutIncrements() {
  if (has_increments_) return false;
  if (Status flushed = node_.FlushLog(true); !flushed) return false;
  const std::lock_guard flush(node_.flush_mutex());
  const auto facts = FactsOfTail(*node_.environment().directory, LogKind::kPresent,
                                 [](const OriginId&) { return Lsn{0}; });
  if (!facts) return false;
  has_increments_ = facts->cells > 0 || facts->gap;
  return !has_increments_;
}

// Whether clients are told to wait. Memory that holds half of a state serves nobody, nor does a
// life that is about to end.
bool Cluster::IsLoading() const {
  return held_ || receiving_ || awaiting_join_ || (set_aside_ && rejoin_ != nullptr);
}

bool Cluster::RejoinsBySetting() const {
  const std::shared_lock turn(node_.state().turn_lock);
  return node_.state().settings.values().rejoin_auto;
}

// Nothing is written to the log meanwhile.
Result<TailFacts> Cluster::FactsOfOwnTail(const crdt::VersionVector& finals) {
  if (Status flushed = node_.FlushLog(true); !flushed) return flushed.error();
  crdt::VersionVector applied, others;
  {
    const std::shared_lock turn(node_.state().turn_lock);
    applied = replica_->applied();
    for (const NodeId& member : replica_->members()) {
      const auto row = replica_->rows().find(member);
      if (member != replica_->node() && row != replica_->rows().end()) others.Join(row->second);
    }
  }
  const auto final_of = [&](const OriginId& origin) {
    if (const Lsn final = finals.Get(origin); final != 0) return final;
    // What is folded here all others had.
    if (const auto end = FoldedAt(origin)) return *end;
    return others.Get(origin);
  };
  const std::lock_guard flush(node_.flush_mutex());
  auto facts = FactsOfTail(*node_.environment().directory, LogKind::kPresent, final_of);
  if (!facts) return facts;
  // A run that the log has lost altogether cannot be seen in it.
  for (const auto& [origin, lsn] : applied) {
    if (lsn <= final_of(origin) || !IsOfThisNode(origin)) continue;
    const auto& logged = facts->logged;
    facts->gap = facts->gap || std::none_of(logged.begin(), logged.end(), [&](const OriginId& run) {
                   return OfOneRun(run, origin);
                 });
  }
  return facts;
}

// Before the state with that head is taken. The others may have folded a run of this node at an LSN
// that an older disk is beyond: what it has there was swept away since, or is to be added.
Status Cluster::LosesNothing(std::string_view head) {
  if (receiving_) return {};  // that was looked at, and is gone
  const auto theirs = engine::Replica::FactsOfControl(head);
  if (!theirs) return Error{ErrorKind::kCorrupt, "the head of the state does not decode"};
  crdt::VersionVector applied;
  {
    const std::shared_lock turn(node_.state().turn_lock);
    applied = replica_->applied();
  }
  const auto is_beyond = [&](const OriginId& origin) {
    const auto end = theirs->folded.find(origin);
    return end != theirs->folded.end() && IsOfThisNode(origin) && applied.Get(origin) > end->second;
  };
  if (std::none_of(theirs->folded.begin(), theirs->folded.end(),
                   [&](const auto& item) { return is_beyond(item.first); })) {
    return {};
  }
  if (Status flushed = node_.FlushLog(true); !flushed) return flushed;
  const std::lock_guard flush(node_.flush_mutex());
  const auto facts = FactsOfTail(
      *node_.environment().directory, LogKind::kPresent,
      [&](const OriginId& origin) {
        return is_beyond(origin) ? theirs->folded.at(origin) : std::numeric_limits<Lsn>::max();
      },
      theirs->epoch);
  if (!facts) return facts.error();
  if (facts->cells == 0 && !facts->gap) return {};
  const std::string text =
      "the others have closed earlier runs of this node without " + std::to_string(facts->cells) +
      " counters, to which they had added " + facts->amount.value().ToString() +
      " in all: CLUSTER FORGET this node on another one, then it rejoins and adds them";
  if (rejoin_alarm_ != text) node_.Say(LogLevel::kWarning, "Alarm: " + text);
  rejoin_alarm_ = text;
  return Error{ErrorKind::kConflict, text};
}

void Cluster::AlarmForgotten(const crdt::VersionVector& finals, std::string_view what_to_do) {
  if (!forgotten_alarm_.empty() && finals == forgotten_finals_) return;
  forgotten_finals_ = finals;
  if (!replica_) {
    forgotten_alarm_ = "the other nodes have forgotten this one again, before it had joined them";
    if (!what_to_do.empty()) forgotten_alarm_.append("; ").append(what_to_do);
    return node_.Say(LogLevel::kWarning, "Alarm: " + forgotten_alarm_);
  }
  const auto facts = FactsOfOwnTail(finals);
  std::string alarm = "the other nodes have forgotten this one: ";
  if (facts) {
    alarm += std::to_string(facts->cells) + " counters, to which it has added " +
             facts->amount.value().ToString() + " in all since they knew of it, are only here" +
             (facts->gap ? " (and more that its log does not have any more)" : "");
  } else {
    alarm += "what it has counted since is only here, and its log cannot be read (" +
             facts.error().text + ")";
  }
  if (!what_to_do.empty()) alarm.append("; ").append(what_to_do);
  alarm += "; CLUSTER RESET makes it a node of its own";
  if (alarm == forgotten_alarm_) return;
  forgotten_alarm_ = alarm;
  node_.Say(LogLevel::kWarning, "Alarm: " + forgotten_alarm_);
}

// From here on the next start is that of a new node, whatever happens.
void Cluster::SetAside(const replication::Forgetter& by) {
  std::vector<replication::Address> addresses;
  if (!by.address.host.empty() && by.address.port != 0) addresses.push_back(by.address);
  if (Status flushed = node_.FlushLog(true); !flushed) return;
  Directory& directory = *node_.environment().directory;
  Status requested = rejoin_ ? RequestBeginAgain(directory, EncodeAddresses(addresses))
                             : RequestSetAside(directory, EncodeAddresses(addresses));
  if (!requested) {
    return node_.Say(LogLevel::kWarning, "This node cannot rejoin: " + requested.error().text);
  }
  set_aside_ = true;
  forgotten_alarm_ =
      "the other nodes have forgotten this one: it starts again to join them as a new "
      "member, and adds what only it has counted";
  node_.Say(LogLevel::kWarning, "Alarm: " + forgotten_alarm_);
  node_.environment().request_restart();
}

// ---- coming back

Status Cluster::LoadRejoin(Now now) {
  auto rejoin = Rejoin::Load(*node_.environment().directory);
  if (!rejoin) return rejoin.error();
  rejoin_ = std::move(*rejoin);
  if (!rejoin_) {
    injected_.clear();  // of one that is over
    return {};
  }
  rejoin_state_ = RejoinState::kJoining;
  // Whoever wrote here before it has joined would make a second cluster of it.
  awaiting_join_ = HasNothing();
  node_.Say(LogLevel::kNotice, "This node was forgotten: it joins the others as a new member");
  if (members_.size() > 1) return {};
  Join(now, rejoin_->addresses());
  if (rejoin_->addresses().empty()) {
    node_.Say(LogLevel::kWarning, "It does not know where they are: CLUSTER MEET one of them");
  }
  return {};
}

void Cluster::NoteInjected(const engine::Injected& injected) {
  Lsn& upto = injected_[injected.run];
  upto = std::max(upto, injected.upto);
  injected_cells_ = injected.cells;
  injected_amount_ = injected.amount;
}

// As a record of a snapshot.
std::string Cluster::InjectedRecord() const {
  std::string record(1, kInjectedRecord);
  for (const auto& [run, upto] : injected_) {
    PutBytes(record, engine::EncodeInjected({.run = run,
                                             .upto = upto,
                                             .cells = injected_cells_,
                                             .amount = injected_amount_,
                                             .unit = {}}));
  }
  return record;
}

bool Cluster::RestoreInjected(std::string_view record) {
  ByteReader in(record.substr(1));
  while (in.ok() && !in.AtEnd()) {
    const auto injected = engine::DecodeInjected(in.Bytes());
    if (!in.ok() || !injected) return false;
    NoteInjected(*injected);
  }
  return in.ok();
}

void Cluster::TickRejoin(Now now) {
  if (!rejoin_ || set_aside_ || rejoin_state_ == RejoinState::kFailed) return;
  if (rejoin_state_ != RejoinState::kAdding && now.mono_ns - last_rejoin_ < kRejoinInterval) return;
  last_rejoin_ = now.mono_ns;
  if (node_.state().disk_full.load() || node_.state().disk_failed.load()) return;
  if (rejoin_state_ == RejoinState::kJoining) return SeeWhetherJoined(now);
  // Also while writes are held, so that a donor of a state gets all of ours.
  if (!replica_ || node_.state().loading.load() || !node_.ready()) return;
  if (rejoin_state_ == RejoinState::kWaiting) return SeeWhetherFinal();
  AddSomeOfTail(now);
}

void Cluster::SeeWhetherJoined(Now now) {
  const replication::ReplicatorStatus known = replicator_->status(now);
  if (!replica_ || receiving_ || known.members < 2 || known.transfer.joining ||
      known.transfer.receiving) {
    return;
  }
  if (awaiting_join_) {
    awaiting_join_ = false;
    node_.state().loading.store(IsLoading());
  }
  (void)rejoin_->RemoveSnapshots();
  if (Status looked = rejoin_->Look(); !looked) return FailRejoin(looked.error());
  rejoin_state_ = RejoinState::kWaiting;
}

void Cluster::FailRejoin(const Error& error) {
  rejoin_state_ = RejoinState::kFailed;
  rejoin_alarm_ =
      "what this node had counted when it was forgotten cannot be added: " + error.text +
      " (its former log is in wal/*.left; restart the node to try again)";
  node_.Say(LogLevel::kWarning, "Alarm: " + rejoin_alarm_);
}

// Whether it is certain how much of the former runs the others have.
void Cluster::SeeWhetherFinal() {
  bool found = false;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    std::string unit;
    found = rejoin_->FindFinals(*replica_, unit);
    AppendUnit(unit);
  }
  node_.CommitSoon();
  if (!found) return;
  if (Status read = rejoin_->Collect(injected_); !read) return FailRejoin(read.error());
  if (const auto gap = rejoin_->tail().gap()) {
    rejoin_alarm_ =
        "of what this node had counted when it was forgotten its log has lost a part (run " +
        HexOf(*gap) + "); the rest is added";
    node_.Say(LogLevel::kWarning, "Alarm: " + rejoin_alarm_);
  }
  rejoin_state_ = RejoinState::kAdding;
}

void Cluster::AddSomeOfTail(Now now) {
  if (!rejoin_->empty()) {
    const std::lock_guard turn(node_.state().turn_lock);
    engine::Unit unit(node_.keyspace(), node_.state().watches);
    unit.set_now(now.wall_ms);
    engine::Injected injected = rejoin_->AddNext(node_.keyspace(), *replica_, unit);
    injected.cells += injected_cells_;
    Sum sum(injected_amount_);
    sum.Add(injected.amount);
    injected.amount = sum.value();
    injected.unit = unit.bytes();
    AppendControl(engine::EncodeInjected(injected));
    NoteInjected(injected);
    digest_.Changed();
  }
  // Nobody may hear of it while a power loss could still make the next run add it again.
  if (Status flushed = node_.FlushLog(true); !flushed) return;
  if (rejoin_->empty()) EndRejoin();
}

// The log must have all of it before what it was made of goes.
void Cluster::EndRejoin() {
  if (Status flushed = node_.FlushLog(true); !flushed) return;
  if (Status removed = rejoin_->RemoveAll(); !removed) return FailRejoin(removed.error());
  node_.Say(LogLevel::kNotice,
            "This node is a member again: " + std::to_string(injected_cells_) +
                " counters that only it had added to got their increments, " +
                injected_amount_.ToString() + " in all; " + std::to_string(rejoin_->skipped()) +
                " were dropped by others meanwhile; " + std::to_string(rejoin_->tail().ignored()) +
                " other changes (SET, DEL, EXPIRE ...) were not taken over");
  {
    const std::lock_guard turn(node_.state().turn_lock);
    injected_.clear();
  }
  rejoin_.reset();
  rejoin_state_ = RejoinState::kNone;
}

// ---- what of the log is kept for that

// Up to where all have what that origin has written; empty: all of it. Also those count who were
// forgotten: if they have forgotten us, too, it may be this side that rejoins.
std::optional<Lsn> Cluster::LackedAbove(const OriginId& origin) const {
  const Lsn known = replica_->applied().Get(origin);
  const bool folded = replica_->folded().contains(origin);
  if (known == 0 && !folded) return std::nullopt;
  std::optional<Lsn> lacked;
  const auto look = [&](const NodeId& node) {
    if (node == replica_->node()) return;
    const auto row = replica_->rows().find(node);
    const Lsn has = row == replica_->rows().end() ? 0 : row->second.Get(origin);
    if (folded || has < known) lacked = std::min(lacked.value_or(has), has);
  };
  if (!folded && replica_->members().empty()) return 0;  // they are not known
  if (!folded) std::for_each(replica_->members().begin(), replica_->members().end(), look);
  for (const NodeId& node : replica_->forgotten()) {
    if (replica_->rows().contains(node)) look(node);
  }
  return lacked;
}

// The TurnLock is held. A frame that is one of several of a cut ends a few LSNs before what it has.
LogNeeds Cluster::NeedsOfLog() const {
  constexpr Lsn kPartsOfCut = 64;
  LogNeeds needs;
  needs.bytes_max = static_cast<std::uint64_t>(node_.state().settings.values().rejoin_log_size);
  if (!replica_) return needs;
  const auto lower = [](std::map<OriginId, Lsn>& floors, const OriginId& run, Lsn lsn) {
    const auto [floor, is_new] = floors.emplace(run, lsn);
    if (!is_new) floor->second = std::min(floor->second, lsn);
  };
  const auto look = [&](const OriginId& origin) {
    const auto& runs = node_.store().identity().origins;
    const auto run = std::find_if(runs.begin(), runs.end(),
                                  [&](const OriginId& one) { return OfOneRun(one, origin); });
    if (run == runs.end()) return;
    if (const auto lacked = LackedAbove(origin)) {
      lower(needs.everybody, *run, *lacked - std::min(*lacked, kPartsOfCut));
    }
    const Lsn somebody = SomebodyElseHas(origin);
    if (replica_->members().size() > 1 && somebody < replica_->applied().Get(origin)) {
      lower(needs.somebody, *run, somebody);
    }
  };
  for (const auto& [origin, lsn] : replica_->applied()) look(origin);
  for (const auto& [origin, end] : replica_->folded()) look(origin);
  return needs;
}

}  // namespace jeton::node
