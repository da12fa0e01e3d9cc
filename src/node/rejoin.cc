#include "node/rejoin.h"

#include <algorithm>
#include <charconv>

#include "engine/shared_state.h"

namespace jeton::node {

namespace {

const Error kNotDecoded{ErrorKind::kCorrupt, "a record of the log verifies but does not decode"};

std::vector<replication::Address> DecodeAddresses(std::string_view text) {
  std::vector<replication::Address> addresses;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;
    replication::Address address{.host = std::string(line.substr(0, colon)), .port = 0};
    std::from_chars(line.data() + colon + 1, line.data() + line.size(), address.port);
    if (!address.host.empty() && address.port != 0) addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace

std::string EncodeAddresses(const std::vector<replication::Address>& addresses) {
  std::string text;
  for (const auto& address : addresses) {
    text += address.host + ":" + std::to_string(address.port) + "\n";
  }
  return text;
}

Status ReadWholeLog(Directory& directory, LogKind kind,
                    const std::function<bool(const LogRecord&)>& each) {
  LogReadOptions options;
  options.first_seq = 0;
  options.kind = kind;
  options.on_record = [&](const LogRecord& record) -> Status {
    return each(record) ? Status() : Status(kNotDecoded);
  };
  const auto end = ReadLog(directory, options);
  return end ? Status() : Status(end.error());
}

Result<TailFacts> FactsOfTail(Directory& directory, LogKind kind,
                              const std::function<Lsn(const OriginId&)>& final_of,
                              std::uint64_t epoch) {
  engine::OwnTail tail;
  const auto pass = [&](const std::function<bool(const LogRecord&)>& each) {
    tail.BeginPass();
    return ReadWholeLog(directory, kind, each);
  };
  if (Status s = pass([&](const LogRecord& r) { return tail.Look(r); }); !s) return s.error();
  engine::OwnTail::Finals finals;
  for (const auto& [run, added] : tail.runs()) {
    finals[run] = final_of(run);
    finals[LazyOf(run)] = final_of(LazyOf(run));
  }
  tail.SetFinals(std::move(finals));
  if (Status s = pass([&](const LogRecord& r) { return tail.Survey(r); }); !s) return s.error();
  TailFacts facts{.cells = 0,
                  .amount = {},
                  .ignored = tail.ignored(),
                  .gap = tail.gap().has_value(),
                  .logged = tail.logged()};
  const auto count = [&](engine::OwnTail::Chunk&& chunk) {
    for (const auto& cell : chunk.cells) {
      if (cell.epoch < epoch || cell.amount.value().IsZero()) continue;
      ++facts.cells;
      facts.amount.Add(cell.amount);
    }
  };
  if (Status s = pass([&](const LogRecord& r) { return tail.Collect(r, {}, count); }); !s) {
    return s.error();
  }
  tail.FlushChunk(count);
  return facts;
}

Result<std::unique_ptr<Rejoin>> Rejoin::Load(Directory& directory) {
  const auto left = ReadLeft(directory);
  if (!left) {
    if (left.error().kind == ErrorKind::kNotFound) return std::unique_ptr<Rejoin>();
    return left.error();
  }
  if (left->is_going) {  // all of it is added
    if (Status removed = RemoveLeft(directory); !removed) return removed.error();
    return std::unique_ptr<Rejoin>();
  }
  std::unique_ptr<Rejoin> rejoin(new Rejoin(directory));
  rejoin->addresses_ = DecodeAddresses(left->note);
  rejoin->cluster_ = left->identity.cluster;
  return rejoin;
}

Status Rejoin::Look() {
  tail_.BeginPass();
  return ReadWholeLog(directory_, LogKind::kLeft,
                      [&](const LogRecord& record) { return tail_.Look(record); });
}

bool Rejoin::FindFinals(engine::Replica& replica, std::string& log) {
  Finals finals;
  bool all = true;
  const auto find = [&](const OriginId& origin, Lsn last) {
    if (last == 0) return;
    const Lsn known = replica.applied().Get(origin);
    if (const auto folded = replica.folded().find(origin); folded != replica.folded().end()) {
      finals[origin] = folded->second;
    } else if (known >= last) {
      finals[origin] = known;
    } else {
      all = false;
      if (!replica.closed().contains(origin)) replica.Close(origin, log);
    }
  };
  for (const auto& [run, added] : tail_.runs()) {
    find(run, added.last_added);
    find(LazyOf(run), added.last_added_late);
  }
  if (all) tail_.SetFinals(std::move(finals));
  return all;
}

Status Rejoin::Collect(const Finals& done) {
  tail_.BeginPass();
  Status read = ReadWholeLog(directory_, LogKind::kLeft,
                             [&](const LogRecord& record) { return tail_.Survey(record); });
  if (!read) return read;
  tail_.BeginPass();
  const auto keep = [&](engine::OwnTail::Chunk&& chunk) { chunks_.push_back(std::move(chunk)); };
  read = ReadWholeLog(directory_, LogKind::kLeft,
                      [&](const LogRecord& record) { return tail_.Collect(record, done, keep); });
  if (!read) return read;
  tail_.FlushChunk(keep);
  return {};
}

// With a tree of that name in view the counter is not for clients; nobody could see it grow.
bool Rejoin::AddCounter(engine::Keyspace& keyspace, const engine::CellName& cell,
                        const Decimal& amount, engine::Unit& unit) {
  const engine::Key key = keyspace.MakeKey(cell.name);
  if (keyspace.HasTree(key)) return false;
  const auto entry = keyspace.Find(key, unit.now());
  const auto value = Decimal::Add(entry ? entry->value : Decimal(0), amount);
  if (!value) return false;
  unit.Add(key, *value, amount);
  return true;
}

// Who drops or resets a tree wins over who adds to it at the same time.
bool Rejoin::AddBucket(engine::Keyspace& keyspace, engine::Replica& replica,
                       const engine::CellName& cell, const Decimal& amount, engine::Unit& unit) {
  const engine::Key key = keyspace.MakeKey(cell.name);
  const engine::TreeFacts known = replica.FactsOf(key);
  if (known.epoch > cell.tree_epoch) return false;
  engine::Tree* tree = keyspace.FindTree(key, unit.now());
  if (tree == nullptr) {
    const auto made = tail_.trees().find(cell.name);
    if (made == tail_.trees().end() || !made->second.exists || known.exists) return false;
    unit.CreateTree(key, made->second.settings);
    tree = keyspace.FindTree(key, unit.now());
  }
  if (tree == nullptr || !tree->CheckWritable(cell.bucket)) return false;
  return unit.AddToBucket(key, *tree, tree->MakeKey(cell.key), cell.bucket, amount).has_value();
}

engine::Injected Rejoin::AddNext(engine::Keyspace& keyspace, engine::Replica& replica,
                                 engine::Unit& unit) {
  const engine::OwnTail::Chunk chunk = std::move(chunks_.front());
  chunks_.pop_front();
  engine::Injected injected{.run = chunk.run, .upto = chunk.upto};
  Sum sum;
  for (const auto& added : chunk.cells) {
    const Decimal amount = added.amount.value();
    if (amount.IsZero()) continue;
    const engine::CellName cell = engine::DecodeCellId(added.cell);
    const bool taken = added.epoch >= replica.epoch() &&
                       (cell.in_tree ? AddBucket(keyspace, replica, cell, amount, unit)
                                     : AddCounter(keyspace, cell, amount, unit));
    if (!taken) {
      ++skipped_;
      continue;
    }
    ++injected.cells;
    sum.Add(amount);
  }
  injected.amount = sum.value();
  return injected;
}

}  // namespace jeton::node
