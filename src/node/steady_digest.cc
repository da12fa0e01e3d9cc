#include "node/steady_digest.h"

namespace jeton::node {

namespace {

constexpr MonoNs kQuietTime = 2 * kNsPerSecond;
constexpr int kSlices = 4;  // in one go
constexpr std::size_t kNamesOfSlice = 1024;

}  // namespace

void SteadyDigest::Tick(engine::Replica& replica, MonoNs now, MonoNs interval) {
  const auto waits = [&] { return replica.HasUncut() || replica.dirty_lazy() > 0; };
  const std::uint64_t changes = changes_.load(std::memory_order_relaxed);
  if (changes != seen_ || waits()) {
    seen_ = changes;
    since_ = replica.applied();
    steady_at_ = now;
    walk_.reset();
    current_ = false;
    return;
  }
  if (current_) {
    result_->until = replica.applied();
    return;
  }
  if (now - steady_at_ < kQuietTime) return;
  if (!walk_) {
    if (walked_at_ != 0 && now - walked_at_ < interval) return;
    walked_at_ = now;
    walk_.emplace();
  }
  for (int i = 0; i < kSlices && !walk_->done; ++i) replica.DigestSlice(*walk_, kNamesOfSlice);
  // A worker may have changed what has just been looked at.
  if (!walk_->done || waits()) return;
  result_ = Result{since_, replica.applied(), std::move(walk_->digest)};
  walk_.reset();
  current_ = true;
}

std::string SteadyDigest::Encode() const {
  std::string out;
  if (!result_) return out;
  result_->since.EncodeTo(out);
  result_->until.EncodeTo(out);
  PutVarint(out, result_->digest.size());
  for (const auto& [origin, sum] : result_->digest) {
    crdt::PutOrigin(out, origin);
    PutFixed<std::uint64_t>(out, sum);
  }
  return out;
}

std::optional<SteadyDigest::Result> SteadyDigest::Decode(std::string_view bytes) {
  ByteReader in(bytes);
  Result result;
  result.since = crdt::VersionVector::Decode(in);
  result.until = crdt::VersionVector::Decode(in);
  const std::uint64_t count = in.Varint();
  if (count > crdt::kOriginsPerVectorMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const OriginId origin = crdt::GetOrigin(in);
    result.digest[origin] = in.Fixed<std::uint64_t>();
  }
  if (!in.ok() || !in.AtEnd()) return std::nullopt;
  return result;
}

replication::DigestOutcome SteadyDigest::Compare(std::string_view bytes) const {
  using replication::DigestOutcome;
  if (!result_) return DigestOutcome::kNotComparable;
  const auto theirs = Decode(bytes);
  if (!theirs) return DigestOutcome::kNotComparable;
  const bool meet = theirs->until.Covers(result_->since) && result_->until.Covers(theirs->since);
  if (!meet) return DigestOutcome::kNotComparable;
  return theirs->digest == result_->digest ? DigestOutcome::kEqual : DigestOutcome::kDifferent;
}

}  // namespace jeton::node
