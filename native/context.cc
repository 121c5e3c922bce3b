// A context as the engine uses it: the calls of the hot path as plain functions with a data pointer (ObjectWrap methods
// cost four times as much), the watcher that wakes the loop, and an end that never unmaps memory the kernel may still
// write to.
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <initializer_list>

#include "arguments.h"
#include "module.h"
#include "offload.h"
#include "ring.h"

namespace kaio {
namespace {

// Owned by the environment until it is destroyed, and by each JavaScript function that points to it.
class Context {
 public:
  napi_env env = nullptr;
  aio_context_t ctx = 0;
  int eventfd = -1;
  uint8_t* control = nullptr;
  uint32_t depth = 0;
  uint32_t wakeMost = 0;
  uint32_t pointersAt = 0;
  uint32_t eventsAt = 0;
  uint32_t reportAt = 0;
  bool useRing = true;
  bool destroyAtExit = true;
  Offload* offload = nullptr;

  uv_poll_t poll;
  uv_async_t destroyed;
  uv_thread_t destroyer;
  bool hasDestroyer = false;
  unsigned openHandles = 1;
  bool destroying = false;
  napi_async_cleanup_hook_handle hook = nullptr;

  // The control memory, the data pool and the callbacks stay alive until io_destroy has returned.
  napi_ref controlRef = nullptr;
  napi_ref poolRef = nullptr;
  napi_ref wakeRef = nullptr;
  napi_ref destroyedRef = nullptr;
  napi_async_context asyncContext = nullptr;

  void retain() { references_++; }
  void release() {
    if (--references_ == 0) delete this;
  }

  uint64_t* pointers() { return reinterpret_cast<uint64_t*>(control + pointersAt); }
  struct io_event* events() { return reinterpret_cast<struct io_event*>(control + eventsAt); }
  int32_t* report() { return reinterpret_cast<int32_t*>(control + reportAt); }
  aio_ring* ring() { return reinterpret_cast<aio_ring*>(ctx); }

  int reapEvents(uint32_t max) {
    long count;
    if (useRing) {
      count = reap(ring(), events(), max);
    } else {
      const struct timespec now = {};
      count = io_getevents(ctx, 0, max, events(), &now);
      // A signal is no reason to leave what the threads were refused: the eventfd that tells of it has been read.
      if (count < 0 && errno != EINTR) return -errno;
      if (count < 0) count = 0;
    }
    return static_cast<int>(count + offload->takeRefused(events() + count, max - static_cast<uint32_t>(count)));
  }

