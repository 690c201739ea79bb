/* bell: the socket of a wire, beside its rings. It carries no frames, but
 *   bells         a zero byte: look into your rings;
 *   descriptors   a byte that says how many, and with it (SCM_RIGHTS) so many; in the order of their frames;
 *   the end       which the system sends when a process dies, however. */
#ifndef NEAP_HOST_BELL_H
#define NEAP_HOST_BELL_H

#include <stdbool.h>
#include <stdint.h>

enum { NEAP_BELL_FDS_MAX = 32 /* descriptors that are sent at a time */ };

/* One end. All but the socket is the reader's. */
struct neap_bell {
    int socket;   /* owned; does not block. Constant */
    int *arrived; /* descriptors that came and are not forgotten yet, the oldest first. -1: there was no room. Owned */
    uint32_t arrived_count, arrived_room;
    bool hung_up; /* the other side's end has come */
};

/* Takes the socket over. */
void neap_bell_init(struct neap_bell *bell, int socket);
void neap_bell_fini(struct neap_bell *bell);

/* Any thread. Sends copies of so many descriptors, at least one. 0, or what the system said; UV_EAGAIN when the other
 * side has a lot to read there, UV_EMFILE when more of this user's are under way than a process may have open. */
int neap_bell_send(const struct neap_bell *bell, const int *fds, unsigned count);
/* Any thread. Where the socket is full the other side is going to look anyway; where it has ended there is nobody. */
void neap_bell_ring(const struct neap_bell *bell);
/* Any thread: both ends have ended. */
void neap_bell_end(const struct neap_bell *bell);

/* One reader at a time. Takes what the socket has to say, in one go. 0; UV_EAGAIN: nothing; NEAP_BROKEN: it has ended;
 * UV_EPROTO; NEAP_NOMEM. */
int neap_bell_hear(struct neap_bell *bell);
/* Sees that the first `count` descriptors, which were sent, are in `arrived`. 0, UV_EPROTO or NEAP_NOMEM. */
int neap_bell_await(struct neap_bell *bell, unsigned count);
/* They have been dealt with: who keeps one has put -1 in its place. */
void neap_bell_forget(struct neap_bell *bell, unsigned count);

#endif
