#include "sim/sim_disk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"

namespace jeton {

namespace {

// An unsynced change of a file: bytes at an offset, or a new size.
struct Change {
  bool is_size = false;
  bool lost = false;     // a failed sync dropped it: readers see it until the crash, the disk never
  std::uint64_t at = 0;  // offset, or the size
  std::string bytes;
};

struct Inode {
  std::uint64_t id = 0;
  std::string visible;
  std::string durable;
  std::vector<Change> changes;
  std::uint64_t locked_by = 0;  // id of the open file that holds the lock
};

using InodePtr = std::shared_ptr<Inode>;

// An unsynced change of a folder.
struct EntryChange {
  enum class Kind { kLink, kUnlink, kRename, kFolder } kind = Kind::kLink;
  std::string path;
  std::string to;  // kRename
  InodePtr inode;  // kLink
};

struct Names {
  std::map<std::string, InodePtr> files;
  std::set<std::string> folders;

  void Apply(const EntryChange& change) {
    switch (change.kind) {
      case EntryChange::Kind::kLink:
        files[change.path] = change.inode;
        return;
      case EntryChange::Kind::kUnlink:
        files.erase(change.path);
        return;
      case EntryChange::Kind::kFolder:
        folders.insert(change.path);
        return;
      case EntryChange::Kind::kRename:
        if (auto it = files.find(change.path); it != files.end()) {
          InodePtr inode = it->second;
          files.erase(it);
          files[change.to] = std::move(inode);
        }
        return;
    }
  }
};

void ApplyWrite(std::string& image, std::uint64_t offset, std::string_view bytes) {
  if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size());
  image.replace(offset, bytes.size(), bytes);
}

void ApplyChange(std::string& image, const Change& change) {
  if (change.is_size) {
    image.resize(change.at);
  } else {
    ApplyWrite(image, change.at, change.bytes);
  }
}

// What a power loss leaves of a file.
class FileCrash {
 public:
  explicit FileCrash(Prng& prng) : prng_(prng) {
    // All, none or some: uniform coin flips alone would hardly ever keep or lose everything.
    const std::uint64_t kind = prng.Below(4);
    keep_ = kind == 0 ? 0.0 : kind == 1 ? 1.0 : static_cast<double>(prng.Below(100)) / 100;
  }

  std::string Settle(Inode& inode) {
    std::string image = std::move(inode.durable);
    for (const Change& change : inode.changes) {
      if (change.lost) continue;
      if (change.is_size) {
        if (prng_.Chance(keep_)) image.resize(change.at);
      } else {
        KeepSectors(image, change);
      }
    }
    return image;
  }

 private:
  void KeepSectors(std::string& image, const Change& change) {
    std::string_view bytes = change.bytes;
    std::uint64_t offset = change.at;
    while (!bytes.empty()) {
      const std::uint64_t room = SimDisk::kSectorSize - offset % SimDisk::kSectorSize;
      const std::string_view piece = bytes.substr(0, room);
      if (prng_.Chance(keep_)) {
        ApplyWrite(image, offset, piece);
      } else if (!torn_ && prng_.Chance(0.2)) {
        torn_ = true;
        ApplyWrite(image, offset, piece.substr(0, prng_.Below(piece.size() + 1)));
      }
      offset += piece.size();
      bytes.remove_prefix(piece.size());
    }
  }

  Prng& prng_;
  double keep_ = 0;
  bool torn_ = false;
};

bool CountDown(std::uint64_t& counter) {
  if (counter == SimDisk::kNever) return false;
  if (counter > 0) {
    --counter;
    return false;
  }
  counter = SimDisk::kNever;
  return true;
}

}  // namespace

struct SimDisk::State {
  std::uint64_t epoch = 1;  // of the process; a crash begins the next
  std::uint64_t next_id = 1;
  Names visible;
  Names durable;
  std::map<std::string, std::vector<EntryChange>> entry_changes;  // by folder
  std::uint64_t fail_sync = kNever;
  std::uint64_t fail_read = kNever;
  std::uint64_t fail_write = kNever;
  std::uint64_t short_write = kNever;
  std::uint64_t die_at = kNever;
  bool died = false;
  std::uint64_t capacity = kNever;
  std::uint64_t used = 0;
  std::uint64_t operations = 0;
  std::function<void(DiskOperation, std::string_view)> hook;

  Status Begin(DiskOperation operation, std::string_view path, std::uint64_t caller_epoch) {
    if (caller_epoch != epoch) return Error{ErrorKind::kIo, Text(path, "its process has crashed")};
    if (hook) hook(operation, path);
    if (operation != DiskOperation::kRead && operation != DiskOperation::kList &&
        operation != DiskOperation::kOpen) {
      ++operations;
      if (CountDown(die_at)) died = true;
    }
    if (died) return Error{ErrorKind::kIo, Text(path, "the process is dying")};
    return {};
  }

