#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "base/assert.h"
#include "base/prng.h"
#include "base/text.h"
#include "command/command.h"

namespace jeton::command {

namespace {

// How many words an argument takes, and whether that number may vary.
struct Extent {
  int words = 0;
  bool varies = false;
};

Extent ExtentOf(const Argument& argument) {
  Extent extent;
  if (argument.json != JsonForm::kNone && !argument.multiple) {
    extent.words = std::max(1, static_cast<int>(argument.arguments.size()));
    return extent;
  }
  switch (argument.type) {
    case ArgumentType::kPureToken:
      extent.words = 1;
      break;
    case ArgumentType::kOneOf: {
      bool first = true;
      for (const Argument& member : argument.arguments) {
        const Extent other = ExtentOf(member);
        if (!first && other.words != extent.words) extent.varies = true;
        extent.words = first ? other.words : std::min(extent.words, other.words);
        extent.varies |= other.varies;
        first = false;
      }
      if (!argument.token.empty()) ++extent.words;
      break;
    }
    case ArgumentType::kBlock:
      for (const Argument& member : argument.arguments) {
        const Extent other = ExtentOf(member);
        extent.words += other.words;
        extent.varies |= other.varies;
      }
      if (!argument.token.empty()) ++extent.words;
      break;
    default:
      extent.words = argument.token.empty() ? 1 : 2;
  }
  if (argument.multiple || argument.optional) extent.varies = true;
  if (argument.optional) extent.words = 0;
  return extent;
}

// The first key among the top-level arguments (or in a repeated block such as MSET's) gives the
// positions. Every command of ours has its keys in one regular run.
void DeriveKeys(Command& command, int position) {
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const Argument& argument = command.arguments[i];
    const bool block_of_key = argument.type == ArgumentType::kBlock &&
                              !argument.arguments.empty() &&
                              argument.arguments[0].type == ArgumentType::kKey;
    if (argument.type == ArgumentType::kKey || block_of_key) {
      command.first_key = position;
      command.key_step = block_of_key ? static_cast<int>(argument.arguments.size()) : 1;
      command.last_key = position;
      if (argument.multiple) {
        command.last_key = -1;
        for (std::size_t j = i + 1; j < command.arguments.size(); ++j) {
          command.last_key -= ExtentOf(command.arguments[j]).words;
        }
      }
      return;
    }
    const Extent extent = ExtentOf(argument);
    if (extent.varies) return;  // what stands behind it has no fixed position
    position += extent.words;
  }
}

void Derive(Command& command) {
  const bool subcommand = command.name.find('|') != std::string_view::npos;
  const int own_words = subcommand ? 2 : 1;
  Extent total{.words = own_words};
  for (const Argument& argument : command.arguments) {
    const Extent extent = ExtentOf(argument);
    total.words += extent.words;
    total.varies |= extent.varies;
  }
  if (command.handler == nullptr) total = {.words = 2, .varies = true};
  command.arity = total.varies ? -total.words : total.words;
  DeriveKeys(command, own_words);
}

}  // namespace

// An open-addressing table over the lower-cased name. It is built once and a quarter full, so that
// nearly every look-up ends at its first slot.
struct CommandTable::Index {
  static constexpr std::size_t kSlots = 2048;
  static constexpr std::size_t kMaxNameBytes = 48;

  struct Slot {
    std::uint32_t hash = 0;
    const Command* command = nullptr;
  };

  std::vector<std::unique_ptr<Command>> commands;
  std::vector<const Command*> sorted;
  std::vector<const Command*> json_only;
  std::map<std::pair<int, std::string_view>, const Command*> json;
  std::array<Slot, kSlots> slots;

  // Names of 4 to 8 letters, or 3: their bytes in one word, and a multiplier that sends each to a
  // slot of its own. One multiplication and one comparison find what nearly every request names.
  static constexpr int kShortBits = 11;
  struct ShortSlot {
    std::uint64_t word = 0;
    const Command* command = nullptr;
  };
  std::array<ShortSlot, std::size_t{1} << kShortBits> short_slots;
  std::uint64_t multiplier = 0;

