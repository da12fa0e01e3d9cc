// LongQuery: the rest of a command that looks at a whole tree. A handler that would take long
// leaves one in the session and returns without a reply; it then goes on in slices, between the
// requests of everybody else, and writes the reply in its last one. The connection's next request
// waits for that. Inside EXEC, where everything stands still anyway, it runs to its end at once.
#pragma once

#include "base/time.h"
#include "protocol/reply.h"

namespace jeton::command {

struct Context;

class LongQuery {
 public:
  // Work of one slice should stay well below a millisecond: about this many keys of a tree.
  static constexpr std::size_t kKeysPerSlice = 1000;

  virtual ~LongQuery() = default;

  // One slice. The caller holds the TurnLock and no partition; Step locks what it looks at, makes
  // its changes through context.unit and leaves them there to be logged, before it gives up the
  // lock, by context.dispatcher.LogSlice(). True when it is done: the reply has been written.
  virtual bool Step(Context& context) = 0;

  // True while it waits for somebody else, who then calls Host::WakeWorkers: the worker does not
  // come back to it before that.
  virtual bool IsIdle() const { return false; }
  // An idle one is also continued at this moment; 0 for never.
  virtual MonoNs DeadlineNs() const { return 0; }
};

}  // namespace jeton::command
