/* file: an open file, read and written at a place of its own, on the loop of one thread. */
#ifndef NEAP_IO_FILE_H
#define NEAP_IO_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/list.h"
#include "core/object.h"
#include "io/inbox.h"

/* Operations of a link. TURN: until no other operation is under way; then it is one's own. */
enum neap_file_op { NEAP_FILE_TURN };

/* While an operation is under way in the pool its offload keeps a reference, so that the descriptor stays. */
struct neap_file {
    struct neap_object object;       /* first; local for good: used by the loop's thread only, but for fd */
    struct neap_list turns;          /* links with TURN */
    struct neap_inbox inbox;         /* read ahead, and not taken */
    off_t place;                     /* of the next byte to be read into the inbox, or written; -1: it has no places */
    int fd;                          /* owned; -1 once closed */
    bool busy;                       /* an operation is under way */
    bool closes;                     /* it is closed as soon as that has ended */
    const struct neap_list *waiting; /* who waits for that, where the pool does it; else NULL */
    bool appends;                    /* what is written goes to the end, wherever that is */
};

extern const struct neap_class neap_file_class;

/* One reference; owns `fd` on success. NULL: no memory. */
struct neap_file *neap_file_new(int fd, bool appends);
/* May it be closed? Not while somebody has the turn, or waits for it. */
bool neap_file_is_free(const struct neap_file *file);
/* Of one that is free. An operation that was begun, and that nobody waits for any more, goes on, and 0 is returned: the
 * descriptor is closed when it has ended. */
int neap_file_close(struct neap_file *file);
bool neap_file_is_closed(const struct neap_file *file);
bool neap_file_begin(struct neap_file *file);
void neap_file_end(struct neap_file *file);

#endif
