/* large: frames in files.
 *
 * MODEL       A frame is written to a file in memory, whose descriptor is sent: no room is taken in the ring, and neither side has to map
 *             it. A few files that are not too large are kept by both sides and used again, since new memory costs more than
 *             copying to it: then only the number of the file is sent. It is busy (a flag that both see) from when the sender begins
 *             to write until the reader has read. */
#include "host/large.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/error.h"

enum { FILE_MAX = 4 * 1024 * 1024 }; /* bytes of a frame whose file is kept */

void neap_large_init(struct neap_large *large, neap_large_flags *ours, neap_large_flags *theirs) {
    for (int i = 0; i < NEAP_LARGE_FILES; i++) {
        large->sent[i].fd = large->received[i].fd = -1;
        atomic_init(&large->sent[i].taken, false);
    }
    large->ours = *ours;
    large->theirs = *theirs;
}

void neap_large_fini(struct neap_large *large) {
    for (int i = 0; i < NEAP_LARGE_FILES; i++) {
        if (large->sent[i].fd >= 0) close(large->sent[i].fd);
        if (large->received[i].fd >= 0) close(large->received[i].fd);
    }
}

/* --- sending --- */

/* Writes the bytes of `pieces` to a file, from its beginning. 0, NEAP_NOMEM, or what the system said. */
static int write_file(int fd, const struct iovec *pieces, unsigned count) {
    off_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *bytes = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0;) {
            ssize_t written = pwrite(fd, bytes, left, at);
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return written < 0 && errno != ENOSPC ? -errno : NEAP_NOMEM;
            bytes += written;
            at += written;
            left -= (size_t)written;
        }
    }
    return 0;
}

static int open_file(void) {
    int fd = memfd_create("neap frame", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* A file that nobody uses, for this thread; NEAP_LARGE_FILES: there is none. */
static uint32_t claim_file(struct neap_large *large) {
    for (uint32_t i = 0; i < NEAP_LARGE_FILES; i++) {
        bool taken = false;
        if (!atomic_compare_exchange_strong_explicit(&large->sent[i].taken, &taken, true, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        if (atomic_load_explicit(&large->ours[i], memory_order_acquire) == 0) return i;
        atomic_store_explicit(&large->sent[i].taken, false, memory_order_release);
    }
    return NEAP_LARGE_FILES;
}

int neap_large_write(struct neap_large *large, const struct iovec *pieces, unsigned count, size_t size,
                     struct neap_large_frame *frame) {
    uint32_t number = size <= FILE_MAX ? claim_file(large) : NEAP_LARGE_FILES;
    bool is_kept = number < NEAP_LARGE_FILES;
    frame->note = (struct neap_large_note){.size = size, .file = number};
    frame->passes = !is_kept || large->sent[number].fd < 0;
    frame->fd = frame->passes ? open_file() : large->sent[number].fd;
    int code = frame->fd < 0 ? frame->fd : write_file(frame->fd, pieces, count);
    if (is_kept) atomic_store_explicit(&large->ours[number], 1, memory_order_relaxed);
    if (code != 0) neap_large_settle(large, frame, false);
    return code;
}

void neap_large_settle(struct neap_large *large, const struct neap_large_frame *frame, bool sent) {
    uint32_t number = frame->note.file;
    bool is_kept = number < NEAP_LARGE_FILES;
    if (frame->passes && frame->fd >= 0 && !(is_kept && sent)) close(frame->fd);
    if (!is_kept) return;
    if (sent)
        large->sent[number].fd = frame->fd;
    else
        atomic_store_explicit(&large->ours[number], 0, memory_order_relaxed);
    atomic_store_explicit(&large->sent[number].taken, false, memory_order_release);
}

/* --- receiving --- */

static bool is_regular(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

bool neap_large_find(const struct neap_large *large, const struct neap_large_note *note, const int *passed, int *fd) {
    if (note->size > NEAP_LARGE_MAX || note->file > NEAP_LARGE_FILES || note->zero != 0) return false;
    *fd = note->file < NEAP_LARGE_FILES ? large->received[note->file].fd : -1;
    if (*fd >= 0) return true;
    if (passed != NULL) *fd = *passed;
    return passed != NULL && (*fd < 0 || is_regular(*fd));
}

static int read_file(int fd, char *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t taken = pread(fd, bytes + at, size - at, (off_t)at);
        if (taken < 0 && errno == EINTR) continue;
        if (taken <= 0) return UV_EPROTO;
        at += (size_t)taken;
    }
    return 0;
}

int neap_large_read(struct neap_large *large, const struct neap_large_note *note, int fd, int *passed, char *bytes) {
    if (fd < 0) return UV_EMFILE;
    int code = read_file(fd, bytes, note->size);
    if (code != 0 || note->file == NEAP_LARGE_FILES) return code;
    if (large->received[note->file].fd < 0) {
        large->received[note->file].fd = fd;
        *passed = -1;
    }
    atomic_store_explicit(&large->theirs[note->file], 0, memory_order_release);
    return 0;
}
