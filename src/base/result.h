// Result<T>: a value, or an Error that says what was wrong and with which value.
// For expected failures (bad input, full disk, damaged file); bugs hit ASSERT.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace jeton {

enum class ErrorKind : unsigned char {
  kInvalid,     // the request or a value in it is wrong
  kNotFound,    // the thing named does not exist
  kWrongType,   // a counter where a tree was expected, or the reverse
  kRange,       // a value or a sum would leave its range
  kConflict,    // it exists already, with other settings
  kNoSpace,     // the disk is full; nothing was changed
  kIo,          // the disk failed; the outcome may be unknown
  kCorrupt,     // stored bytes do not verify
  kDenied,      // not authenticated or not permitted
  kUnavailable  // not now: loading, shutting down, read-only
};

// `text` is a sentence for a person. Where the error may reach a Redis client it begins with the
// upper-case code that clients match on ("ERR ...", "WRONGTYPE ..."), without the leading '-'.
struct Error {
  ErrorKind kind = ErrorKind::kInvalid;
  std::string text;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    ASSERT(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) const { return ok() ? value() : std::move(other); }

  const Error& error() const {
    ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

struct Ok {};

// Result<void> reads naturally: `return {};` is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Ok) {}                                                     // NOLINT: implicit
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT: implicit

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    ASSERT(failed_);
    return error_;
  }

 private:
  Error error_;
  bool failed_ = false;
};

using Status = Result<void>;

}  // namespace jeton
