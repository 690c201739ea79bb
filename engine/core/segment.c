#include "core/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

static int last_error(void) { return uv_translate_sys_error(errno); }

/* --- files without a name --- */

#ifdef F_ADD_SEALS

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* since Linux 5.1; headers may be older than the system */
#endif

static int open_file(uint64_t id) {
    (void)id;
    return memfd_create("neap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int fix_size(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW); }

static bool has_fixed_size(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && seals & F_SEAL_SHRINK;
}

static bool is_writable(int fd) { return (fcntl(fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0; }

static int forbid_writing(int fd) {
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0) return 0;
    return errno == EINVAL ? 0 : last_error(); /* an older system, which protects our own mapping only */
}

#else /* no seals: a name that is gone at once, and good faith */

static int open_file(uint64_t id) {
    char name[32];
    snprintf(name, sizeof name, "/neap-%016llx", (unsigned long long)id);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) shm_unlink(name);
    return fd;
}

static int fix_size(int fd) {
    (void)fd;
    return 0;
}

static bool has_fixed_size(int fd) {
    (void)fd;
    return true;
}

static bool is_writable(int fd) {
    (void)fd;
    return true;
}

static int forbid_writing(int fd) {
    (void)fd;
    return 0;
}

#endif

/* --- segments --- */

/* Maps `fd`, which is the segment's from then on. */
static int map(int fd, size_t size, uint64_t id, bool writable, struct neap_segment **segment) {
    struct neap_segment *made = neap_alloc(sizeof *made);
    if (made == NULL) return NEAP_NOMEM;
    made->base = neap_map_file(fd, size, writable);
    if (made->base == NULL) {
        neap_free(made);
        return NEAP_NOMEM;
    }
    made->size = size;
    made->id = id;
    made->fd = fd;
    atomic_init(&made->refs, 1);
    atomic_init(&made->writers, 0);
    atomic_init(&made->is_sealed, !writable);
    *segment = made;
    return 0;
}

/* Would the system promise it, and kill somebody when it is used? */
static bool is_too_much(size_t size) {
    if (size < (size_t)64 << 20) return false;
    long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 && size / (size_t)sysconf(_SC_PAGESIZE) >= (size_t)pages;
}

int neap_segment_new(size_t size, struct neap_segment **segment) {
    NEAP_ASSERT(size > 0, "a segment has at least one byte");
    if (is_too_much(size)) return NEAP_NOMEM;
    uint64_t id;
    int code = uv_random(NULL, NULL, &id, sizeof id, 0, NULL);
    if (code < 0) return code;
    int fd = open_file(id);
    if (fd < 0) return last_error();
    code = ftruncate(fd, (off_t)size) < 0 || fix_size(fd) < 0 ? last_error() : map(fd, size, id, true, segment);
    if (code < 0) close(fd);
    return code;
}

int neap_segment_from_fd(int fd, uint64_t id, struct neap_segment **segment) {
    struct stat file;
    if (fstat(fd, &file) < 0) return last_error();
    if (!S_ISREG(file.st_mode) || file.st_size <= 0 || !has_fixed_size(fd)) return UV_EINVAL;
    return map(fd, (size_t)file.st_size, id, is_writable(fd), segment);
}

void neap_segment_detach(struct neap_segment *segment) {
    if (segment->fd >= 0) close(segment->fd);
    segment->fd = -1;
}

struct neap_segment *neap_segment_ref(struct neap_segment *segment) {
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
    return segment;
}

void neap_segment_unref(struct neap_segment *segment) {
    /* the last one sees what all others did before they let go */
    if (atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) != 1) return;
    neap_unmap(segment->base, segment->size);
    neap_segment_detach(segment);
    neap_free(segment);
}

int neap_segment_seal(struct neap_segment *segment) {
    if (neap_segment_is_sealed(segment)) return 0;
    int code = forbid_writing(segment->fd);
    if (code < 0) return code;
    if (mprotect(segment->base, segment->size, PROT_READ) < 0) return last_error();
    atomic_store_explicit(&segment->is_sealed, true, memory_order_release);
    return 0;
}
