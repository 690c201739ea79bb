/* processes: two or three processes in one: each side has a session of its own, over a real wire. */
#ifndef NEAP_SPEC_PROCESSES_H
#define NEAP_SPEC_PROCESSES_H

#include "support.h"

#include "host/packer.h"
#include "host/proxy.h"
#include "host/session.h"
#include "host/wire.h"
#include "sync/channel.h"

enum { LINKS = 2 }; /* home - away, away - farther */

extern struct neap_wire *wires[LINKS][2];
extern struct neap_session *sessions[LINKS][2]; /* of each link: the upper end, the lower end */
extern struct actor a, b, c;

int make_processes(void **state);
int drop_processes(void **state);
#define PROCESSES_TEST(function) cmocka_unit_test_setup_teardown(function, make_processes, drop_processes)

/* All that is under way arrives. */
void deliver(void);
/* The process below link `i` is gone. */
void kill_link(int i);

/* `object` of the topmost process as the next one sees it, and the one below that; and back. */
void *away(void *object);
void *farther(void *object);
void *home(void *proxy);
/* `object` of the upper process of link 1 as the lower one sees it. With one of the topmost process, link 1 leads from
 * that to a second process below it. */
void *beside(void *object);

void unref(void *object);
struct neap_channel *new_channel(size_t capacity);

/* What becomes of `actor`, once everything has arrived. */
int after(struct actor *actor);
void send_now(struct actor *actor, void *channel, int64_t value);
/* The number that came. */
int64_t received(struct actor *actor);

#endif
