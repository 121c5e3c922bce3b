// Threads of our own for io_submit calls that would hold the event loop. Not libuv's pool: a blocked job there would
// starve fs, dns and crypto, and process.exit would wait for every job that is queued.
#pragma once

#include <linux/aio_abi.h>
#include <uv.h>

#include <list>

namespace kaio {

// One iocb to submit. What identifies it is copied here first: once the kernel has it, its completion can be reaped and
// its slot packed anew before io_submit has returned, so a thread never looks at an iocb that it has submitted.
struct Submission {
  uint64_t iocb;
  uint64_t data;
};

// Lists, for what vectors and deques of GCC 12 need of libstdc++ is newer than what Node itself asks for.
using Job = std::list<Submission>;

class Offload {
 public:
  Offload(aio_context_t ctx, int eventfd, unsigned maxThreads);
  ~Offload();
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  // Submits one after another on some thread. Returns 0 or a negated errno if there is no thread for it at all.
  int enqueue(Job job);

  // Events of requests that io_submit refused, as the kernel writes them but with res2 = 1. Returns how many.
  unsigned takeRefused(struct io_event* out, unsigned max);

  // Drops the jobs that no thread has begun and waits for the io_submit calls that are under way.
  void stop();

 private:
  static void run(void* self);
  void work();
  void submit(const Submission& submission);

  const aio_context_t ctx_;
  const int eventfd_;
  const unsigned maxThreads_;
  uv_mutex_t mutex_;
  uv_cond_t changed_;
  std::list<uv_thread_t> threads_;
  std::list<Job> jobs_;
  std::list<struct io_event> refused_;
  unsigned idle_ = 0;
  bool stopping_ = false;
};

}  // namespace kaio
