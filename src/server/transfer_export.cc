#include "server/transfer_export.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "protocol/csv.h"
#include "server/process.h"
#include "server/transfer_output.h"
#include "server/transfer_progress.h"

namespace jeton::server {
namespace {

constexpr std::string_view kScanCount = "500";
// Keys asked for at once. As the server holds what we have not read yet, keys of very many buckets
// are asked for one by one.
constexpr std::size_t kKeysInFlightMax = 128;
constexpr std::size_t kBucketsInFlightMax = 64u << 10;

Error WrongReply(std::string_view command) {
  return {ErrorKind::kInvalid, fmt::format("unexpected reply to {}", command)};
}

Result<Decimal> ValueOf(const RespValue& value) {
  if (value.type == RespValue::Type::kInteger) return Decimal(value.integer);
  return Decimal::Parse(value.text);
}

class Exporter {
 public:
  Exporter(TransferClient& client, const Export& options, OutputFile& output, Progress& progress)
      : client_(client), options_(options), output_(output), progress_(progress) {}

  Status ExportTree(const std::string& tree) {
    row_.tree = tree;
    window_ = 1;
    std::string cursor = "0";
    do {
      auto page = client_.Call({"TREE.SCAN", tree, cursor, "COUNT", kScanCount});
      if (!page) return page.error();
      if (page->items.size() != 2) return WrongReply("TREE.SCAN");
      cursor = page->items[0].text;
      if (Status written = WriteKeys(page->items[1].items); !written) return written;
    } while (cursor != "0");
    return {};
  }

  std::uint64_t rows() const { return rows_; }
  std::uint64_t keys() const { return keys_; }

 private:
  // Keys and totals, in turn.
  Status WriteKeys(const std::vector<RespValue>& page) {
    std::size_t next = 0;  // to be answered
    for (std::size_t i = 0; i < page.size(); i += 2) {
      while (client_.Full() || client_.pending() >= window_) {
        if (Status written = WriteKey(page[next].text); !written) return written;
        next += 2;
      }
      client_.Queue({"TREE.RANGE", row_.tree, page[i].text});
    }
    for (; next < page.size(); next += 2) {
      if (Status written = WriteKey(page[next].text); !written) return written;
    }
    return {};
  }

  Status WriteKey(const std::string& key) {
    auto reply = client_.Next();
    if (!reply) return reply.error();
    if (reply->IsError()) {
      return Error{ErrorKind::kInvalid, fmt::format("tree {}, key {}: {}", QuoteForLog(row_.tree),
                                                    QuoteForLog(key), reply->text)};
    }
    row_.key = key;
    const std::vector<RespValue>& pairs = reply->items;
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
      const auto value = ValueOf(pairs[i + 1]);
      if (!value) return WrongReply("TREE.RANGE");
      row_.bucket = pairs[i].text;
      row_.value = *value;
      if (Status written = WriteRow(); !written) return written;
    }
    const std::size_t fitting = kBucketsInFlightMax / std::max<std::size_t>(1, pairs.size() / 2);
    window_ = std::clamp<std::size_t>(std::min(fitting, window_ * 2), 1, kKeysInFlightMax);
    progress_.Update(++keys_);
    return {};
  }

  Status WriteRow() {
    ++rows_;
    if (options_.format == Export::Format::kCsv) {
      AppendCsvRow(output_.buffer(), row_);
    } else if (Status s = AppendJsonLine(output_.buffer(), row_); !s) {
      return s;
    }
    return output_.FlushIfFull();
  }

  TransferClient& client_;
  const Export& options_;
  OutputFile& output_;
  Progress& progress_;
  CounterRow row_;
  std::size_t window_ = 1;
  std::uint64_t rows_ = 0;
  std::uint64_t keys_ = 0;
};

struct Trees {
  std::vector<std::string> names;
  std::uint64_t keys = 0;
};

Result<Trees> FindTrees(TransferClient& client, const Export& options) {
  Trees trees;
  if (options.tree) {
    trees.names.push_back(*options.tree);
  } else {
    auto reply = client.Call({"TREE.LIST"});
    if (!reply) return reply.error();
    for (RespValue& name : reply->items) trees.names.push_back(std::move(name.text));
  }
  for (const std::string& name : trees.names) {
    const auto info = FindTree(client, name);
    if (!info) return info.error();
    if (*info) {
      trees.keys += (*info)->keys;
    } else if (options.tree) {
      return Error{ErrorKind::kNotFound, fmt::format("no such tree {}", QuoteForLog(name))};
    }
  }
  return trees;
}

}  // namespace

Result<std::string> ExportRows(const ServerAddress& address, const Export& options) {
  auto client = TransferClient::Connect(address);
  if (!client) return client.error();
  const auto trees = FindTrees(*client, options);
  if (!trees) return trees.error();
  auto output = OutputFile::Open(options.output);
  if (!output) return output.error();
  if (options.format == Export::Format::kCsv) AppendCsvHeader(output->buffer());
  const MonoNs start = MonotonicNow();
  const bool data_on_terminal = options.output.empty() && isatty(STDOUT_FILENO) != 0;
  Progress progress("Exporting", "keys", trees->keys, !data_on_terminal);
  Exporter exporter(*client, options, *output, progress);
  for (const std::string& tree : trees->names) {
    if (Status exported = exporter.ExportTree(tree); !exported) return exported.error();
  }
  if (Status finished = output->Finish(); !finished) return finished.error();
  return fmt::format("Exported {} buckets of {} keys in {} trees in {:.1f} s", exporter.rows(),
                     exporter.keys(), trees->names.size(),
                     static_cast<double>(MonotonicNow() - start) / kNsPerSecond);
}

}  // namespace jeton::server
