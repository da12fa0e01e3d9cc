#include "replication/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"

namespace jeton::replication {

Mac ProofOf(std::string_view secret, bool by_dialer, MessageType type, const Transcript& transcript,
            std::string_view said) {
  Mac mac{};
  if (secret.empty()) return mac;
  std::string text = "jeton link 1 ";
  text += by_dialer ? 'd' : 'a';
  text += static_cast<char>(type);
  PutBytes(text, transcript.dialer_hello);
  PutBytes(text, transcript.acceptor_hello);
  PutBytes(text, said);
  unsigned size = 0;
  const auto* const made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  ASSERT(made != nullptr && size == mac.size());
  return mac;
}

bool SameMac(std::string_view given, const Mac& expected) {
  return given.size() == expected.size() &&
         CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

}  // namespace jeton::replication
