#include "engine/shared_state.h"

namespace jeton::engine {

void ForgetTrimmed(SharedTree& tree) {
  for (auto it = tree.keys.begin(); it != tree.keys.end();) {
    it->second.erase(it->second.begin(), it->second.lower_bound(tree.facts.watermark));
    it = it->second.empty() ? tree.keys.erase(it) : std::next(it);
  }
}

void EncodeCellId(const CellName& cell, std::string& out) {
  out.clear();
  out.push_back(static_cast<char>(cell.in_tree));
  if (!cell.in_tree) {
    out.append(cell.name);
    return;
  }
  PutVarint(out, cell.tree_epoch);
  PutSignedVarint(out, cell.bucket);
  PutBytes(out, cell.name);
  out.append(cell.key);
}

CellName DecodeCellId(std::string_view id) {
  CellName cell;
  cell.in_tree = id.front() != 0;
  ByteReader in(id.substr(1));
  if (!cell.in_tree) {
    cell.name = id.substr(1);
    return cell;
  }
  cell.tree_epoch = in.Varint();
  cell.bucket = in.SignedVarint();
  cell.name = in.Bytes();
  cell.key = in.Take(in.Remaining());
  return cell;
}

}  // namespace jeton::engine
