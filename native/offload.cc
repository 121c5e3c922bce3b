#include "offload.h"

#include <errno.h>

#include "syscalls.h"

namespace kaio {

Offload::Offload(aio_context_t ctx, int eventfd, unsigned maxThreads)
    : ctx_(ctx), eventfd_(eventfd), maxThreads_(maxThreads) {
  uv_mutex_init(&mutex_);
  uv_cond_init(&changed_);
}

Offload::~Offload() {
  uv_cond_destroy(&changed_);
  uv_mutex_destroy(&mutex_);
}

int Offload::enqueue(Job job) {
  uv_mutex_lock(&mutex_);
  int result = 0;
  if (jobs_.size() >= idle_ && threads_.size() < maxThreads_) {
    uv_thread_t thread;
    result = uv_thread_create(&thread, run, this);
    if (result == 0) threads_.push_back(thread);
  }
  // One thread is enough to get everything done, later.
  if (!threads_.empty()) {
    result = 0;
    jobs_.push_back(std::move(job));
    uv_cond_signal(&changed_);
  }
  uv_mutex_unlock(&mutex_);
  return result;
}

unsigned Offload::takeRefused(struct io_event* out, unsigned max) {
  uv_mutex_lock(&mutex_);
  unsigned count = 0;
  while (count < max && !refused_.empty()) {
    out[count++] = refused_.back();
    refused_.pop_back();
  }
  uv_mutex_unlock(&mutex_);
  return count;
}

void Offload::stop() {
  uv_mutex_lock(&mutex_);
  stopping_ = true;
  jobs_.clear();
  uv_cond_broadcast(&changed_);
  uv_mutex_unlock(&mutex_);
  for (uv_thread_t& thread : threads_) uv_thread_join(&thread);
  threads_.clear();
}

void Offload::run(void* self) {
  // Signals are for Node's own threads, but for 32 to 34, by which libc has every thread take part in setuid(2)
  // (nptl(7)). (The call itself: pthread_sigmask would ask for glibc 2.32.)
  const uint64_t most = ~(UINT64_C(7) << 31);
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &most, nullptr, sizeof(most));
  static_cast<Offload*>(self)->work();
}

void Offload::work() {
  uv_mutex_lock(&mutex_);
  for (;;) {
    while (jobs_.empty() && !stopping_) {
      idle_++;
      uv_cond_wait(&changed_, &mutex_);
      idle_--;
    }
    if (stopping_) break;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    for (const Submission& submission : job) {
      if (stopping_) break;
      uv_mutex_unlock(&mutex_);
      submit(submission);
      uv_mutex_lock(&mutex_);
    }
  }
  uv_mutex_unlock(&mutex_);
}

void Offload::submit(const Submission& submission) {
  uint64_t pointer = submission.iocb;
  if (io_submit(ctx_, 1, &pointer) == 1) return;
  const int error = errno;
  uv_mutex_lock(&mutex_);
  refused_.push_back({submission.data, submission.iocb, -error, 1});
  uv_mutex_unlock(&mutex_);
  const uint64_t one = 1;
  // The counter cannot overflow with at most `depth` requests, so this neither fails nor waits.
  const ssize_t written = write(eventfd_, &one, sizeof(one));
  static_cast<void>(written);
}

}  // namespace kaio