 private:
  unsigned references_ = 1;
};

// Calls into JavaScript from the event loop. What it throws becomes an uncaught exception, as from any other callback.
void call(Context* context, napi_ref function, std::initializer_list<napi_value> arguments) {
  napi_env env = context->env;
  napi_value callback, global;
  if (napi_get_reference_value(env, function, &callback) != napi_ok || callback == nullptr) return;
  napi_get_global(env, &global);
  napi_make_callback(env, context->asyncContext, global, callback, arguments.size(), arguments.begin(), nullptr);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

// Completions come in pieces: Node runs the microtasks and the ticks of each before the next, so that what the first
// callbacks ask for is with the kernel while the last are still to be called.
void onReadable(uv_poll_t* poll, int, int) {
  auto* context = static_cast<Context*>(poll->data);
  // The counter is cleared before the ring is read. Until then there were at most `depth` events; one that comes later
  // signals again, or is looked for, and is for the next turn of the loop.
  uint64_t signals;
  if (read(context->eventfd, &signals, sizeof(signals)) < 0) signals = 0;
  for (uint32_t taken = 0; taken < context->depth; taken += context->wakeMost) {
    // What the last piece called may have ended the context, and its ring is gone.
    if (context->destroying) return;
    const int count = context->reapEvents(context->wakeMost);
    if (count == 0) return;
    const Napi::HandleScope scope(context->env);
    call(context, context->wakeRef,
         {Napi::Number::New(context->env, count), Napi::Boolean::New(context->env, taken == 0)});
    if (count < static_cast<int>(context->wakeMost)) return;
  }
}

void onHandleClosed(uv_handle_t* handle) {
  auto* context = static_cast<Context*>(handle->data);
  if (--context->openHandles > 0) return;
  close(context->eventfd);
  delete context->offload;
  {
    const Napi::HandleScope scope(context->env);
    if (context->destroyedRef != nullptr) call(context, context->destroyedRef, {});
    // A reference that is not there is refused, and nothing else.
    for (napi_ref reference : {context->controlRef, context->poolRef, context->wakeRef, context->destroyedRef}) {
      napi_delete_reference(context->env, reference);
    }
    napi_async_destroy(context->env, context->asyncContext);
  }
  // Only now: the environment waits for this, and with it the memory.
  napi_remove_async_cleanup_hook(context->hook);
  context->release();
}

void destroyContext(void* data) {
  auto* context = static_cast<Context*>(data);
  context->offload->stop();
  if (context->destroyAtExit) io_destroy(context->ctx);
  uv_async_send(&context->destroyed);
}

// io_destroy takes about 30 ms on an idle context and waits for everything in flight on a busy one: a thread does it.
void beginDestroy(Context* context) {
  context->destroying = true;
  uv_poll_stop(&context->poll);
  uv_async_init(context->poll.loop, &context->destroyed, [](uv_async_t* async) {
    auto* ended = static_cast<Context*>(async->data);
    if (ended->hasDestroyer) uv_thread_join(&ended->destroyer);
    uv_close(reinterpret_cast<uv_handle_t*>(&ended->poll), onHandleClosed);
    uv_close(reinterpret_cast<uv_handle_t*>(&ended->destroyed), onHandleClosed);
  });
  context->destroyed.data = context;
  context->openHandles++;
  context->hasDestroyer = uv_thread_create(&context->destroyer, destroyContext, context) == 0;
  // Without a thread to wait on, wait here.
  if (!context->hasDestroyer) destroyContext(context);
}

// The environment ends. The kernel may be writing into memory that ends with it, so it waits for us (an ordinary
// clean-up hook cannot make it wait for the handles to close, and crashes a worker that ends with requests in flight).
void onEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  auto* context = static_cast<Context*>(data);
  if (context->destroying) {
    // close() is under way: its result has no reader any more.
    if (context->destroyedRef != nullptr) napi_delete_reference(context->env, context->destroyedRef);
    context->destroyedRef = nullptr;
    return;
  }
  beginDestroy(context);
}

template <size_t N>
Context* arguments(napi_env env, napi_callback_info info, int32_t (&values)[N]) {
  napi_value argv[N];
  size_t argc = N;
  void* data = nullptr;
  napi_get_cb_info(env, info, &argc, argv, nullptr, &data);
  for (size_t i = 0; i < N; i++) {
    values[i] = -1;
    napi_get_value_int32(env, argv[i], &values[i]);
  }
  return static_cast<Context*>(data);
}

Context* contextOf(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  return static_cast<Context*>(data);
}

napi_value number(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int32(env, static_cast<int32_t>(value), &result);
  return result;
}

bool within(const Context* context, int32_t first, int32_t count) {
  return first >= 0 && count >= 0 && static_cast<uint32_t>(first) + static_cast<uint32_t>(count) <= context->depth;
}

// submit(first, count, most): entries of the pointer array; if the kernel takes them all, up to `most` events are
// reaped. The report: how many it took or a negated errno, how many events there are, and the microseconds it took.
napi_value Submit(napi_env env, napi_callback_info info) {
  int32_t values[3];
  Context* context = arguments(env, info, values);
  int32_t* report = context->report();
  report[0] = -EINVAL;
  report[1] = report[2] = 0;
  if (context->destroying || !within(context, values[0], values[1]) || !within(context, 0, values[2])) return nullptr;
  const uint64_t begun = uv_hrtime();
  const long result = io_submit(context->ctx, values[1], context->pointers() + values[0]);
  report[0] = static_cast<int32_t>(result < 0 ? -errno : result);
  report[2] = static_cast<int32_t>((uv_hrtime() - begun + 500) / 1000);
  if (result == values[1]) report[1] = context->reapEvents(static_cast<uint32_t>(values[2]));
  return nullptr;
}

// offload(first, count): the same entries, one io_submit call each, on another thread. 0 or a negated errno.
napi_value OffloadSubmit(napi_env env, napi_callback_info info) {
  int32_t values[2];
  Context* context = arguments(env, info, values);
  if (context->destroying || !within(context, values[0], values[1])) return number(env, -EINVAL);
  Job job;
  for (int32_t i = values[0]; i < values[0] + values[1]; i++) {
    const uint64_t pointer = context->pointers()[i];
    job.push_back({pointer, reinterpret_cast<const struct iocb*>(pointer)->aio_data});
  }
  return number(env, context->offload->enqueue(std::move(job)));
}

// reap(): copies what has completed into the events of the control memory. How many, or a negated errno.
napi_value Reap(napi_env env, napi_callback_info info) {
  Context* context = contextOf(env, info);
  return number(env, context->destroying ? 0 : context->reapEvents(context->depth));
}

// cancel(index): io_cancel of the iocb at this entry of the pointer array. 0 or a negated errno.
napi_value Cancel(napi_env env, napi_callback_info info) {
  int32_t values[1];
  Context* context = arguments(env, info, values);
  if (context->destroying || !within(context, values[0], 1)) return number(env, -EINVAL);
  struct io_event unused;
  const long result = io_cancel(context->ctx, reinterpret_cast<void*>(context->pointers()[values[0]]), &unused);
  return number(env, result < 0 ? -errno : 0);
}

// sleeps(): how often this thread has given up its processor to wait (getrusage(2), ru_nvcsw): did io_submit wait, or
// was it preempted?
napi_value Sleeps(napi_env env, napi_callback_info) {
  struct rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return number(env, usage.ru_nvcsw & 0x7fffffff);
}

template <void (*Change)(uv_handle_t*)>
napi_value KeepAlive(napi_env env, napi_callback_info info) {
  Change(reinterpret_cast<uv_handle_t*>(&contextOf(env, info)->poll));
  return nullptr;
}

// destroy(callback): waits off-thread for the jobs and for io_destroy, then calls back. Once.
napi_value Destroy(napi_env env, napi_callback_info info) {
  napi_value callback;
  size_t argc = 1;
  void* data = nullptr;
  napi_get_cb_info(env, info, &argc, &callback, nullptr, &data);
  auto* context = static_cast<Context*>(data);
  if (context->destroying) return nullptr;
  napi_create_reference(env, callback, 1, &context->destroyedRef);
  context->destroyAtExit = true;
  beginDestroy(context);
  return nullptr;
}

void releaseFunction(napi_env, void* data, void*) { static_cast<Context*>(data)->release(); }

void addFunction(Context* context, napi_value object, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(context->env, name, NAPI_AUTO_LENGTH, callback, context, &function);
  context->retain();
  napi_add_finalizer(context->env, function, context, releaseFunction, nullptr, nullptr);
  napi_set_named_property(context->env, object, name, function);
}

Napi::Value failure(Napi::Env env, const char* name, int error) {
  auto object = Napi::Object::New(env);
  object["syscall"] = name;
  object["errno"] = Napi::Number::New(env, -error);
  return object;
}

Napi::Value exportFunctions(Napi::Env env, Context* context) {
  auto object = Napi::Object::New(env);
  object["eventfd"] = Napi::Number::New(env, context->eventfd);
  addFunction(context, object, "submit", Submit);
  addFunction(context, object, "offload", OffloadSubmit);
  addFunction(context, object, "reap", Reap);
  addFunction(context, object, "cancel", Cancel);
  addFunction(context, object, "sleeps", Sleeps);
  addFunction(context, object, "ref", KeepAlive<uv_ref>);
  addFunction(context, object, "unref", KeepAlive<uv_unref>);
  addFunction(context, object, "destroy", Destroy);
  return object;
}

napi_ref reference(napi_env env, napi_value value) {
  napi_ref result;
  napi_create_reference(env, value, 1, &result);
  return result;
}

// The watcher keeps nothing alive until the engine says so: an idle program exits.
void watch(Context* context, Napi::Env env, const Napi::CallbackInfo& info) {
  context->env = env;
  context->controlRef = reference(env, info[0]);
  context->poolRef = reference(env, info[1]);
  context->wakeRef = reference(env, info[10]);
  napi_async_init(env, nullptr, Napi::String::New(env, "AIOCONTEXT"), &context->asyncContext);
  context->poll.data = context;
  uv_poll_start(&context->poll, UV_READABLE, onReadable);
  uv_unref(reinterpret_cast<uv_handle_t*>(&context->poll));
  napi_add_async_cleanup_hook(env, onEnvironmentEnd, context, &context->hook);
}

// createContext(control, pool, depth, pointersAt, eventsAt, reportAt, useRing, maxThreads, destroyAtExit, wakeMost,
// onWake): answers with the functions above, or with { syscall, errno }.
Napi::Value CreateContext(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments args(info);
  const int64_t depth = args.integer(2), pointersAt = args.integer(3), eventsAt = args.integer(4),
                reportAt = args.integer(5), maxThreads = args.integer(7), wakeMost = args.integer(9);
  if (args.failed()) return Napi::Value();
  const bool typed = info[0].IsArrayBuffer() && info[1].IsArrayBuffer() && info[6].IsBoolean() && info[8].IsBoolean() &&
                     info[10].IsFunction();
  const int64_t bytes = typed ? static_cast<int64_t>(info[0].As<Napi::ArrayBuffer>().ByteLength()) : 0;
  if (!typed || depth < 1 || depth > 0xffff || maxThreads < 1 || wakeMost < 1 || pointersAt < 0 ||
      pointersAt % 8 != 0 || eventsAt < 0 || eventsAt % 8 != 0 || pointersAt + depth * 8 > bytes ||
      eventsAt + depth * 32 > bytes || reportAt < 0 || reportAt % 4 != 0 || reportAt + 12 > bytes) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "createContext: these arguments do not fit each other");
    return Napi::Value();
  }
  aio_context_t ctx = 0;
  if (io_setup(static_cast<unsigned>(depth), &ctx) < 0) return failure(env, "io_setup", errno);
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    io_destroy(ctx);
    return failure(env, "eventfd", error);
  }
  auto* context = new Context;
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  const int watched = uv_poll_init(loop, &context->poll, fd);
  if (watched < 0) {
    context->release();
    close(fd);
    io_destroy(ctx);
    return failure(env, "epoll_ctl", -watched);
  }
  context->ctx = ctx;
  context->eventfd = fd;
  context->control = static_cast<uint8_t*>(info[0].As<Napi::ArrayBuffer>().Data());
  context->depth = static_cast<uint32_t>(depth);
  context->wakeMost = static_cast<uint32_t>(wakeMost < depth ? wakeMost : depth);
  context->pointersAt = static_cast<uint32_t>(pointersAt);
  context->eventsAt = static_cast<uint32_t>(eventsAt);
  context->reportAt = static_cast<uint32_t>(reportAt);
  context->useRing = info[6].As<Napi::Boolean>().Value() && readable(context->ring());
  context->destroyAtExit = info[8].As<Napi::Boolean>().Value();
  context->offload = new Offload(ctx, fd, static_cast<unsigned>(maxThreads));
  watch(context, env, info);
  return exportFunctions(env, context);
}

}  // namespace

void exportContext(Napi::Env env, Napi::Object exports) {
  exports["createContext"] = Napi::Function::New<CreateContext>(env, "createContext");
}

}  // namespace kaio
