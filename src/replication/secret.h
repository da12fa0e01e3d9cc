// The proof of the shared secret: HMAC-SHA256 over both HELLOs (each has a fresh nonce), the role
// of who proves and what it says, so that no proof can be used a second time or sent back. It
// protects the handshake, not the bytes after it: links belong into a private network.
#pragma once

#include <string_view>

#include "replication/message.h"

namespace jeton::replication {

struct Transcript {
  std::string_view dialer_hello;
  std::string_view acceptor_hello;
};

// All zeros if `secret` is empty.
Mac ProofOf(std::string_view secret, bool by_dialer, MessageType type, const Transcript& transcript,
            std::string_view said);
// In constant time.
bool SameMac(std::string_view given, const Mac& expected);

}  // namespace jeton::replication
