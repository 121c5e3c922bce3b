// What a file needs and Node's fs does not offer. Calls that may wait for a disk run on libuv's pool, as fs itself does.
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#include "arguments.h"
#include "module.h"
#include "syscalls.h"

namespace kaio {
namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

// Runs one system call on the pool and settles a promise with what `describe` makes of it, or with the negated errno.
class Blocking : public Napi::AsyncWorker {
 public:
  explicit Blocking(Napi::Env env) : Napi::AsyncWorker(env, "kaio"), deferred_(env) {}

  Napi::Promise start() {
    auto promise = deferred_.Promise();
    Queue();
    return promise;
  }

 protected:
  virtual long call() = 0;
  virtual Value describe() { return Number::New(Env(), 0); }

 private:
  void Execute() override { error_ = call() < 0 ? errno : 0; }
  void OnOK() override { deferred_.Resolve(error_ ? Number::New(Env(), -error_) : describe()); }

  Napi::Promise::Deferred deferred_;
  int error_ = 0;
};

class Fallocate final : public Blocking {
 public:
  Fallocate(Napi::Env env, int fd, int mode, int64_t offset, int64_t length)
      : Blocking(env), fd_(fd), mode_(mode), offset_(offset), length_(length) {}

 private:
  long call() override { return syscall(SYS_fallocate, fd_, mode_, offset_, length_); }

  const int fd_, mode_;
  const int64_t offset_, length_;
};

class Statx final : public Blocking {
 public:
  Statx(Napi::Env env, int fd) : Blocking(env), fd_(fd) {}

 private:
  long call() override {
    return syscall(SYS_statx, fd_, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &stat_);
  }

  Value describe() override {
    auto object = Napi::Object::New(Env());
    object["mode"] = Number::New(Env(), stat_.stx_mode);
    object["size"] = Number::New(Env(), static_cast<double>(stat_.stx_size));
    object["blksize"] = Number::New(Env(), stat_.stx_blksize);
    object["dev_major"] = Number::New(Env(), stat_.stx_dev_major);
    object["dev_minor"] = Number::New(Env(), stat_.stx_dev_minor);
    object["ino"] = Napi::BigInt::New(Env(), static_cast<uint64_t>(stat_.stx_ino));
    const bool known = (stat_.stx_mask & STATX_DIOALIGN) != 0;
    object["dio_mem_align"] = known ? Number::New(Env(), stat_.stx_dio_mem_align) : Env().Undefined();
    object["dio_offset_align"] = known ? Number::New(Env(), stat_.stx_dio_offset_align) : Env().Undefined();
    return object;
  }

  const int fd_;
  struct statx stat_ = {};
};

// statx(2) of an open descriptor, with what it says of direct I/O (Linux 6.1 and newer).
Value StatxOf(const CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.int32(0);
  if (args.failed()) return Value();
  return (new Statx(info.Env(), fd))->start();
}

Value FallocateOf(const CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.int32(0), mode = args.int32(1);
  const int64_t offset = args.integer(2), length = args.integer(3);
  if (args.failed()) return Value();
  return (new Fallocate(info.Env(), fd, mode, offset, length))->start();
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
  exports["fallocate"] = Napi::Function::New<FallocateOf>(env, "fallocate");
  exports["statusFlags"] = Napi::Function::New<StatusFlags>(env, "statusFlags");
}

}  // namespace kaio
