// Karma's dumps out of any bytes. What verifies must be read without an error, and the tree that
// was read must be written and be read again as it was, in other pieces.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "protocol/karma_dump.h"
#include "protocol/karma_dump_name.h"

namespace {

using jeton::KarmaDumpItem;
using Tree = std::map<std::uint64_t, std::vector<jeton::KarmaBucket>>;

// What the writer makes of so few bytes never fills one of its chunks.
constexpr std::size_t kLengthMax = 64 << 10;

class NoScratch : public jeton::KarmaScratch {
 public:
  jeton::Status WriteAt(std::uint64_t, std::string_view) override { return NotNeeded(); }
  jeton::Result<std::size_t> ReadAt(std::uint64_t, char*, std::size_t) const override {
    return NotNeeded();
  }

 private:
  static jeton::Error NotNeeded() { return {jeton::ErrorKind::kIo, "not for small trees"}; }
};

jeton::KarmaDumpSource SourceOf(std::string_view bytes, std::size_t step) {
  return [=](std::uint64_t offset, char* out, std::size_t size) -> jeton::Result<std::size_t> {
    if (offset >= bytes.size()) return std::size_t{0};
    return bytes.copy(out, std::min(step, size), offset);
  };
}

Tree Read(std::string_view bytes, std::size_t step) {
  jeton::KarmaDumpReader reader(SourceOf(bytes, step));
  Tree tree;
  KarmaDumpItem item;
  while (reader.Next(item).value()) {
    if (item.kind == KarmaDumpItem::Kind::kBucket) tree[item.key].push_back(item.bucket);
  }
  for (auto& [key, buckets] : tree) {
    std::sort(buckets.begin(), buckets.end(),
              [](const auto& a, const auto& b) { return a.day < b.day; });
  }
  return tree;
}

bool Same(const Tree& a, const Tree& b) {
  const auto same_bucket = [](const jeton::KarmaBucket& x, const jeton::KarmaBucket& y) {
    return x.day == y.day && x.value == y.value;
  };
  const auto same_key = [&](const auto& x, const auto& y) {
    return x.first == y.first && std::equal(x.second.begin(), x.second.end(), y.second.begin(),
                                            y.second.end(), same_bucket);
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_key);
}

std::string Written(const Tree& tree) {
  NoScratch scratch;
  jeton::KarmaDumpWriter writer(scratch);
  for (const auto& [key, buckets] : tree) {
    ASSERT(writer.Add(std::to_string(key), buckets).ok());
  }
  std::string bytes;
  ASSERT(writer
             .Finish([&](std::string_view piece) {
               bytes += piece;
               return jeton::Status();
             })
             .ok());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size > kLengthMax) return 0;
  if (const auto name = jeton::ParseKarmaDumpName(bytes); name.ok()) {
    ASSERT(jeton::FormatKarmaDumpName(*name).value() == bytes);
  }
  const auto stats = jeton::VerifyKarmaDump(SourceOf(bytes, size + 1));
  ASSERT(jeton::VerifyKarmaDump(SourceOf(bytes, 1)).ok() == stats.ok());
  if (!stats.ok()) return 0;
  const Tree tree = Read(bytes, size + 1);
  ASSERT(tree.size() == stats->keys);
  const std::string written = Written(tree);
  ASSERT(jeton::VerifyKarmaDump(SourceOf(written, 5)).ok());
  ASSERT(Same(Read(written, 5), tree));
  return 0;
}
