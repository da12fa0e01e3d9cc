#include "server/process.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>

#include "base/assert.h"

namespace jeton::server {
namespace {

double SecondsOf(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::string ReadLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

MonoNs MonotonicNow() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kNsPerSecond + t.tv_nsec;
}

WallMs WallNow() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000 + t.tv_nsec / kNsPerMs;
}

Result<FreshBytes> MakeFreshBytes() {
  FreshBytes fresh;
  fresh.wall_ms = WallNow();
  const std::size_t size = sizeof(fresh.random);
  if (getrandom(fresh.random.data(), size, 0) != static_cast<ssize_t>(size)) {
    return Error{ErrorKind::kIo, fmt::format("getrandom failed: {}", std::strerror(errno))};
  }
  return fresh;
}

void RandomBytes(std::uint8_t* out, std::size_t size) {
  while (size > 0) {
    const ssize_t got = getrandom(out, size, 0);
    ASSERT(got > 0 || errno == EINTR);
    if (got <= 0) continue;
    out += got;
    size -= static_cast<std::size_t>(got);
  }
}

std::string ProcessOwner() {
  return fmt::format("process {}, boot {}", getpid(), ReadLine("/proc/sys/kernel/random/boot_id"));
}

command::Host::ProcessFacts ReadProcessFacts() {
  command::Host::ProcessFacts facts;
  facts.process_id = getpid();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  facts.cpu_user_seconds = SecondsOf(usage.ru_utime);
  facts.cpu_system_seconds = SecondsOf(usage.ru_stime);
  facts.peak_resident_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  std::uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  facts.resident_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  struct sysinfo info {};
  if (sysinfo(&info) == 0) facts.system_memory_bytes = std::uint64_t{info.totalram} * info.mem_unit;
  utsname name{};
  if (uname(&name) == 0) {
    facts.operating_system = fmt::format("{} {} {}", name.sysname, name.release, name.machine);
  }
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size > 0) facts.executable.assign(path, static_cast<std::size_t>(size));
  return facts;
}

std::size_t RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace jeton::server
