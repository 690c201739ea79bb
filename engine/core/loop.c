/* loop: one turn after the other.
 *
 * A TURN     Collect the mailbox, run a bounded number of runnables, fire the deadlines that have passed, let libuv
 *            look at its descriptors. Bounded, so that a flood of messages starves neither timers nor I/O; a beat of
 *            the thread's pulse ends it too, so that slow runnables do not. Runnables run from a flat queue: waking a
 *            hundred thousand waits, or a chain of them, costs no C stack.
 * DUE        What a deadline has woken queues apart, and its queue and the other take turns, one runnable
 *            at a time. So a sleeper is not late because a hundred thousand others are ready before it, nor
 *            do many sleepers hold up these.
 * PASSING    A runnable that parks would go back to the loop for the next one to be run, and be run again when that has
 *            served it. It may let that one run on its own stack instead, and go on where it is, if it is its turn
 *            then: two switches less. Only high up on the stack, and one at a time: who runs so cannot do the same; so
 *            the stack stays bounded. It counts in the turn, which stays bounded too. Where that has not been paying
 *            off (a ring of tasks) it is tried now and then only.
 * LATE       Those that were interrupted because they ran too long wait apart. One of them at a time joins the run
 *            queue, in turn, behind all that has become ready meanwhile: so who waits briefly never waits for more than
 *            one that computes, however many of these there are, and they get on too.
 * IDLE       With nothing to run the loop spins while that has been paying off, then parks: on a futex when it has
 *            no libuv handles, in uv_run otherwise. Waking a parked thread costs 25-40 us on virtual machines, a
 *            spin that sees its message costs nothing; but a spin in vain takes a core from others. So the spin
 *            outlasts a wake-up, is halved each time it found nothing, and is tried again after a number of parks.
 *            That number doubles with every try in vain, until a post ends a spin or a short park: whom descriptors
 *            wake, and no other thread, does not spin. Before it spins, and meanwhile, it may do something useful.
 * LOOKING    A park looks at libuv's descriptors, and so does a spin before it begins. A turn that leaves nothing to be
 *            run leaves that to them, once: the system is asked once for what has come, and not first whether there is
 *            something. What a spin has found there may be what the loop is run for.
 * CLOCK      Deadlines are compared with a fresh clock, never with a cached one, and never fire early. A park until a
 *            deadline more than two milliseconds away, or of one sleeper among many, is rounded up to a whole
 *            millisecond, so that they share a wake-up.
 * STUCK      See COUNTING in mailbox.c. The last loop that parks looks once more whether it is done: who makes that
 *            true from another thread may have left the count already, and not have come to notify us yet. */
#include "core/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/guest.h"
#include "core/memory.h"

enum {
    UV_DESCRIPTORS = 8, /* at most, that making a loop of libuv takes */
    RUNS_PER_TURN = 256,
    SPIN_MAX_NS = 60000,       /* outlasts a wake-up */
    SPIN_MIN_NS = 2000,        /* below this it is not tried */
    PROBE_MIN = 32,            /* after so many parks without spinning, try again, at first */
    PROBE_MAX = 4096,          /* and at last */
    SOON_NS = 4 * SPIN_MAX_NS, /* a park that a post ends within that time is a short one: both sides had to wake up */
    CROWD = 64,                /* deadlines: so many that a millisecond has several */
    PAUSES_PER_LOOK = 16,      /* between two looks at the clock */
    SHALLOW = 16 * 1024,       /* bytes of stack; see PASSING */
    TRUST_MAX = 4,             /* passes in vain before there are no more; see PASSING */
    UNPASSED_PER_PROBE = 64    /* then, try again after so many that were not tried */
};

_Thread_local struct neap_loop *neap_loop_here;

