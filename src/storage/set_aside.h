// Setting a life of the node aside: its files stay in the data directory under the suffix ".left",
// and the next Store::Open finds an empty one and begins another life, with other ids. That is how
// a node that was forgotten comes back as a new member, with what only it knows still at hand.
//
//   RequestSetAside     writes `SETASIDE`; from here on it will happen
//   RequestBeginAgain   the same, while an earlier life is still at hand: of the present one
//   nothing is
//                       needed, and the next start removes it
//   CarryOutSetAside    at the next start, by Store::Open: renames everything, `IDENTITY` late and
//                       `SETASIDE` last, or removes what is present. A crash in between is made
//                       good by the next start.
//   ReadLeft            what the life before was, as long as it is there
//   RemoveLeft          it is not needed any more; `SETASIDE.left` goes first, `IDENTITY.left` last
//
// Format of SETASIDE: docs/formats/identity.md.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/file_system.h"
#include "storage/identity.h"

namespace jeton {

constexpr std::string_view kLeftSuffix = ".left";
inline bool IsLeft(std::string_view name) {
  return name.ends_with(kLeftSuffix);
}

struct LeftLife {
  Identity identity;
  std::string note;       // as given to RequestSetAside
  bool is_going = false;  // RemoveLeft was begun: what is still there is not all
};

// `note`: for whoever goes on from there, at most kSetAsideNoteMax bytes. kConflict if an earlier
// life is still there.
constexpr std::size_t kSetAsideNoteMax = 64 * 1024;
Status RequestSetAside(Directory& directory, std::string_view note);
// kNotFound if no earlier life is there, kConflict if it is being removed.
Status RequestBeginAgain(Directory& directory, std::string_view note);
// Nothing happens if it was not requested. The lock is held.
Status CarryOutSetAside(Directory& directory);
// kNotFound if there is none.
Result<LeftLife> ReadLeft(Directory& directory);
// Its snapshots only: they take the most room, and its log is enough to know what it has added.
Status RemoveLeftSnapshots(Directory& directory);
Status RemoveLeft(Directory& directory);

}  // namespace jeton