  static std::string Text(std::string_view path, std::string_view why) {
    return std::string(path) + ": " + std::string(why);
  }

  // Accounts for a file that grows to `size`; false if the disk is full.
  bool Grow(const Inode& inode, std::uint64_t size) {
    if (size <= inode.visible.size()) return true;
    const std::uint64_t more = size - inode.visible.size();
    if (capacity != kNever && used + more > capacity) return false;
    used += more;
    return true;
  }

  void Change(std::string_view folder, EntryChange change) {
    visible.Apply(change);
    entry_changes[std::string(folder)].push_back(std::move(change));
  }

  bool FolderExists(std::string_view folder) const {
    return folder.empty() || visible.folders.count(std::string(folder)) > 0;
  }

  void CountUsed() {
    used = 0;
    for (const auto& [path, inode] : visible.files) used += inode->visible.size();
  }
};

class SimFile final : public File {
 public:
  SimFile(SimDisk::State& state, std::string path, InodePtr inode)
      : state_(state),
        epoch_(state.epoch),
        id_(state.next_id++),
        path_(std::move(path)),
        inode_(std::move(inode)) {}
  ~SimFile() override {
    if (inode_->locked_by == id_) inode_->locked_by = 0;
  }
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;

  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
    if (Status status = state_.Begin(DiskOperation::kRead, path_, epoch_); !status) {
      return status.error();
    }
    if (CountDown(state_.fail_read)) return Broken("read");
    if (offset >= inode_->visible.size()) return std::size_t{0};
    return inode_->visible.copy(out, size, offset);
  }

  Status WriteAt(std::uint64_t offset, std::string_view bytes) override {
    if (Status status = state_.Begin(DiskOperation::kWrite, path_, epoch_); !status) return status;
    if (CountDown(state_.fail_write)) return Broken("write");
    const bool cut = CountDown(state_.short_write);
    std::string_view fitting = cut ? bytes.substr(0, bytes.size() / 2) : bytes;
    while (!fitting.empty() && !state_.Grow(*inode_, offset + fitting.size())) {
      fitting.remove_suffix(std::min<std::size_t>(fitting.size(), SimDisk::kSectorSize));
    }
    if (!fitting.empty()) Do({false, false, offset, std::string(fitting)});
    return fitting.size() == bytes.size() ? Status{} : Full("write");
  }

  Status Sync() override {
    if (Status status = state_.Begin(DiskOperation::kSync, path_, epoch_); !status) return status;
    if (CountDown(state_.fail_sync)) {
      for (Change& change : inode_->changes) change.lost = true;
      return Broken("sync");
    }
    // What an earlier failed sync has lost is marked clean: this one does not see it.
    for (const Change& change : inode_->changes) {
      if (!change.lost) ApplyChange(inode_->durable, change);
    }
    inode_->changes.clear();
    return {};
  }

  Status Truncate(std::uint64_t size) override {
    if (Status status = state_.Begin(DiskOperation::kTruncate, path_, epoch_); !status) {
      return status;
    }
    if (size == inode_->visible.size()) return {};
    if (!state_.Grow(*inode_, size)) return Full("truncate");
    if (size < inode_->visible.size()) state_.used -= inode_->visible.size() - size;
    Do({true, false, size, {}});
    return {};
  }

  Status Allocate(std::uint64_t size) override {
    if (Status status = state_.Begin(DiskOperation::kAllocate, path_, epoch_); !status) {
      return status;
    }
    if (size <= inode_->visible.size()) return {};
    if (!state_.Grow(*inode_, size)) return Full("allocate");
    Do({true, false, size, {}});
    return {};
  }

  Result<std::uint64_t> Size() const override { return inode_->visible.size(); }
  Result<std::uint64_t> DataEnd() const override { return Size(); }

  Result<bool> TryLock() override {
    if (inode_->locked_by != 0 && inode_->locked_by != id_) return false;
    inode_->locked_by = id_;
    return true;
  }

 private:
  void Do(Change change) {
    ApplyChange(inode_->visible, change);
    inode_->changes.push_back(std::move(change));
  }
  Error Broken(const char* action) const {
    return {ErrorKind::kIo, path_ + ": cannot " + action + ": Input/output error"};
  }
  Error Full(const char* action) const {
    return {ErrorKind::kNoSpace, path_ + ": cannot " + action + ": No space left on device"};
  }

  SimDisk::State& state_;
  const std::uint64_t epoch_;
  const std::uint64_t id_;
  const std::string path_;
  const InodePtr inode_;
};

class SimDirectory final : public Directory {
 public:
  SimDirectory(SimDisk::State& state, std::string name)
      : state_(state), epoch_(state.epoch), name_(std::move(name)) {}