void neap_loop_init_over(struct neap_loop *loop, struct neap_mailbox *mailbox, void (*stuck)(struct neap_loop *)) {
    loop->mailbox = mailbox;
    loop->ready.first = loop->due.first = loop->late.first = loop->recalled = NULL;
    loop->was_due = loop->passing = loop->owes_look = false;
    loop->left = 0;
    loop->frame = (struct neap_loop_frame){.floor = NULL};
    loop->trust = TRUST_MAX;
    loop->unpassed = 0;
    neap_timers_init(&loop->timers);
    loop->now = neap_clock_now();
    loop->spin_ns = SPIN_MAX_NS;
    loop->look_pauses = NEAP_LOOK_PAUSES_MAX;
    loop->looks_in_vain = 0;
    loop->idle_parks = 0;
    loop->probe_parks = PROBE_MIN;
    loop->parks_at_once = false;
    loop->patient = (struct neap_patient){.patience = NULL};
    loop->busy = mailbox->busy;
    loop->stuck = stuck;
    loop->idle = NULL;
    loop->watch = NULL;
    loop->watched = NULL;
    loop->beat = NULL;
    loop->cut = 0;
    loop->context = NULL;
    loop->quota = NULL;
    loop->offloads = 0;
    loop->has_offloaded = false;
    loop->uv = NULL;
    loop->guest = NULL;
}

int neap_loop_init(struct neap_loop *loop, atomic_int *busy, void (*stuck)(struct neap_loop *)) {
    struct neap_mailbox *mailbox = neap_mailbox_new(busy);
    if (mailbox == NULL) return NEAP_NOMEM;
    neap_loop_init_over(loop, mailbox, stuck);
    return 0;
}

static void close_uv(struct neap_loop *loop) {
    neap_mailbox_set_alarm(loop->mailbox, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->bell, NULL);
    uv_close((uv_handle_t *)&loop->look, NULL);
    uv_run(loop->uv, UV_RUN_DEFAULT);
    int code = uv_loop_close(loop->uv);
    NEAP_ASSERT(code == 0, "every handle is closed before its loop");
    (void)code;
    neap_free(loop->uv);
    loop->uv = NULL;
}

void neap_loop_fini(struct neap_loop *loop) {
    struct neap_runnable *late = neap_mailbox_close(loop->mailbox);
    while (late != NULL) {
        struct neap_runnable *next = late->next;
        late->run(late);
        late = next;
    }
    NEAP_ASSERT(loop->ready.first == NULL && loop->due.first == NULL && loop->late.first == NULL,
                "a loop ends with empty queues");
    NEAP_ASSERT(loop->timers.count == 0, "a loop ends without open waits");
    neap_patience_leave(&loop->patient);
    if (loop->guest != NULL)
        neap_guest_close(loop);
    else if (loop->uv != NULL)
        close_uv(loop);
    neap_timers_fini(&loop->timers);
    neap_mailbox_unref(loop->mailbox);
}

/* --- libuv --- */

static void on_alarm(uv_async_t *alarm) { (void)alarm; }

/* It may ring on the way into uv_run, before that waits: then it must not wait, having no timer any more. */
static void on_bell(uv_timer_t *bell) { uv_stop(bell->loop); }

/* What has been called on the way there (somebody else's timer) may have made something ready,
 * or be what the loop is run for. */
static void on_look(uv_prepare_t *look) {
    const struct neap_loop *loop = look->data;
    if (loop->ready.first != NULL || loop->due.first != NULL || neap_loop_is_done(loop)) uv_stop(look->loop);
}

/* A loop takes some descriptors, and the first one some that are the whole process's: without those libuv aborts. */
static int find_descriptors(void) {
    int found[UV_DESCRIPTORS], count = 0, code = 0;
    while (count < UV_DESCRIPTORS && (found[count] = eventfd(0, EFD_CLOEXEC)) >= 0) count++;
    if (count < UV_DESCRIPTORS) code = -errno;
    while (count > 0) close(found[--count]);
    return code;
}

int neap_loop_open_uv(struct neap_loop *loop) {
    if (loop->uv != NULL) return 0;
    int code = find_descriptors();
    if (code != 0) return code;
    uv_loop_t *uv = neap_alloc(sizeof *uv);
    if (uv == NULL) return NEAP_NOMEM;
    if ((code = uv_loop_init(uv)) != 0) goto fail_uv;
    if ((code = uv_async_init(uv, &loop->alarm, on_alarm)) != 0) goto fail_loop;
    uv_timer_init(uv, &loop->bell);
    uv_unref((uv_handle_t *)&loop->alarm);
    uv_unref((uv_handle_t *)&loop->bell);
    uv_prepare_init(uv, &loop->look);
    loop->look.data = loop;
    uv_prepare_start(&loop->look, on_look);
    uv_unref((uv_handle_t *)&loop->look);
    loop->uv = uv;
    neap_mailbox_set_alarm(loop->mailbox, &loop->alarm);
    return 0;
fail_loop:
    uv_loop_close(uv);
fail_uv:
    neap_free(uv);
    return code;
}