  static std::uint64_t Load(const char* bytes, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, size);
    return word;
  }
  // 0 for names of other lengths. The same for two names of one length means the same letters, the
  // case apart, if one has only letters: nothing else becomes a letter by setting 0x20.
  static std::uint64_t WordOf(std::string_view name) {
    const char* p = name.data();
    if (name.size() == 3) return Load(p, 2) | Load(p + 2, 1) << 16 | 0x202020;
    if (name.size() < 4 || name.size() > 8) return 0;
    return Load(p, 4) | Load(p + name.size() - 4, 4) << 32 | 0x2020202020202020;
  }
  std::size_t ShortSlotOf(std::uint64_t word) const {
    return word * multiplier >> (64 - kShortBits);
  }
  static bool OnlyLetters(std::string_view name) {
    return std::all_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  }
  bool FillShortSlots() {
    short_slots.fill({});
    for (const auto& command : commands) {
      const std::uint64_t word = WordOf(command->name);
      if (word == 0 || !OnlyLetters(command->name) || (command->flags & kJsonOnly) != 0) continue;
      ShortSlot& slot = short_slots[ShortSlotOf(word)];
      if (slot.command != nullptr) return false;
      slot = {.word = word, .command = command.get()};
    }
    return true;
  }

  // Setting 0x20 lower-cases letters and merges some other bytes; the comparison tells them apart.
  static std::uint32_t Start() { return 2166136261u; }
  static std::uint32_t Mix(std::uint32_t hash, std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ (static_cast<unsigned char>(c) | 0x20u)) * 16777619u;
    return hash;
  }
  static std::size_t SlotOf(std::uint32_t hash) { return (hash ^ (hash >> 15)) % kSlots; }

  void Insert(const Command* command) {
    const std::uint32_t hash = Mix(Start(), command->name);
    std::size_t slot = SlotOf(hash);
    while (slots[slot].command != nullptr) {
      ASSERT(slots[slot].command->name != command->name);
      slot = (slot + 1) % kSlots;
    }
    slots[slot] = {.hash = hash, .command = command};
  }

  void AddJson(const Command* command) {
    if (command->json_op.empty()) return;
    ASSERT(json.emplace(std::pair(command->json_version, command->json_op), command).second);
    for (const std::string_view alias : command->json_aliases) {
      ASSERT(json.emplace(std::pair(command->json_version, alias), command).second);
    }
  }

  template <typename Matches>
  const Command* Look(std::uint32_t hash, const Matches& matches) const {
    for (std::size_t slot = SlotOf(hash); slots[slot].command != nullptr;
         slot = (slot + 1) % kSlots) {
      if (slots[slot].hash == hash && matches(slots[slot].command->name)) {
        return slots[slot].command;
      }
    }
    return nullptr;
  }

  Command* Mutable(std::string_view name) {
    for (auto& command : commands) {
      if (command->name == name) return command.get();
    }
    return nullptr;
  }
};

namespace {

bool SameName(std::string_view lower, std::string_view any) {
  if (lower.size() != any.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (lower[i] != ToLower(any[i])) return false;
  }
  return true;
}

}  // namespace

