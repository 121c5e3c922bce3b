// The completion ring that io_setup maps into the process at the address it calls the context. No exported header
// declares it: the layout is struct aio_ring of fs/aio.c, and its `magic` and `incompat_features` are there so that a
// reader can check it.
#pragma once

#include <string.h>

#include "syscalls.h"

namespace kaio {

struct aio_ring {
  unsigned id;
  unsigned nr;  // how many events fit, always more than were asked for
  unsigned head;
  unsigned tail;
  unsigned magic;
  unsigned compat_features;
  unsigned incompat_features;
  unsigned header_length;
  struct io_event events[];
};

static_assert(sizeof(aio_ring) == 32, "sizeof(struct aio_ring)");

constexpr unsigned AIO_RING_MAGIC = 0xa10a10a1;

inline bool readable(const aio_ring* ring) {
  return ring->magic == AIO_RING_MAGIC && ring->incompat_features == 0 && ring->header_length == sizeof(aio_ring);
}

// Moves up to `max` events out of the ring. The kernel writes the events before the tail (smp_wmb in aio_complete),
// hence the acquire; it reuses their places once it sees the new head, hence the release. Only one thread may reap a
// context this way.
inline unsigned reap(aio_ring* ring, struct io_event* out, unsigned max) {
  const unsigned nr = ring->nr;
  unsigned head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
  const unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  if (head >= nr || tail >= nr) return 0;
  unsigned count = 0;
  while (head != tail && count < max) {
    memcpy(&out[count++], &ring->events[head], sizeof(struct io_event));
    head = head + 1 == nr ? 0 : head + 1;
  }
  if (count) __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return count;
}

}  // namespace kaio