uv_loop_t *neap_loop_uv(struct neap_loop *loop) { return neap_loop_open_uv(loop) == 0 ? loop->uv : NULL; }

/* Is there a handle or request of libuv that something may come from? */
static bool has_io(const struct neap_loop *loop) { return loop->uv != NULL && uv_loop_alive(loop->uv); }

/* Without waiting. */
static void look_at_uv(struct neap_loop *loop) {
    loop->owes_look = false;
    if (has_io(loop) && !neap_guest_is_inside(loop)) uv_run(loop->uv, UV_RUN_NOWAIT);
}

static void sleep_in_uv(struct neap_loop *loop, int64_t deadline) {
    loop->owes_look = false;
    if (loop->guest != NULL) {
        neap_guest_sleep(loop, deadline);
        return;
    }
    if (deadline != NEAP_FOREVER) {
        int64_t wait_ns = deadline - neap_clock_now();
        uint64_t wait_ms = wait_ns <= 0 ? 0 : (uint64_t)((wait_ns + NEAP_MILLISECOND - 1) / NEAP_MILLISECOND);
        uv_update_time(loop->uv);
        uv_timer_start(&loop->bell, on_bell, wait_ms, 0);
    }
    uv_ref((uv_handle_t *)&loop->alarm); /* else libuv would not wait without other handles */
    uv_run(loop->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&loop->alarm);
    uv_timer_stop(&loop->bell);
}

/* --- idle --- */

static bool is_useful(struct neap_loop *loop) { return loop->idle != NULL && loop->idle(loop); }

static bool is_idle(const struct neap_loop *loop) { return loop->ready.first == NULL && loop->due.first == NULL; }

static bool has_something(const struct neap_loop *loop) {
    return !is_idle(loop) || !neap_mailbox_is_empty(loop->mailbox);
}

/* Until there is something, or it is `until`. `looks`: at what the loop watches, too. */
static bool spin_until(struct neap_loop *loop, int64_t until, bool looks) {
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (looks) loop->watch->look(loop->watched);
            if (has_something(loop)) return true;
            neap_relax();
        }
        is_useful(loop); /* what a thread has just taken may be made anew, say */
    } while (neap_clock_now() < until);
    return false;
}

/* See IDLE. */
static void lose_faith(struct neap_loop *loop) {
    loop->spin_ns /= 2;
    if (loop->spin_ns < SPIN_MIN_NS && loop->probe_parks < PROBE_MAX) loop->probe_parks *= 2;
}

/* For as long as has been paying off, and not past `next`. */
static bool spin_and_learn(struct neap_loop *loop, int64_t next, bool looks) {
    int64_t until = neap_clock_now() + loop->spin_ns;
    bool found = spin_until(loop, next < until ? next : until, looks);
    if (found) {
        loop->spin_ns = SPIN_MAX_NS;
        loop->probe_parks = PROBE_MIN;
    } else if (until <= next) {
        lose_faith(loop);
    }
    return found;
}

static bool spin(struct neap_loop *loop, int64_t next) {
    if (loop->parks_at_once) return false;
    bool alone = neap_loop_is_alone(loop);
    if (alone && loop->watch == NULL) return false; /* who would? */
    if (loop->spin_ns < SPIN_MIN_NS) {
        if (++loop->idle_parks < loop->probe_parks) return false;
        loop->idle_parks = 0;
        loop->spin_ns = SPIN_MAX_NS;
    }
    bool looks = loop->watch != NULL && loop->watch->begin(loop->watched);
    if (alone && !looks) return false;
    look_at_uv(loop);
    bool found = has_something(loop) || spin_and_learn(loop, next, looks);
    if (looks) loop->watch->end(loop->watched);
    return found || has_something(loop);
}