  std::string name() const override { return name_; }

  Result<std::unique_ptr<File>> Open(std::string_view path, OpenMode mode) override {
    if (Status status = state_.Begin(DiskOperation::kOpen, path, epoch_); !status) {
      return status.error();
    }
    const auto it = state_.visible.files.find(std::string(path));
    if (it != state_.visible.files.end()) {
      if (mode == OpenMode::kCreate) return Problem(ErrorKind::kConflict, path, "it exists");
      return Handle(path, it->second);
    }
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) return Missing(path);
    if (!state_.FolderExists(FolderOf(path))) return Missing(FolderOf(path));
    if (Status status = state_.Begin(DiskOperation::kCreate, path, epoch_); !status) {
      return status.error();
    }
    auto inode = std::make_shared<Inode>();
    inode->id = state_.next_id++;
    state_.Change(FolderOf(path), {EntryChange::Kind::kLink, std::string(path), {}, inode});
    return Handle(path, inode);
  }

  Status Rename(std::string_view from, std::string_view to) override {
    if (Status status = state_.Begin(DiskOperation::kRename, from, epoch_); !status) return status;
    ASSERT(FolderOf(from) == FolderOf(to));
    if (state_.visible.files.count(std::string(from)) == 0) return Missing(from);
    if (const auto old = state_.visible.files.find(std::string(to));
        old != state_.visible.files.end()) {
      state_.used -= old->second->visible.size();
    }
    state_.Change(FolderOf(from),
                  {EntryChange::Kind::kRename, std::string(from), std::string(to), {}});
    return {};
  }

  Status Remove(std::string_view path) override {
    if (Status status = state_.Begin(DiskOperation::kRemove, path, epoch_); !status) return status;
    const auto it = state_.visible.files.find(std::string(path));
    if (it == state_.visible.files.end()) return Missing(path);
    state_.used -= it->second->visible.size();
    state_.Change(FolderOf(path), {EntryChange::Kind::kUnlink, std::string(path), {}, {}});
    return {};
  }

  Status CreateDirectory(std::string_view path) override {
    if (state_.FolderExists(path)) return {};
    if (Status status = state_.Begin(DiskOperation::kCreateDirectory, path, epoch_); !status) {
      return status;
    }
    state_.Change("", {EntryChange::Kind::kFolder, std::string(path), {}, {}});
    return {};
  }

  Result<std::vector<std::string>> List(std::string_view folder) override {
    if (Status status = state_.Begin(DiskOperation::kList, folder, epoch_); !status) {
      return status.error();
    }
    if (!state_.FolderExists(folder)) return Missing(folder);
    std::vector<std::string> names;
    for (const auto& [path, inode] : state_.visible.files) {
      if (FolderOf(path) != folder) continue;
      names.push_back(folder.empty() ? path : path.substr(folder.size() + 1));
    }
    if (folder.empty()) {
      names.insert(names.end(), state_.visible.folders.begin(), state_.visible.folders.end());
      std::sort(names.begin(), names.end());
    }
    return names;
  }

  Status SyncDirectory(std::string_view folder) override {
    if (Status status = state_.Begin(DiskOperation::kSyncDirectory, folder, epoch_); !status) {
      return status;
    }
    if (!state_.FolderExists(folder)) return Missing(folder);
    for (const EntryChange& change : state_.entry_changes[std::string(folder)]) {
      state_.durable.Apply(change);
    }
    state_.entry_changes.erase(std::string(folder));
    return {};
  }

  Result<std::uint64_t> FreeBytes() override {
    if (state_.capacity == SimDisk::kNever) return std::uint64_t{1} << 40;
    return state_.capacity > state_.used ? state_.capacity - state_.used : 0;
  }

 private:
  Result<std::unique_ptr<File>> Handle(std::string_view path, InodePtr inode) {
    return std::unique_ptr<File>(
        std::make_unique<SimFile>(state_, std::string(path), std::move(inode)));
  }
  static Error Problem(ErrorKind kind, std::string_view path, std::string_view why) {
    return {kind, SimDisk::State::Text(path, why)};
  }
  static Error Missing(std::string_view path) {
    return Problem(ErrorKind::kNotFound, path, "No such file or directory");
  }

  SimDisk::State& state_;
  const std::uint64_t epoch_;
  const std::string name_;
};

SimDisk::SimDisk() : state_(std::make_unique<State>()) {}
SimDisk::~SimDisk() = default;

std::unique_ptr<Directory> SimDisk::Mount(std::string name) {
  return std::make_unique<SimDirectory>(*state_, std::move(name));
}

