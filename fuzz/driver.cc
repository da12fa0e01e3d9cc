// Drives a libFuzzer entry point without libFuzzer: fuzz_<name> [CORPUS] [RUNS]
//
// First every file of the corpus folder as it is (a missing folder is an
// empty one), then mutations of those files and of inputs made up here, until
// RUNS inputs (200,000) were tried or two seconds have passed. The seed is
// fixed, so the n-th input is the same in every run. An input that brings the
// process down is written to ./crash-<name> on the way, ready to become a file
// of the corpus.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kRunsDefault = 200'000;
constexpr auto kTimeMax = std::chrono::seconds(2);
constexpr size_t kInputBytesMax = 4096;
constexpr size_t kParentsMax = 256;
constexpr uint64_t kSeed = 0x6a65746f6e;

// Signal handlers take no argument of ours: these two are how the handler
// learns which input was running.
const std::string* running_input = nullptr;
const char* crash_path = nullptr;

extern "C" void WriteCrash(int signal) {
  const int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd >= 0 && running_input != nullptr) {
    (void)!write(fd, running_input->data(), running_input->size());
    close(fd);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<std::string> ReadCorpus(const char* folder) {
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

std::string RandomBytes(jeton::Prng& prng, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.Next());
  return bytes;
}

// Numbers and marks that decoders compare with: lengths at the edges of their
// types, and the punctuation of the text protocols.
constexpr std::string_view kTokens[] = {
    "\r\n", "\n",      "*",  "$",    "-1", "0",
    "1",    "*3\r\n",  "{",  "}",    "\"", ":",
    ",",    "[",       "]",  "\\u0", "e9", "18446744073709551615",
    "\xff", "\x7f",    " ",  "'",    ".",  "9223372036854775807",
    "-",    "GET / H", "$3", "\r",   "1e", "-9223372036854775808",
};

void MutateOnce(jeton::Prng& prng, const std::vector<std::string>& pool, std::string& input) {
  const size_t at = prng.Below(input.size() + 1);
  const size_t length = std::min<size_t>(prng.Below(16), input.size() - at);
  switch (prng.Below(8)) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << prng.Below(8)));
      break;
    case 1:
      if (at < input.size()) input[at] = static_cast<char>(prng.Next());
      break;
    case 2:
      input.erase(at, length);
      break;
    case 3:
      input.insert(at, RandomBytes(prng, prng.Below(16)));
      break;
    case 4:
      input.insert(at, kTokens[prng.Below(std::size(kTokens))]);
      break;
    case 5:  // A repeated piece: nesting, and fields that occur twice.
      input.insert(at, std::string(input, at, length));
      break;
    case 6:
      input.resize(at);
      break;
    case 7: {  // The tail of another input.
      const std::string& other = pool[prng.Below(pool.size())];
      input.resize(at);
      input.append(other, std::min<size_t>(prng.Below(other.size() + 1), other.size()));
      break;
    }
  }
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
}

std::string NextInput(jeton::Prng& prng, const std::vector<std::string>& pool) {
  if (prng.Below(16) == 0) return RandomBytes(prng, prng.Below(64));
  std::string input = pool[prng.Below(pool.size())];
  for (uint64_t steps = 1 + prng.Below(6); steps > 0; --steps) MutateOnce(prng, pool, input);
  return input;
}

void Run(const std::string& input) {
  running_input = &input;
  // A copy in a block of its own size: reading past the end is then seen by
  // the sanitizers.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  running_input = nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string crash = "crash-" + std::filesystem::path(argv[0]).filename().string();
  crash_path = crash.c_str();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM, SIGTERM}) {
    std::signal(signal, WriteCrash);
  }

  std::vector<std::string> pool = ReadCorpus(argc > 1 ? argv[1] : "");
  const size_t runs_max = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kRunsDefault;
  for (const std::string& input : pool) Run(input);
  const size_t corpus_size = pool.size();
  pool.emplace_back();

  jeton::Prng prng(kSeed);
  const auto end = std::chrono::steady_clock::now() + kTimeMax;
  size_t runs = 0;
  while (runs < runs_max && std::chrono::steady_clock::now() < end) {
    std::string input = NextInput(prng, pool);
    Run(input);
    ++runs;
    // Some inputs become parents, so that mutations pile up.
    if (pool.size() < corpus_size + kParentsMax && prng.Below(16) == 0) {
      pool.push_back(std::move(input));
    }
  }
  std::printf("%zu files of the corpus and %zu inputs made from them\n", corpus_size, runs);
  return 0;
}
