#include "core/alarm.h"

#include <stddef.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"

#ifdef __linux__
#include <sys/timerfd.h>
#endif

/* Guard held. NULL: none waits. */
static struct neap_alarm *first_of(const struct neap_alarms *alarms) {
    struct neap_list *node = alarms->waiting.next;
    return node != &alarms->waiting ? NEAP_CONTAINER_OF(node, struct neap_alarm, node) : NULL;
}

#ifdef __linux__

static int open_timer(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }

/* Guard held: the descriptor can be read from when the first one is due. */
static void wind(const struct neap_alarms *alarms) {
    struct itimerspec spec = {{0, 0}, {0, 0}};
    const struct neap_alarm *first = first_of(alarms);
    if (first == NULL) return; /* it has been read: nothing comes any more */
    spec.it_value.tv_sec = (time_t)(first->at / NEAP_SECOND);
    spec.it_value.tv_nsec = (long)(first->at % NEAP_SECOND);
    timerfd_settime(alarms->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void silence(const struct neap_alarms *alarms) {
    uint64_t times;
    ssize_t size = read(alarms->fd, &times, sizeof times); /* nothing, if it has been wound again meanwhile */
    (void)size;
}
#else
static int open_timer(void) { return -1; }
static void wind(const struct neap_alarms *alarms) { (void)alarms; }
static void silence(const struct neap_alarms *alarms) { (void)alarms; }
#endif

void neap_alarms_init(struct neap_alarms *alarms) {
    neap_guard_init(&alarms->guard);
    neap_list_init(&alarms->waiting);
    alarms->closed = false;
    alarms->fd = open_timer();
}

/* Guard held. Few wait, and most that come are due last. */
static void insert(struct neap_alarms *alarms, struct neap_alarm *alarm) {
    struct neap_list *after = alarms->waiting.prev;
    while (after != &alarms->waiting && NEAP_CONTAINER_OF(after, struct neap_alarm, node)->at > alarm->at)
        after = after->prev;
    neap_list_push_front(after, &alarm->node);
}

bool neap_alarms_set(struct neap_alarms *alarms, struct neap_alarm *alarm, int64_t at) {
    neap_guard_lock(&alarms->guard);
    NEAP_ASSERT(!neap_list_is_linked(&alarm->node), "an alarm is set once at a time");
    bool sets = alarms->fd >= 0 && !alarms->closed;
    if (sets) {
        alarm->at = at;
        insert(alarms, alarm);
        if (alarms->waiting.next == &alarm->node) wind(alarms);
    }
    neap_guard_unlock(&alarms->guard);
    return sets;
}

/* Out of the list: the first one that is due at `now`; NULL: none is, and the descriptor is wound for the next one. */
static struct neap_alarm *take_due(struct neap_alarms *alarms, int64_t now) {
    neap_guard_lock(&alarms->guard);
    struct neap_alarm *alarm = first_of(alarms);
    if (alarm != NULL && alarm->at > now) alarm = NULL;
    if (alarm != NULL)
        neap_list_remove(&alarm->node);
    else
        wind(alarms);
    neap_guard_unlock(&alarms->guard);
    return alarm;
}

static void ring_until(struct neap_alarms *alarms, int64_t now) {
    struct neap_alarm *alarm;
    while ((alarm = take_due(alarms, now)) != NULL) alarm->ring(alarm);
}

void neap_alarms_ring(struct neap_alarms *alarms) {
    silence(alarms);
    ring_until(alarms, neap_clock_now());
}

void neap_alarms_end(struct neap_alarms *alarms) {
    neap_guard_lock(&alarms->guard);
    alarms->closed = true;
    neap_guard_unlock(&alarms->guard);
    ring_until(alarms, INT64_MAX);
}

void neap_alarms_fini(struct neap_alarms *alarms) {
    neap_alarms_end(alarms);
    if (alarms->fd >= 0) close(alarms->fd);
}