void SimDisk::Crash(Prng& prng, bool keep_everything) {
  State& state = *state_;
  ++state.epoch;
  state.died = false;
  state.fail_sync = state.fail_read = state.fail_write = state.short_write = kNever;
  state.die_at = kNever;
  if (!keep_everything) {
    for (const auto& [folder, changes] : state.entry_changes) {
      const std::uint64_t kept = prng.Below(changes.size() + 1);
      for (std::uint64_t i = 0; i < kept; ++i) state.durable.Apply(changes[i]);
    }
    // A file whose folder's creation was lost went with it.
    std::erase_if(state.durable.files, [&](const auto& entry) {
      const std::string folder(FolderOf(entry.first));
      return !folder.empty() && state.durable.folders.count(folder) == 0;
    });
    state.entry_changes.clear();
    state.visible = state.durable;
    for (auto& [path, inode] : state.visible.files) {
      inode->visible = FileCrash(prng).Settle(*inode);
      inode->durable = inode->visible;
      inode->changes.clear();
    }
  }
  for (auto& [path, inode] : state.visible.files) inode->locked_by = 0;
  state.CountUsed();
}

void SimDisk::FailSync(std::uint64_t in) {
  state_->fail_sync = in;
}
void SimDisk::FailRead(std::uint64_t in) {
  state_->fail_read = in;
}
void SimDisk::FailWrite(std::uint64_t in) {
  state_->fail_write = in;
}
void SimDisk::ShortWrite(std::uint64_t in) {
  state_->short_write = in;
}
void SimDisk::SetCapacity(std::uint64_t bytes) {
  state_->capacity = bytes;
}
void SimDisk::DieAt(std::uint64_t in) {
  state_->die_at = in;
}
bool SimDisk::died() const {
  return state_->died;
}
std::uint64_t SimDisk::operations() const {
  return state_->operations;
}
std::uint64_t SimDisk::used_bytes() const {
  return state_->used;
}

void SimDisk::SetOperationHook(std::function<void(DiskOperation, std::string_view path)> hook) {
  state_->hook = std::move(hook);
}

bool SimDisk::FlipBit(std::string_view path, std::uint64_t offset, int bit) {
  const auto it = state_->visible.files.find(std::string(path));
  if (it == state_->visible.files.end() || offset >= it->second->visible.size()) return false;
  const char mask = static_cast<char>(1 << bit);
  char& visible = it->second->visible[offset];
  visible = static_cast<char>(visible ^ mask);
  if (offset < it->second->durable.size()) it->second->durable[offset] = visible;
  return true;
}

bool SimDisk::ZeroSector(std::string_view path, std::uint64_t sector) {
  const auto it = state_->visible.files.find(std::string(path));
  const std::uint64_t from = sector * kSectorSize;
  if (it == state_->visible.files.end() || from >= it->second->visible.size()) return false;
  for (std::string* image : {&it->second->visible, &it->second->durable}) {
    const std::uint64_t to = std::min<std::uint64_t>(from + kSectorSize, image->size());
    if (from < to) std::fill(image->begin() + from, image->begin() + to, '\0');
  }
  return true;
}

bool SimDisk::RemoveFile(std::string_view path) {
  const std::string key(path);
  const bool there = state_->visible.files.erase(key) > 0;
  state_->durable.files.erase(key);
  state_->CountUsed();
  return there;
}

void SimDisk::WriteAtRest(std::string_view path, std::string_view content) {
  const std::string key(path);
  InodePtr& inode = state_->visible.files[key];
  if (!inode) {
    inode = std::make_shared<Inode>();
    inode->id = state_->next_id++;
  }
  inode->visible = inode->durable = content;
  inode->changes.clear();
  state_->durable.files[key] = inode;
  const std::string folder(FolderOf(path));
  if (!folder.empty()) {
    state_->visible.folders.insert(folder);
    state_->durable.folders.insert(folder);
  }
  state_->CountUsed();
}

std::optional<std::string> SimDisk::Content(std::string_view path) const {
  const auto it = state_->visible.files.find(std::string(path));
  if (it == state_->visible.files.end()) return std::nullopt;
  return it->second->visible;
}

std::vector<std::string> SimDisk::Paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : state_->visible.files) paths.push_back(path);
  return paths;
}

SimDisk::Image SimDisk::TakeImage() const {
  Image image;
  for (const auto& [path, inode] : state_->visible.files) image[path] = inode->visible;
  return image;
}

void SimDisk::Restore(const Image& image) {
  ++state_->epoch;
  const std::set<std::string> folders = state_->visible.folders;
  state_->visible = {};
  state_->entry_changes.clear();
  state_->visible.folders = state_->durable.folders = folders;
  state_->durable.files.clear();
  for (const auto& [path, content] : image) WriteAtRest(path, content);
  state_->CountUsed();
}

}  // namespace jeton