/* True when nothing can ever wake this loop, nor any other. */
static bool park(struct neap_loop *loop) {
    int64_t next = neap_timers_next(&loop->timers);
    bool endless = next == NEAP_FOREVER && loop->busy != NULL && !has_io(loop);
    if (next != NEAP_FOREVER && (next - loop->now > 2 * NEAP_MILLISECOND || loop->timers.count >= CROWD))
        next = (next / NEAP_MILLISECOND + 1) * NEAP_MILLISECOND;
    if (!neap_mailbox_retire(loop->mailbox)) return false;
    bool stuck = endless && neap_mailbox_leave(loop->mailbox);
    if (!stuck) {
        if (loop->uv != NULL) {
            neap_patience_note_park(&loop->patient, loop->now);
            sleep_in_uv(loop, next);
            if (loop->patient.waits) neap_patience_note_wake(&loop->patient, neap_clock_now() - loop->now);
        } else {
            neap_mailbox_sleep(loop->mailbox, next);
        }
    }
    neap_mailbox_rise(loop->mailbox);
    bool posted = !neap_mailbox_is_empty(loop->mailbox);
    if (posted && neap_clock_now() - loop->now < SOON_NS) loop->probe_parks = PROBE_MIN;
    return stuck && !posted;
}

void neap_loop_lose_patience(void) {
    if (neap_loop_here != NULL) neap_patience_lose(&neap_loop_here->patient);
}

/* --- turns --- */

static void collect(struct neap_loop *loop) {
    struct neap_runnable *posted = neap_mailbox_collect(loop->mailbox);
    while (posted != NULL) {
        struct neap_runnable *next = posted->next;
        neap_loop_push(loop, posted);
        posted = next;
    }
}

static void fire(struct neap_loop *loop) {
    struct neap_wait *wait;
    loop->now = neap_clock_now();
    while ((wait = neap_timers_pop(&loop->timers, loop->now)) != NULL) neap_wait_expire(wait);
}

/* See LATE. So the queue is empty between turns only if nobody is late either. */
static void recall(struct neap_loop *loop) {
    if (loop->late.first == NULL || loop->recalled != NULL) return;
    loop->recalled = neap_line_pop(&loop->late);
    neap_loop_push(loop, loop->recalled);
}

/* See DUE. Whose turn it is; empty if both are. */
static struct neap_line *next_line(struct neap_loop *loop) {
    bool due = loop->due.first != NULL && (!loop->was_due || loop->ready.first == NULL);
    return due ? &loop->due : &loop->ready;
}

static struct neap_runnable *take_first(struct neap_loop *loop, struct neap_line *line) {
    struct neap_runnable *runnable = neap_line_pop(line);
    loop->was_due = line == &loop->due;
    if (runnable == loop->recalled) loop->recalled = NULL;
    return runnable;
}

/* There is one. */
static void run_first(struct neap_loop *loop) {
    struct neap_runnable *runnable = take_first(loop, next_line(loop));
    loop->left--;
    runnable->run(runnable);
}

static bool may_go_on(const struct neap_loop *loop) { return loop->left > 0 && !is_idle(loop) && !loop->cut; }

static void turn(struct neap_loop *loop) {
    loop->cut = 0;
    loop->left = RUNS_PER_TURN;
    collect(loop);
    while (may_go_on(loop)) run_first(loop);
    loop->patient.runs += (uint32_t)(RUNS_PER_TURN - loop->left);
    fire(loop);
    if (loop->owes_look || neap_loop_has_ready(loop))
        look_at_uv(loop);
    else
        loop->owes_look = true; /* see LOOKING */
    recall(loop);
}

/* Little of the stack is in use, so that there is as much for the next one as it would have without passing. */
static bool is_shallow(const struct neap_loop *loop) {
    char here;
    return (uintptr_t)loop->frame.floor - (uintptr_t)&here < SHALLOW;
}

static bool is_next(struct neap_loop *loop, const struct neap_runnable *runnable) {
    return next_line(loop)->first == runnable;
}

