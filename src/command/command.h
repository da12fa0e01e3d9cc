// Command: one self-describing entry of the one command table. Arity, key positions, ACL
// categories, COMMAND, COMMAND DOCS, HELP, JSON field names and docs/reference/commands.md are
// derived from it; its example runs as a test. A family of commands is one file that adds its
// entries.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jeton::command {

struct Context;
using Handler = void (*)(Context&);

enum class ArgumentType : std::uint8_t {
  kKey,
  kString,
  kInteger,
  kDouble,
  kPattern,
  kUnixTime,
  kPureToken,
  kOneOf,
  kBlock
};

// How JSON names an argument and which words it becomes. RESP binds by position, JSON by name, onto
// the same words: an optional one that is absent becomes a word without data (see Given).
enum class JsonForm : std::uint8_t {
  kNone,
  kTree,       // "tree_name"                                   a word
  kSeries,     // "series" or "tree"                            a word
  kKey,        // a number of 64 bits without a sign, or a text  a word
  kValue,      // above 0: a number, or a decimal in a string    a word
  kBucket,     // "bucket": a number or a text, or "date"        a word
  kBefore,     // "before": a number or a text, or "date"        a word
  kFromTo,     // "time_from" and "time_to", both or none        two words
  kRange,      // {"from":b,"to":b}                              two words
  kLimit,      // 1 to json_max                                  a word
  kOffset,     // a number from 0 up                             a word
  kCursor,     // a key; null begins                             a word
  kText,       //                                                a word
  kKeys,       // [key,...]                                      a word each
  kAdds,       // [[key,bucket,value],...], values above 0       three words each
  kSets,       // the same, values from 0 up                     three words each
  kSeriesKeys  // [{"series":s,"key":k},...]                     two words each
};

// An argument in the sense of COMMAND DOCS. Arity and key positions follow from the top level ones.
struct Argument {
  std::string_view name;  // also the JSON field
  ArgumentType type = ArgumentType::kString;
  std::string_view token = {};  // literal word in front of it ("EX"), or the word itself
  bool optional = false;
  bool multiple = false;                 // one or more (with optional: none or more)
  bool multiple_token = false;           // the token is repeated with each
  std::vector<Argument> arguments = {};  // members of kOneOf and kBlock
  JsonForm json = JsonForm::kNone;
  std::string_view json_default = {};  // the word for an absent one; without data: none
  std::int64_t json_max = 0;           // of kLimit
};

// Whether an optional argument of a JSON operation was there.
inline bool Given(std::string_view word) {
  return word.data() != nullptr;
}

// Requests whose usual case has a short way; see HotPath.
enum class HotForm : std::uint8_t { kNone, kIncr, kDecr, kIncrBy, kDecrBy, kGet };

// Flags, to be or-ed.
enum Flag : std::uint32_t {
  kWrite = 1u << 0,
  kReadOnly = 1u << 1,
  kDenyOom = 1u << 2,  // refused with -OOM beyond maxmemory
  kAdmin = 1u << 3,
  kFast = 1u << 4,          // O(1) or nearly: its time is sampled, not measured each time
  kNoAuth = 1u << 5,        // allowed before AUTH
  kLoading = 1u << 6,       // allowed while the data is being loaded
  kNoMulti = 1u << 7,       // refused inside MULTI
  kImmediate = 1u << 8,     // runs at once inside MULTI instead of being queued (EXEC, DISCARD ...)
  kPubSub = 1u << 9,        // allowed to a RESP2 subscriber
  kExclusive = 1u << 10,    // runs alone: holds the TurnLock exclusively
  kSkipMonitor = 1u << 11,  // not shown by MONITOR (AUTH, HELLO with AUTH)
  kNoScript = 1u << 12,     // only told to clients
  // An operation of Karma's protocols: found by FindJson and by nothing else. To a RESP client it
  // is an unknown command, and COMMAND does not list it; what it does has a RESP command of its
  // own. Its optional arguments are always there as words, so that every position is fixed.
  kJsonOnly = 1u << 13,
};

