/* screen: one terminal, many writers, and a line that must stay whole.
 *
 * MODEL      Whoever writes while a line is being edited takes it off the screen first, which needs no more than to know in
 *            which row of it the cursor stands; it does not put it back. That is done by the one who edits, who is told. So a burst of
 *            output costs one redrawing, and the editor is used by its own thread only.
 * LOCK       Held while the terminal is written to, by writers and by the editor. It is recursive: a finaliser that prints may run
 *            in between. No Lua runs under it otherwise.
 * NEWS       Bits, and an eventfd that is written after they are set and read before they are taken: so none is missed. Both can be
 *            done in a signal handler. The eventfd is closed by the main thread, under the lock: writers tell under the lock too,
 *            and signals are handled on the main thread, so nobody writes to a descriptor that has become another's. */
#include "host/screen.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"

enum { ERASE_MAX = 32 };

int neap_screen_init(struct neap_screen *screen) {
    pthread_mutexattr_t recursive;
    atomic_init(&screen->wake, -1);
    atomic_init(&screen->news, 0);
    atomic_init(&screen->interrupted, INT64_MIN / 2);
    screen->shown = false;
    screen->row = 0;
    screen->torn = false;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    int code = -pthread_mutex_init(&screen->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return code;
}

void neap_screen_fini(struct neap_screen *screen) {
    neap_screen_close(screen);
    pthread_mutex_destroy(&screen->lock);
}

int neap_screen_open(struct neap_screen *screen) {
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) return -errno;
    atomic_store(&screen->news, 0);
    atomic_store(&screen->wake, wake);
    return 0;
}

void neap_screen_close(struct neap_screen *screen) {
    pthread_mutex_lock(&screen->lock);
    int wake = atomic_exchange(&screen->wake, -1);
    screen->shown = false;
    pthread_mutex_unlock(&screen->lock);
    if (wake >= 0) close(wake);
}

/* --- news --- */

void neap_screen_tell(struct neap_screen *screen, enum neap_screen_news news) {
    const uint64_t one = 1;
    int wake = atomic_load_explicit(&screen->wake, memory_order_relaxed);
    if (wake < 0) return;
    atomic_fetch_or(&screen->news, (unsigned)news);
    ssize_t written = write(wake, &one, sizeof one); /* fails when it is readable anyway */
    (void)written;
}

bool neap_screen_interrupt(struct neap_screen *screen) {
    int64_t now = neap_clock_now();
    if (!neap_screen_is_open(screen)) return false;
    if (now - atomic_exchange(&screen->interrupted, now) < NEAP_SECOND) return false;
    neap_screen_tell(screen, NEAP_SCREEN_INTERRUPT);
    return true;
}

unsigned neap_screen_take(struct neap_screen *screen) {
    uint64_t count;
    ssize_t got = read(atomic_load_explicit(&screen->wake, memory_order_relaxed), &count, sizeof count);
    (void)got;
    return atomic_exchange(&screen->news, 0);
}

/* --- writing --- */

/* Moves to the first column of the row where the prompt begins, and clears from there on. */
static void erase(struct neap_screen *screen) {
    char text[ERASE_MAX];
    int length = screen->row > 0 ? snprintf(text, sizeof text, "\r\033[%dA\033[J", screen->row)
                                 : snprintf(text, sizeof text, "\r\033[J");
    ssize_t written = write(STDOUT_FILENO, text, (size_t)length);
    (void)written;
    screen->shown = false;
    screen->torn = false;
    neap_screen_tell(screen, NEAP_SCREEN_HIDDEN);
}

bool neap_screen_begin(struct neap_screen *screen) {
    if (!neap_screen_is_open(screen)) return false;
    pthread_mutex_lock(&screen->lock);
    if (screen->shown) erase(screen);
    return true;
}

void neap_screen_end(struct neap_screen *screen, bool begun, char last) {
    if (!begun) return;
    fflush(stdout); /* what stands on the screen has to be known */
    if (last != '\0') screen->torn = last != '\n';
    pthread_mutex_unlock(&screen->lock);
}
