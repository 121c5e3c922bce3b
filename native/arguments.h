// Reading JavaScript arguments without trusting them: a wrong type throws a TypeError and the caller returns before any
// system call.
#pragma once

#include <napi.h>

#include <string>

namespace kaio {

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  // An address, a context or another unsigned 64-bit word: a bigint from 0 to 2^64 - 1.
  uint64_t word(size_t at) {
    if (!info_[at].IsBigInt()) return fail(at, "a bigint");
    bool lossless = false;
    const uint64_t value = info_[at].As<Napi::BigInt>().Uint64Value(&lossless);
    return lossless ? value : fail(at, "a bigint from 0 to 2n ** 64n - 1n");
  }

  void* address(size_t at) { return reinterpret_cast<void*>(word(at)); }

  // A whole number that a double holds exactly.
  int64_t integer(size_t at) {
    if (!info_[at].IsNumber()) return static_cast<int64_t>(fail(at, "a number"));
    const double value = info_[at].As<Napi::Number>().DoubleValue();
    const bool whole = value >= -9007199254740991.0 && value <= 9007199254740991.0 &&
                       static_cast<double>(static_cast<int64_t>(value)) == value;
    return whole ? static_cast<int64_t>(value) : static_cast<int64_t>(fail(at, "a safe integer"));
  }

  // A descriptor or another int. Out of range is refused, never cut: a cut number could be another file's descriptor.
  int int32(size_t at) { return static_cast<int>(within(at, INT32_MIN, INT32_MAX)); }

  // An unsigned int, or what C makes one of.
  unsigned word32(size_t at) { return static_cast<unsigned>(within(at, INT32_MIN, UINT32_MAX)); }

  bool given(size_t at) const { return at < info_.Length() && !info_[at].IsUndefined(); }

  bool failed() const { return failed_; }

 private:
  int64_t within(size_t at, int64_t least, int64_t most) {
    const int64_t value = integer(at);
    return value >= least && value <= most ? value : static_cast<int64_t>(fail(at, "a 32-bit integer"));
  }

  uint64_t fail(size_t at, const char* expected) {
    if (!failed_) {
      failed_ = true;
      napi_throw_type_error(info_.Env(), "ERR_INVALID_ARG_TYPE",
                            ("argument " + std::to_string(at) + " must be " + expected).c_str());
    }
    return 0;
  }

  const Napi::CallbackInfo& info_;
  bool failed_ = false;
};

}  // namespace kaio