CommandTable::CommandTable() : index_(std::make_unique<Index>()) {
  AddConnectionCommands(*this);
  AddServerCommands(*this);
  AddCounterCommands(*this);
  AddStringCommands(*this);
  AddKeyCommands(*this);
  AddExpiryCommands(*this);
  AddTreeCommands(*this);
  AddHashCommands(*this);
  AddTransactionCommands(*this);
  AddPubSubCommands(*this);
  AddClusterCommands(*this);
  AddWaitCommand(*this);
  AddDiagnosisCommands(*this);
  AddKarmaV1Commands(*this);
  AddKarmaSeriesCommands(*this);
  AddKarmaCounterCommands(*this);
  AddKarmaSystemCommands(*this);
  AddKarmaDumpCommands(*this);
  std::vector<const Command*>& sorted = index_->sorted;
  for (const auto& command : index_->commands) {
    const bool json_only = (command->flags & kJsonOnly) != 0;
    (json_only ? index_->json_only : sorted).push_back(command.get());
  }
  // A space sorts before everything in names, and so keeps subcommands behind their container.
  const auto order = [](const Command* command) {
    std::string text(command->name);
    std::replace(text.begin(), text.end(), '|', ' ');
    return text;
  };
  std::sort(sorted.begin(), sorted.end(),
            [&](const Command* a, const Command* b) { return order(a) < order(b); });
  std::sort(index_->json_only.begin(), index_->json_only.end(),
            [](const Command* a, const Command* b) { return a->name < b->name; });
  Prng prng(1);
  do {
    index_->multiplier = prng.Next() | 1;
  } while (!index_->FillShortSlots());
  for (const auto& command : index_->commands) {
    std::sort(command->subcommands.begin(), command->subcommands.end(),
              [](const Command* a, const Command* b) { return a->name < b->name; });
  }
}

CommandTable::~CommandTable() = default;

void CommandTable::Add(Command command) {
  ASSERT(command.name.size() <= Index::kMaxNameBytes);
  ASSERT(index_->commands.size() < Index::kSlots / 4);
  Derive(command);
  command.id = static_cast<int>(index_->commands.size());
  auto& added = index_->commands.emplace_back(std::make_unique<Command>(std::move(command)));
  index_->AddJson(added.get());
  if ((added->flags & kJsonOnly) != 0) return;
  index_->Insert(added.get());
  const std::size_t bar = added->name.find('|');
  if (bar == std::string_view::npos) return;
  Command* container = index_->Mutable(added->name.substr(0, bar));
  ASSERT(container != nullptr);  // a container is added before its subcommands
  container->subcommands.push_back(added.get());
  container->arity = -std::abs(container->arity);
}

const Command* CommandTable::Find(std::string_view name) const {
  if (const std::uint64_t word = Index::WordOf(name); word != 0) {
    const Index::ShortSlot& slot = index_->short_slots[index_->ShortSlotOf(word)];
    if (slot.word == word && slot.command->name.size() == name.size()) [[likely]]
      return slot.command;
  }
  if (name.size() > Index::kMaxNameBytes) return nullptr;
  const Command* found =
      index_->Look(Index::Mix(Index::Start(), name),
                   [&](std::string_view other) { return SameName(other, name); });
  // "client|id" is a name of the table, not a word that a client may send.
  if (found != nullptr && name.find('|') != std::string_view::npos) [[unlikely]]
    return nullptr;
  return found;
}

const Command* CommandTable::FindSubcommand(const Command& container, std::string_view name) const {
  if (name.size() > Index::kMaxNameBytes) return nullptr;
  std::uint32_t hash = Index::Mix(Index::Start(), container.name);
  hash = Index::Mix(Index::Mix(hash, "|"), name);
  return index_->Look(hash, [&](std::string_view other) {
    const std::size_t prefix = container.name.size() + 1;
    return other.size() == prefix + name.size() && other[prefix - 1] == '|' &&
           other.starts_with(container.name) && SameName(other.substr(prefix), name);
  });
}

const Command* CommandTable::FindJson(int version, std::string_view op) const {
  const auto found = index_->json.find({version, op});
  return found == index_->json.end() ? nullptr : found->second;
}

std::span<const Command* const> CommandTable::JsonOnly() const {
  return index_->json_only;
}

std::span<const Command* const> CommandTable::All() const {
  return index_->sorted;
}

int CommandTable::size() const {
  return static_cast<int>(index_->commands.size());
}

KeyPositions KeysOf(const Command& command, int argument_count) {
  if (command.first_key == 0) return {};
  const int last = command.last_key < 0 ? argument_count + command.last_key : command.last_key;
  if (last < command.first_key || last >= argument_count) return {};
  return {.first = command.first_key, .last = last, .step = command.key_step};
}

}  // namespace jeton::command