/* It may be next before any other has run: what it asked for was refused at once, say. */
static bool pass(struct neap_loop *loop, const struct neap_runnable *runnable) {
    if (!is_next(loop, runnable)) {
        loop->passing = true;
        run_first(loop);
        loop->passing = false;
        if (!may_go_on(loop) || !is_next(loop, runnable)) return false;
    }
    take_first(loop, next_line(loop));
    return true;
}

bool neap_loop_pass(struct neap_loop *loop, struct neap_runnable *runnable) {
    if (loop->passing || !may_go_on(loop) || !is_shallow(loop)) return false;
    if (loop->trust == 0) {
        if (++loop->unpassed < UNPASSED_PER_PROBE) return false;
        loop->unpassed = 0;
    }
    bool passed = pass(loop, runnable);
    if (passed)
        loop->trust = TRUST_MAX;
    else if (loop->trust > 0)
        loop->trust--;
    return passed;
}

void neap_loop_run(struct neap_loop *loop, bool (*done)(void *argument), void *argument) {
    struct neap_loop *outer = neap_loop_here;
    const struct neap_loop_frame outer_frame = loop->frame;
    char here;
    neap_loop_here = loop;
    loop->frame = (struct neap_loop_frame){.floor = &here, .done = done, .argument = argument};
    while (!done(argument)) {
        bool idle = is_idle(loop) && neap_mailbox_is_empty(loop->mailbox) && !is_useful(loop) &&
                    !spin(loop, neap_timers_next(&loop->timers));
        if (idle && !done(argument) && park(loop) && !done(argument)) loop->stuck(loop);
        turn(loop);
    }
    if (loop->owes_look) look_at_uv(loop); /* nobody may come back */
    loop->frame = outer_frame;
    neap_loop_here = outer;
}

/* --- turned by a host --- */

bool neap_loop_rest(struct neap_loop *loop) {
    if (!is_idle(loop) || loop->late.first != NULL) return true;
    struct neap_mailbox *mailbox = loop->mailbox;
    return neap_mailbox_is_empty(mailbox) ? !neap_mailbox_retire(mailbox) : !neap_mailbox_is_retired(mailbox);
}

bool neap_loop_step(struct neap_loop *loop) {
    struct neap_loop *outer = neap_loop_here;
    neap_loop_here = loop;
    neap_mailbox_rise(loop->mailbox);
    if (loop->uv != NULL && loop->guest == NULL) { /* whose descriptor the host polls: the alarm is silenced */
        uv_ref((uv_handle_t *)&loop->alarm);
        uv_run(loop->uv, UV_RUN_NOWAIT);
        uv_unref((uv_handle_t *)&loop->alarm);
    }
    loop->owes_look = true; /* nothing follows that would */
    turn(loop);
    neap_loop_here = outer;
    return neap_loop_rest(loop);
}

int64_t neap_loop_next(const struct neap_loop *loop) {
    if (!is_idle(loop) || loop->late.first != NULL) return 0;
    if (!neap_mailbox_is_empty(loop->mailbox) && !neap_mailbox_is_retired(loop->mailbox)) return 0;
    return neap_timers_next(&loop->timers);
}

/* A place in the queue. */
struct place {
    struct neap_runnable runnable;
    struct neap_loop *loop;
    bool reached;
};

static void reach(struct neap_runnable *runnable) {
    struct place *place = NEAP_CONTAINER_OF(runnable, struct place, runnable);
    place->reached = true;
    place->loop->cut = 1;
}

static bool is_reached(void *place) { return ((struct place *)place)->reached; }

/* Apart, or gcc takes the queue for outliving the place. */
static __attribute__((noinline)) void stand_in_line(struct place *place) {
    neap_loop_push(place->loop, &place->runnable);
}

void neap_loop_give_way(struct neap_loop *loop) {
    struct place place = {.runnable = {.run = reach}, .loop = loop, .reached = false};
    stand_in_line(&place);
    neap_loop_run(loop, is_reached, &place);
}

void neap_loop_drain(struct neap_loop *loop) {
    struct neap_loop *outer = neap_loop_here;
    neap_loop_here = loop;
    while (neap_loop_has_ready(loop)) {
        collect(loop);
        recall(loop);
        if (!is_idle(loop)) run_first(loop); /* else it was only notified */
    }
    neap_loop_here = outer;
}
