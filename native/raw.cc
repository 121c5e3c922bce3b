// kaio/raw: the system calls one to one. Addresses and contexts are bigints; a failing call answers a negated errno.
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <vector>

#include "arguments.h"
#include "module.h"
#include "ring.h"

namespace kaio {
namespace {

using Napi::BigInt;
using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

Value answer(Napi::Env env, long result) { return Number::New(env, result < 0 ? -errno : static_cast<double>(result)); }

// The contexts of kaio/raw that are alive in this process, and whose they are: readRing follows no other address, and
// an environment that ends destroys no number that is another's since. The lock is held while a ring is read.
struct Living {
  std::mutex mutex;
  std::map<aio_context_t, const Module*> contexts;
};

Living& living() {
  // Never destructed: a worker may still end while the process runs its static destructors.
  static Living* const instance = new Living;
  return *instance;
}

Value IoSetup(const CallbackInfo& info) {
  Arguments args(info);
  const unsigned nr = args.word32(0);
  aio_context_t own = 0;
  auto* ctxp = args.given(1) ? static_cast<aio_context_t*>(args.address(1)) : &own;
  if (args.failed()) return Value();
  const long result = io_setup(nr, ctxp);
  if (result < 0) return answer(info.Env(), result);
  const aio_context_t ctx = *ctxp;
  const std::lock_guard<std::mutex> lock(living().mutex);
  living().contexts[ctx] = Module::of(info.Env());
  return BigInt::New(info.Env(), static_cast<uint64_t>(ctx));
}

Value IoDestroy(const CallbackInfo& info) {
  Arguments args(info);
  const aio_context_t ctx = args.word(0);
  if (args.failed()) return Value();
  {
    const std::lock_guard<std::mutex> lock(living().mutex);
    living().contexts.erase(ctx);
  }
  return answer(info.Env(), io_destroy(ctx));
}

Value IoSubmit(const CallbackInfo& info) {
  Arguments args(info);
  const aio_context_t ctx = args.word(0);
  const int64_t nr = args.integer(1);
  void* iocbpp = args.address(2);
  if (args.failed()) return Value();
  return answer(info.Env(), io_submit(ctx, nr, iocbpp));
}

// io_getevents, and with a sixth argument io_pgetevents.
Value IoGetevents(const CallbackInfo& info) {
  Arguments args(info);
  const aio_context_t ctx = args.word(0);
  const int64_t min = args.integer(1), nr = args.integer(2);
  void *events = args.address(3), *timeout = args.address(4);
  void* usig = args.given(5) ? args.address(5) : nullptr;
  if (args.failed()) return Value();
  return answer(info.Env(), args.given(5) ? io_pgetevents(ctx, min, nr, events, timeout, usig)
                                          : io_getevents(ctx, min, nr, events, timeout));
}

Value IoCancel(const CallbackInfo& info) {
  Arguments args(info);
  const aio_context_t ctx = args.word(0);
  void *iocb = args.address(1), *result = args.address(2);
  if (args.failed()) return Value();
  return answer(info.Env(), io_cancel(ctx, iocb, result));
}

Value Eventfd(const CallbackInfo& info) {
  Arguments args(info);
  const unsigned initval = args.word32(0);
  const int flags = args.int32(1);
  if (args.failed()) return Value();
  return answer(info.Env(), eventfd(initval, flags));
}

// The header of the ring of a context that is alive here, and what is in it; undefined for any other number.
Value ReadRing(const CallbackInfo& info) {
  Arguments args(info);
  const aio_context_t ctx = args.word(0);
  if (args.failed()) return Value();
  aio_ring header = {};
  {
    const std::lock_guard<std::mutex> lock(living().mutex);
    if (living().contexts.count(ctx) == 0) return info.Env().Undefined();
    memcpy(&header, reinterpret_cast<const void*>(ctx), sizeof(header));
  }
  auto object = Napi::Object::New(info.Env());
  object["id"] = Number::New(info.Env(), header.id);
  object["nr"] = Number::New(info.Env(), header.nr);
  object["head"] = Number::New(info.Env(), header.head);
  object["tail"] = Number::New(info.Env(), header.tail);
  object["magic"] = Number::New(info.Env(), header.magic);
  object["compat_features"] = Number::New(info.Env(), header.compat_features);
  object["incompat_features"] = Number::New(info.Env(), header.incompat_features);
  object["header_length"] = Number::New(info.Env(), header.header_length);
  return object;
}

Value AddressOf(const CallbackInfo& info) {
  const Value view = info[0];
  void* data = nullptr;
  if (view.IsArrayBuffer()) {
    data = view.As<Napi::ArrayBuffer>().Data();
  } else if (view.IsDataView()) {
    napi_get_dataview_info(info.Env(), view, nullptr, &data, nullptr, nullptr);
  } else if (view.IsTypedArray()) {
    napi_get_typedarray_info(info.Env(), view, nullptr, nullptr, &data, nullptr, nullptr);
  } else {
    napi_throw_type_error(info.Env(), "ERR_INVALID_ARG_TYPE", "addressOf takes an ArrayBuffer or a view of one");
    return Value();
  }
  return BigInt::New(info.Env(), reinterpret_cast<uint64_t>(data));
}

// madvise(2) on whole pages of a buffer.
Value Madvise(const CallbackInfo& info) {
  Arguments args(info);
  const int advice = args.int32(1);
  if (args.failed()) return Value();
  if (!info[0].IsArrayBuffer()) {
    napi_throw_type_error(info.Env(), "ERR_INVALID_ARG_TYPE", "madvise takes an ArrayBuffer");
    return Value();
  }
  auto buffer = info[0].As<Napi::ArrayBuffer>();
  return answer(info.Env(), madvise(buffer.Data(), buffer.ByteLength(), advice));
}

// Makes nothing: EFAULT, for want of parameters, where the process may use io_uring.
Value IoUringSetup(const CallbackInfo& info) { return answer(info.Env(), syscall(SYS_io_uring_setup, 0, nullptr)); }

}  // namespace

void Module::destroyRawContexts() {
  std::vector<aio_context_t> own;
  {
    const std::lock_guard<std::mutex> lock(living().mutex);
    for (const auto& [ctx, owner] : living().contexts)
      if (owner == this) own.push_back(ctx);
    for (const aio_context_t ctx : own) living().contexts.erase(ctx);
  }
  for (const aio_context_t ctx : own) io_destroy(ctx);
}

void exportRaw(Napi::Env env, Napi::Object exports) {
  exports["io_setup"] = Napi::Function::New<IoSetup>(env, "io_setup");
  exports["io_destroy"] = Napi::Function::New<IoDestroy>(env, "io_destroy");
  exports["io_submit"] = Napi::Function::New<IoSubmit>(env, "io_submit");
  exports["io_getevents"] = Napi::Function::New<IoGetevents>(env, "io_getevents");
  exports["io_pgetevents"] = Napi::Function::New<IoGetevents>(env, "io_pgetevents");
  exports["io_cancel"] = Napi::Function::New<IoCancel>(env, "io_cancel");
  exports["eventfd"] = Napi::Function::New<Eventfd>(env, "eventfd");
  exports["readRing"] = Napi::Function::New<ReadRing>(env, "readRing");
  exports["addressOf"] = Napi::Function::New<AddressOf>(env, "addressOf");
  exports["madvise"] = Napi::Function::New<Madvise>(env, "madvise");
  exports["io_uring_setup"] = Napi::Function::New<IoUringSetup>(env, "io_uring_setup");
  exports["MADV_DONTFORK"] = Number::New(env, MADV_DONTFORK);
  exports["MADV_HUGEPAGE"] = Number::New(env, MADV_HUGEPAGE);
}

}  // namespace kaio
