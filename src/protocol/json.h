// Karma's JSON lines: a request is one JSON object on a line. Framing and parsing; the envelopes of
// the replies are in karma_envelope.h.
//
// Numbers keep their text, so that a decimal is exact, and integers of any size can be refused with
// their own words rather than be rounded by a double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jeton {

inline constexpr std::size_t kJsonMaxLineBytes = 16 * 1024 * 1024;
inline constexpr int kJsonMaxDepth = 32;  // the request's own object is 1

// Cuts a buffer into lines that end with \n or \r\n. Empty lines are skipped. Linear in the bytes,
// however small the pieces: it remembers how far it has looked.
class JsonLineParser {
 public:
  enum class Outcome : unsigned char { kNeedMore, kLine, kTooLong };

  explicit JsonLineParser(std::size_t max_bytes = kJsonMaxLineBytes) : max_bytes_(max_bytes) {}

  // `consumed` is set on every outcome; these bytes must be gone from the front of `input` at the
  // next call (on kNeedMore: empty lines). kLine: `line` is a view into `input`, without its end.
  // kTooLong: the line is longer than the maximum; answer and close.
  Outcome Next(std::string_view input, std::size_t& consumed, std::string_view& line);

 private:
  std::size_t max_bytes_;
  std::size_t scanned_ = 0;
};

class JsonDocument;
class JsonValue;
class ItemRange;
class FieldRange;
struct JsonField;

enum class JsonType : unsigned char { kNull, kBool, kNumber, kString, kArray, kObject };

// One value in a JsonDocument: a handle, copied freely, valid until the document's next Parse.
class JsonValue {
 public:
  JsonType type() const;
  bool IsNull() const { return type() == JsonType::kNull; }
  bool IsString() const { return type() == JsonType::kString; }
  bool IsNumber() const { return type() == JsonType::kNumber; }

  bool Bool() const;  // false unless it is `true`
  // The string's content; the number or literal exactly as written. Empty for containers.
  std::string_view Text() const;
  // A number without point and exponent that fits, else nothing. Strings are not numbers.
  std::optional<std::int64_t> Int64() const;
  std::optional<std::uint64_t> Uint64() const;

  std::size_t size() const;  // elements of an array, fields of an object (duplicates counted)
  // for (JsonValue item : value.Items()): the elements of an array, none for other types.
  ItemRange Items() const;
  // for (JsonField field : value.Fields()): the fields of an object in order, duplicates included.
  FieldRange Fields() const;
  // The last field of this name.
  std::optional<JsonValue> Find(std::string_view name) const;

  // "a string", "an array": for error texts.
  std::string_view TypeName() const;

 private:
  friend class JsonDocument;
  friend class ItemRange;
  friend class FieldRange;
  JsonValue(const JsonDocument* document, std::uint32_t index)
      : document_(document), index_(index) {}

  const JsonDocument* document_;
  std::uint32_t index_;
};

struct JsonField {
  std::string_view name;
  JsonValue value;
};

// A parsed JSON text. Reuse it: its memory (several times the largest text so far) is kept from one
// Parse to the next; so have one for each worker, not for each connection. Not thread-safe.
class JsonDocument {
 public:
  JsonDocument();
  ~JsonDocument();
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;

  // An object or an array. The text is copied. Errors are kInvalid and say what is wrong.
  Status Parse(std::string_view text);
  // Valid after a successful Parse.
  JsonValue Root() const { return JsonValue(this, 0); }

 private:
  friend class JsonValue;
  friend class ItemRange;
  friend class FieldRange;
  // Nodes in the order of the text; a field is a node for its name, followed by its value.
  struct Node {
    JsonType type;
    std::uint32_t size;  // elements or fields
    std::uint32_t next;  // the node after this value and all that is in it
    std::string_view text;
  };

  std::vector<Node> nodes_;
  class Builder;
  struct Engine;
  std::unique_ptr<Engine> engine_;
};

class ItemRange {
 public:
  class Iterator {
   public:
    Iterator(const JsonDocument* document, std::uint32_t index, std::uint32_t left)
        : document_(document), index_(index), left_(left) {}
    JsonValue operator*() const { return JsonValue(document_, index_); }
    Iterator& operator++() {
      index_ = document_->nodes_[index_].next;
      --left_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return left_ != other.left_; }

   private:
    const JsonDocument* document_;
    std::uint32_t index_;
    std::uint32_t left_;
  };

  ItemRange(const JsonDocument* document, std::uint32_t index, std::uint32_t size)
      : document_(document), index_(index), size_(size) {}
  Iterator begin() const { return {document_, index_, size_}; }
  Iterator end() const { return {document_, index_, 0}; }

 private:
  const JsonDocument* document_;
  std::uint32_t index_;
  std::uint32_t size_;
};

class FieldRange {
 public:
  class Iterator {
   public:
    Iterator(const JsonDocument* document, std::uint32_t index, std::uint32_t left)
        : document_(document), index_(index), left_(left) {}
    JsonField operator*() const {
      return {document_->nodes_[index_].text, JsonValue(document_, index_ + 1)};
    }
    Iterator& operator++() {
      index_ = document_->nodes_[index_ + 1].next;
      --left_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return left_ != other.left_; }

   private:
    const JsonDocument* document_;
    std::uint32_t index_;
    std::uint32_t left_;
  };

  FieldRange(const JsonDocument* document, std::uint32_t index, std::uint32_t size)
      : document_(document), index_(index), size_(size) {}
  Iterator begin() const { return {document_, index_, size_}; }
  Iterator end() const { return {document_, index_, 0}; }

 private:
  const JsonDocument* document_;
  std::uint32_t index_;
  std::uint32_t size_;
};

// Which of Karma's protocols a request speaks: `v` or `op` make it v2, else `command` makes it v1.
enum class KarmaVersion : unsigned char { kUnknown, kV1, kV2 };

// One request line. The typed getters give nothing for a field that is absent or null, and an error
// that names the field for one of the wrong type.
class JsonRequest {
 public:
  // The error's text is the message for the client.
  Status Parse(std::string_view line);

  KarmaVersion version() const { return version_; }
  FieldRange Fields() const { return document_.Root().Fields(); }
  std::optional<JsonValue> Field(std::string_view name) const;

  Result<std::optional<std::string_view>> String(std::string_view name) const;
  Result<std::optional<std::int64_t>> Int64(std::string_view name) const;
  Result<std::optional<std::uint64_t>> Uint64(std::string_view name) const;
  // A number exactly as written, or a string that is taken as one (its content is not checked).
  Result<std::optional<std::string_view>> DecimalText(std::string_view name) const;
  Result<std::optional<bool>> Bool(std::string_view name) const;
  Result<std::optional<JsonValue>> Array(std::string_view name) const;
  Result<std::optional<JsonValue>> Object(std::string_view name) const;

 private:
  JsonDocument document_;
  KarmaVersion version_ = KarmaVersion::kUnknown;
};

}  // namespace jeton
