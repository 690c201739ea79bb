/* large: the frames of a wire that are too large for its rings travel in files in memory, beside them. One for each wire. The essay is in
 * large.c. */
#ifndef NEAP_HOST_LARGE_H
#define NEAP_HOST_LARGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    NEAP_LARGE_FILES = 3,       /* that are kept for large frames, in each direction */
    NEAP_LARGE_MAX = 0x7FFFFFFF /* bytes of a frame */
};

/* Which of the files both sides know are in use: shared memory, zeroed to begin with. */
typedef _Atomic uint32_t neap_large_flags[NEAP_LARGE_FILES];

/* What is said in the ring in the frame's place. */
struct neap_large_note {
    uint64_t size; /* bytes of the file that are the frame's */
    uint32_t file; /* its number; NEAP_LARGE_FILES: it is not used again */
    uint32_t zero;
};

/* A file that large frames travel in, one after the other. */
struct neap_large_file {
    int fd;             /* owned; -1: there is none yet. Of who has claimed it; of those that come: the reader's */
    _Atomic bool taken; /* of ours: a thread is about to send in it. Acquire, release */
};

struct neap_large {
    struct neap_large_file sent[NEAP_LARGE_FILES], received[NEAP_LARGE_FILES];
    _Atomic uint32_t *ours, *theirs; /* flags: of what is sent, of what is received. Constant */
};

/* A frame on its way out. */
struct neap_large_frame {
    struct neap_large_note note; /* to be sent */
    int fd;                      /* of the file */
    bool passes;                 /* the other side does not have it yet: it goes along with the note */
};

void neap_large_init(struct neap_large *large, neap_large_flags *ours, neap_large_flags *theirs);
void neap_large_fini(struct neap_large *large);

/* Any thread: writes a frame of `size` bytes, at most NEAP_LARGE_MAX. On success neap_large_settle is owed. 0, NEAP_NOMEM, or what the
 * system said. */
int neap_large_write(struct neap_large *large, const struct iovec *pieces, unsigned count, size_t size,
                     struct neap_large_frame *frame);
/* The frame has been sent, or nobody will ever hear of it. */
void neap_large_settle(struct neap_large *large, const struct neap_large_frame *frame, bool sent);

/* One reader at a time. Finds the file of a note that came: `*fd`. Those that are not known were passed: they are the first descriptor
 * that came with the note, `passed`, or NULL when none did. False: the note makes no sense. */
bool neap_large_find(const struct neap_large *large, const struct neap_large_note *note, const int *passed, int *fd);
/* Reads it to `bytes`, where there is room for note->size. A file that is passed stays the caller's, unless it is kept: then
 * `*passed` is -1 afterwards. 0, UV_EMFILE, or UV_EPROTO. */
int neap_large_read(struct neap_large *large, const struct neap_large_note *note, int fd, int *passed, char *bytes);

#endif
