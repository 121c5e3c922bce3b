// What a file needs and Node's fs does not offer. Calls that may wait for a disk run on libuv's pool, as those of fs.
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#include <functional>

#include "arguments.h"
#include "module.h"
#include "syscalls.h"

namespace kaio {
namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

// Runs one system call on the pool; a promise is settled with what `describe` makes of it, or with the negated errno.
template <typename Result>
class Blocking final : public Napi::AsyncWorker {
 public:
  using Call = std::function<long(Result*)>;
  using Describe = Value (*)(Napi::Env, const Result&);

  static Napi::Promise start(Napi::Env env, Call call, Describe describe) {
    auto* worker = new Blocking(env, std::move(call), describe);
    worker->Queue();
    return worker->deferred_.Promise();
  }

 private:
  Blocking(Napi::Env env, Call call, Describe describe)
      : Napi::AsyncWorker(env, "kaio"), deferred_(env), call_(std::move(call)), describe_(describe) {}

  void Execute() override { error_ = call_(&result_) < 0 ? errno : 0; }
  void OnOK() override { deferred_.Resolve(error_ ? Number::New(Env(), -error_) : describe_(Env(), result_)); }

  Napi::Promise::Deferred deferred_;
  const Call call_;
  const Describe describe_;
  Result result_ = {};
  int error_ = 0;
};

Value describeStatx(Napi::Env env, const struct statx& stat) {
  auto object = Napi::Object::New(env);
  object["mode"] = Number::New(env, stat.stx_mode);
  object["size"] = Number::New(env, static_cast<double>(stat.stx_size));
  object["blksize"] = Number::New(env, stat.stx_blksize);
  object["dev_major"] = Number::New(env, stat.stx_dev_major);
  object["dev_minor"] = Number::New(env, stat.stx_dev_minor);
  object["ino"] = Napi::BigInt::New(env, static_cast<uint64_t>(stat.stx_ino));
  const bool known = (stat.stx_mask & STATX_DIOALIGN) != 0;
  object["dio_mem_align"] = known ? Number::New(env, stat.stx_dio_mem_align) : env.Undefined();
  object["dio_offset_align"] = known ? Number::New(env, stat.stx_dio_offset_align) : env.Undefined();
  return object;
}

// statx(2) of an open descriptor, with what it says of direct I/O (Linux 6.1 and newer).
Value StatxOf(const CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.int32(0);
  if (args.failed()) return Value();
  const auto call = [fd](struct statx* stat) {
    return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, stat);
  };
  return Blocking<struct statx>::start(info.Env(), call, describeStatx);
}

// A system call of a descriptor and up to three numbers.
template <long Call>
Value NumbersOf(const CallbackInfo& info) {
  Arguments args(info);
  const int64_t fd = args.int32(0), a = args.integer(1), b = args.integer(2), c = args.given(3) ? args.integer(3) : 0;
  if (args.failed()) return Value();
  const auto call = [=](int64_t* result) { return *result = syscall(Call, fd, a, b, c); };
  const auto describe = [](Napi::Env env, const int64_t& result) -> Value { return Number::New(env, result); };
  return Blocking<int64_t>::start(info.Env(), call, describe);
}

// The status flags of an open descriptor (F_GETFL), or a negated errno. It does not wait.
Value StatusFlags(const CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.int32(0);
  if (args.failed()) return Value();
  const long flags = syscall(SYS_fcntl, fd, F_GETFL);
  return Number::New(info.Env(), flags < 0 ? -errno : static_cast<double>(flags));
}

}  // namespace

void exportFile(Napi::Env env, Napi::Object exports) {
  exports["statx"] = Napi::Function::New<StatxOf>(env, "statx");
  exports["fallocate"] = Napi::Function::New<NumbersOf<SYS_fallocate>>(env, "fallocate");
  exports["lseek"] = Napi::Function::New<NumbersOf<SYS_lseek>>(env, "lseek");
  exports["statusFlags"] = Napi::Function::New<StatusFlags>(env, "statusFlags");
}

}  // namespace kaio
