// Facts of this process and this machine that the node asks for, and randomness for identities.
#pragma once

#include <string>

#include "command/server_state.h"
#include "storage/store.h"

namespace jeton::server {

MonoNs MonotonicNow();
WallMs WallNow();
// Time and random bytes of the kernel, for ids and hash seeds.
Result<FreshBytes> MakeFreshBytes();
// Bytes of the kernel that no one can guess. Ends the process if it has none to give.
void RandomBytes(std::uint8_t* out, std::size_t size);
// "process 17, boot 3f2a...": who holds the lock of a data directory.
std::string ProcessOwner();
command::Host::ProcessFacts ReadProcessFacts();
// Allows as many open files as the limits of this process permit; returns how many.
std::size_t RaiseOpenFileLimit();

}  // namespace jeton::server