// A request and its reply in the words of redis-cli, run in order on an empty keyspace.
// `dialect_redis` empty: the same as `reply`.
struct Example {
  std::string_view request;
  std::string_view reply;             // discnt dialect
  std::string_view reply_redis = {};  // redis dialect, where it differs
};

struct Command {
  std::string_view name;          // lower case; "client|setname" is the subcommand SETNAME
  std::string_view json_op = {};  // v2's "op", or v1's "command"
  std::vector<std::string_view> json_aliases = {};
  int json_version = 2;
  std::string_view summary;
  std::string_view since = "0.1.0";
  std::string_view group =
      "generic";  // as in COMMAND DOCS: generic, string, connection, server ...
  std::string_view complexity = "O(1)";
  std::uint32_t flags = 0;
  std::vector<Argument> arguments = {};
  std::vector<std::string_view> errors = {};
  std::vector<Example> examples = {};
  Handler handler = nullptr;  // null for a container whose subcommands do the work
  HotForm hot = HotForm::kNone;

  // Derived when the entry is added to the table.
  int arity = 0;  // as in COMMAND INFO: negative means "at least"
  int first_key = 0, last_key = 0, key_step = 0;
  int id = 0;  // dense, for statistics
  std::vector<const Command*> subcommands = {};
};

class CommandTable {
 public:
  CommandTable();  // with every family
  ~CommandTable();
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  // By name in any case; null if unknown. The fast path of every request.
  const Command* Find(std::string_view name) const;
  // The subcommand of a container; null if unknown.
  const Command* FindSubcommand(const Command& container, std::string_view name) const;
  // The operation of one of Karma's protocols (1 or 2); null if unknown.
  const Command* FindJson(int version, std::string_view op) const;
  // What RESP clients may send; sorted by name, subcommands behind their container.
  std::span<const Command* const> All() const;
  std::span<const Command* const> JsonOnly() const;  // the entries with kJsonOnly, sorted by name
  int size() const;                                  // ids are 0 .. size()-1

  void Add(Command command);  // only while it is constructed; asserts on a duplicate name

 private:
  struct Index;
  std::unique_ptr<Index> index_;
};

// Positions in `argument_count` arguments (the name is 0) that are keys.
struct KeyPositions {
  int first = 0, last = 0, step = 0;  // first 0: none
};
KeyPositions KeysOf(const Command& command, int argument_count);

// The families (one file each).
void AddConnectionCommands(CommandTable& table);   // connection.cc: PING HELLO AUTH CLIENT ...
void AddServerCommands(CommandTable& table);       // server.cc: INFO CONFIG COMMAND SHUTDOWN ...
void AddCounterCommands(CommandTable& table);      // counters.cc: INCR ... MINCRBY PRECISION INCREX
void AddStringCommands(CommandTable& table);       // strings.cc: GET SET MGET MSET GETEX ...
void AddKeyCommands(CommandTable& table);          // keys.cc: DEL EXISTS TYPE KEYS SCAN ...
void AddExpiryCommands(CommandTable& table);       // expiry.cc
void AddTreeCommands(CommandTable& table);         // trees.cc: TREE.*
void AddHashCommands(CommandTable& table);         // hashes.cc: HINCRBY HGET ... on trees
void AddTransactionCommands(CommandTable& table);  // transactions.cc
void AddPubSubCommands(CommandTable& table);       // pubsub.cc
void AddClusterCommands(CommandTable& table);      // cluster.cc
void AddWaitCommand(CommandTable& table);          // wait.cc
void AddDiagnosisCommands(
    CommandTable& table);  // diagnosis.cc: SLOWLOG LATENCY MEMORY OBJECT DEBUG MONITOR
void AddKarmaV1Commands(CommandTable& table);  // karma_v1.cc: Karma 0.1
void AddKarmaSeriesCommands(
    CommandTable& table);  // karma_series.cc: tree.* and series.* of Karma 1.0
void AddKarmaCounterCommands(CommandTable& table);  // karma_counter.cc: counter.* of Karma 1.0
void AddKarmaDumpCommands(CommandTable& table);     // karma_dumps.cc: dump files of both
void AddKarmaSystemCommands(CommandTable& table);   // karma_system.cc: system.* of Karma 1.0

}  // namespace jeton::command
