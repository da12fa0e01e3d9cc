// Runs the sessions in tests/transcripts/ and the examples of the command table against a whole
// server in memory. tests/transcripts/README.md says how a transcript is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "command/test_server.h"
#include "protocol/resp_parser.h"
#include "storage/posix_file_system.h"

namespace jeton::command {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(JETON_SOURCE_DIR) / "tests" / "transcripts";

struct Step {
  int line = 0;
  int client = 1;
  std::string request = {};  // or a directive, beginning with '@'
  std::vector<std::string> reply = {};
};

struct Transcript {
  std::string name;
  std::vector<Dialect> dialects = {Dialect::kDiscnt, Dialect::kRedis};
  std::vector<int> versions = {2};
  bool json = false;
  bool directory = false;
  std::vector<Step> steps = {};
};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void ReadHeader(const std::string& line, Transcript& transcript) {
  if (line.starts_with("# dialect: discnt")) transcript.dialects = {Dialect::kDiscnt};
  if (line.starts_with("# dialect: redis")) transcript.dialects = {Dialect::kRedis};
  if (line.starts_with("# protocol: json")) {
    transcript.json = true;
    transcript.dialects = {Dialect::kDiscnt};
  }
  if (line.starts_with("# directory: yes")) transcript.directory = true;
  if (line.starts_with("# resp: 3")) transcript.versions = {3};
  if (line.starts_with("# resp: both")) transcript.versions = {2, 3};
}

// "> X" is client 1, "2> X" is client 2.
bool ReadRequest(const std::string& line, Step& step) {
  const std::size_t start = line.find("> ");
  if (start == 0) {
    step.request = line.substr(2);
    return true;
  }
  if (start != 1 || line[0] < '1' || line[0] > '9') return false;
  step.client = line[0] - '0';
  step.request = line.substr(3);
  return true;
}

Transcript Parse(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  Transcript transcript{.name = path.filename().string()};
  bool in_reply = false;
  int number = 0;
  for (const std::string& line : Lines(text.str())) {
    ++number;
    Step step{.line = number};
    if (line.empty()) {
      in_reply = false;
    } else if (in_reply) {  // first: `1> "message"` is how a push is printed
      transcript.steps.back().reply.push_back(line);
    } else if (ReadRequest(line, step)) {
      transcript.steps.push_back(step);
      in_reply = true;
    } else if (line.starts_with("@ ")) {
      step.request = line;
      transcript.steps.push_back(step);
    } else if (line.starts_with("#")) {
      ReadHeader(line, transcript);
    } else {
      ADD_FAILURE() << path << ":" << number << ": neither a request nor a reply: " << line;
    }
  }
  return transcript;
}

// In a line after "~ " only * and ? are special.
bool LineMatches(const std::string& expected, const std::string& actual) {
  if (!expected.starts_with("~ ")) return expected == actual;
  std::string pattern;
  for (const char c : expected.substr(2)) {
    if (c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return GlobMatch(pattern, actual);
}

// "..." stands for any number of lines.
bool Matches(std::span<const std::string> expected, std::span<const std::string> actual) {
  if (expected.empty()) return actual.empty();
  if (expected[0] == "...") {
    for (std::size_t skip = 0; skip <= actual.size(); ++skip) {
      if (Matches(expected.subspan(1), actual.subspan(skip))) return true;
    }
    return false;
  }
  return !actual.empty() && LineMatches(expected[0], actual[0]) &&
         Matches(expected.subspan(1), actual.subspan(1));
}

std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

class Runner {
 public:
  Runner(const Transcript& transcript, Dialect dialect, int version)
      : transcript_(transcript),
        where_(transcript.name + (dialect == Dialect::kRedis ? " (redis, " : " (discnt, ") +
               "RESP" + std::to_string(version) + ")"),
        server_(dialect, version) {
    if (!transcript.directory) return;
    char path[] = "/tmp/jeton-transcript-XXXXXX";
    folder_ = mkdtemp(path);
    auto opened = OpenPosixDirectory(folder_, false);
    ASSERT(opened.ok());
    directory_ = std::move(opened).value();
    server_.UseDirectory(*directory_);
  }
  ~Runner() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void Run() {
    for (const Step& step : transcript_.steps) {
      if (step.request.starts_with("@ ")) {
        Direct(step);
        continue;
      }
      const std::vector<std::string> actual = Lines(Run(Client(step.client), step.request));
      EXPECT_TRUE(Matches(step.reply, actual))
          << where_ << ":" << step.line << ": " << step.request << "\nexpected:\n"
          << Join(step.reply) << "actual:\n"
          << Join(actual);
    }
    EXPECT_EQ(server_.CheckReplay(), "") << where_;
    EXPECT_EQ(server_.lock_errors(), "") << where_;
  }

 private:
  // In a JSON transcript what does not begin as an object is a RESP request: a look from the other
  // side.
  std::string Run(Session& session, const std::string& request) {
    const bool resp = !transcript_.json || (request[0] >= 'A' && request[0] <= 'Z');
    if (!resp) return server_.RunJson(session, request);
    return server_.RunAs(transcript_.json ? Client(9) : session, request);
  }

  void Direct(const Step& step) {
    if (step.request.starts_with("@ time +")) {
      server_.Advance(std::stoll(step.request.substr(8)));
    } else if (step.request.starts_with("@ file ")) {
      std::ofstream(std::filesystem::path(folder_) / step.request.substr(7)) << "not a dump";
    } else if (step.request == "@ restart") {
      EXPECT_EQ(server_.CheckReplay(), "") << where_ << ":" << step.line;
      server_.Restart();
      clients_.clear();
    } else {
      ADD_FAILURE() << where_ << ":" << step.line << ": unknown directive " << step.request;
    }
  }

  Session& Client(int number) {
    if (number == 1) return server_.session();
    auto& client = clients_[number];
    if (client == nullptr) client = &server_.NewSession();
    return *client;
  }

  const Transcript& transcript_;
  std::string where_;
  std::string folder_;
  std::unique_ptr<Directory> directory_;
  TestServer server_;
  std::map<int, Session*> clients_;
};

std::vector<Transcript> AllTranscripts() {
  std::vector<Transcript> transcripts;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".transcript") transcripts.push_back(Parse(entry.path()));
  }
  std::sort(transcripts.begin(), transcripts.end(),
            [](const Transcript& a, const Transcript& b) { return a.name < b.name; });
  return transcripts;
}

TEST(Transcripts, GiveTheRepliesThatTheyShow) {
  const auto transcripts = AllTranscripts();
  EXPECT_FALSE(transcripts.empty());
  for (const Transcript& transcript : transcripts) {
    for (const Dialect dialect : transcript.dialects) {
      for (const int version : transcript.versions) Runner(transcript, dialect, version).Run();
    }
  }
}

TEST(Examples, GiveTheRepliesThatTheTableShows) {
  for (const Dialect dialect : {Dialect::kDiscnt, Dialect::kRedis}) {
    TestServer names(dialect);
    for (const Command* command : names.state().commands.All()) {
      TestServer server(dialect);
      for (const Example& example : command->examples) {
        const bool redis = dialect == Dialect::kRedis && !example.reply_redis.empty();
        EXPECT_EQ(server.Run(example.request), redis ? example.reply_redis : example.reply)
            << (dialect == Dialect::kRedis ? "redis: " : "discnt: ") << example.request;
      }
      EXPECT_EQ(server.CheckReplay(), "") << command->name;
      EXPECT_EQ(server.lock_errors(), "") << command->name;
    }
  }
}

// The commands that the transcripts run, by their names in the table.
std::set<std::string_view> CommandsInTranscripts(TestServer& server) {
  std::set<std::string_view> names;
  for (const Transcript& transcript : AllTranscripts()) {
    for (const Step& step : transcript.steps) {
      if (transcript.json) {
        JsonRequest request;
        if (!request.Parse(step.request)) continue;
        const bool v1 = request.version() == KarmaVersion::kV1;
        const auto name = request.String(v1 ? "command" : "op");
        if (!name.ok() || !*name) continue;
        const Command* command = server.state().commands.FindJson(v1 ? 1 : 2, **name);
        if (command != nullptr) names.insert(command->name);
        continue;
      }
      const std::string line = step.request + "\r\n";
      RespParser parser;
      std::vector<std::string_view> words;
      std::size_t consumed = 0;
      if (parser.Next(line, consumed, words) != RespParser::Outcome::kRequest) continue;
      if (const Command* command = server.dispatcher().Resolve(words)) names.insert(command->name);
    }
  }
  return names;
}

TEST(Examples, EveryCommandHasOneOrATranscript) {
  TestServer server;
  const auto in_transcripts = CommandsInTranscripts(server);
  for (const Command* command : server.state().commands.All()) {
    if (command->handler == nullptr) continue;  // a container
    EXPECT_TRUE(!command->examples.empty() || in_transcripts.contains(command->name))
        << command->name << " has neither an example nor a transcript";
  }
  for (const Command* command : server.state().commands.JsonOnly()) {
    EXPECT_TRUE(in_transcripts.contains(command->name)) << command->name << " has no transcript";
  }
}

}  // namespace
}  // namespace jeton::command
