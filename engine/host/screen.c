/* screen: one terminal, many writers, and a line, or bars, that must stay whole.
 *
 * MODEL      Whoever writes while a line is being edited takes it off the screen first, which needs no more than to
 *            know in which row of it the cursor stands; it does not put it back. That is done by the one who edits, who
 *            is told. So a burst of output costs one redrawing, and the editor is used by its own thread only.
 * FOOTER     Lines that stand below everything. A writer takes them away and puts them back, in one go with what
 *            it writes as far as others can tell. They are away while a line is edited, and while the last line
 *            that was printed is not complete. As the terminal may have become narrower since, their rows are
 *            counted when they are taken away.
 * LOCK       Held while the terminal is written to, by writers and by the editor. It is recursive: a finaliser
 *            that prints may run in between. No Lua runs under it otherwise. The lock of a FILE comes after it,
 *            and stderr's after stdout's.
 * FREE       Before there is a line or a footer a writer locks the FILE only, as it would anyway. Both begin while all
 *            of them are locked: a writer that is just on its way has finished before, and the next one sees them.
 * NEWS       Bits, and an eventfd that is written after they are set and read before they are taken: so none is
 *            missed. Both can be done in a signal handler. The eventfd is closed by the main thread, under the lock:
 *            writers tell under the lock too, and signals are handled on the main thread, so nobody writes to a
 *            descriptor that has become another's. */
#include "host/screen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

enum { ERASE_MAX = 32, COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };

static void put(const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, size);
        if (written < 0 && errno != EINTR) return;
        if (written < 0) continue;
        bytes += written;
        size -= (size_t)written;
    }
}

int neap_screen_init(struct neap_screen *screen) {
    pthread_mutexattr_t recursive;
    atomic_init(&screen->wake, -1);
    atomic_init(&screen->news, 0);
    atomic_init(&screen->interrupted, INT64_MIN / 2);
    atomic_init(&screen->footed, 0);
    screen->shown = false;
    screen->row = 0;
    screen->torn = false;
    screen->footer = NULL;
    screen->footer_size = 0;
    screen->footer_shown = false;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    int code = -pthread_mutex_init(&screen->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return code;
}

void neap_screen_fini(struct neap_screen *screen) {
    neap_screen_close(screen);
    if (screen->footer_shown) put("\n", 1);
    neap_free(screen->footer);
    pthread_mutex_destroy(&screen->lock);
}

static void lock_files(void) {
    flockfile(stdout);
    flockfile(stderr);
}

static void unlock_files(void) {
    funlockfile(stderr);
    funlockfile(stdout);
}

int neap_screen_open(struct neap_screen *screen) {
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) return -errno;
    atomic_store(&screen->news, 0);
    lock_files();
    atomic_store(&screen->wake, wake);
    unlock_files();
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

/* --- the footer --- */

bool neap_screen_size(int *columns, int *rows) {
    struct winsize size;
    if (isatty(STDERR_FILENO) != 1) return false;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    *columns = known && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    *rows = known && size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
    return true;
}

/* How many rows the footer takes: a character is taken for one column. */
static int count_rows(const struct neap_screen *screen) {
    int width, height, columns = 0, rows = 1;
    if (!neap_screen_size(&width, &height)) return 1;
    for (size_t i = 0; i < screen->footer_size; i++) {
        unsigned char byte = (unsigned char)screen->footer[i];
        if (byte == '\n') {
            rows++;
            columns = 0;
        } else if ((byte & 0xC0) != 0x80 && ++columns > width) {
            rows++;
            columns = 1;
        }
    }
    return rows;
}

/* Row by row: to clear the whole screen at once, where the footer begins at its top,
 * makes some terminals keep a copy. */
static void erase_footer(struct neap_screen *screen) {
    static const char first[] = "\r\033[K", next[] = "\033[A\033[K";
    put(first, sizeof first - 1);
    for (int rows = count_rows(screen); rows > 1; rows--) put(next, sizeof next - 1);
    screen->footer_shown = false;
}

void neap_screen_give_way(struct neap_screen *screen) {
    if (screen->footer_shown) erase_footer(screen);
}

static void show_footer(struct neap_screen *screen) {
    if (screen->footer == NULL || screen->footer_shown || screen->shown || screen->torn) return;
    put(screen->footer, screen->footer_size);
    screen->footer_shown = true;
}

/* There will be a footer: whoever writes to the terminal has to see to it from now on. */
static void note_terminals(struct neap_screen *screen) {
    unsigned bits = 1U << STDERR_FILENO;
    if (atomic_load_explicit(&screen->footed, memory_order_relaxed) != 0) return;
    if (isatty(STDOUT_FILENO)) bits |= 1U << STDOUT_FILENO;
    lock_files();
    fflush(stdout);
    atomic_store_explicit(&screen->footed, bits, memory_order_relaxed);
    unlock_files();
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

/* Has a writer to keep away from a line or a footer? With `file` locked, what it says stays true if it is false. */
static bool is_concerned(const struct neap_screen *screen, FILE *file) {
    return neap_screen_is_open(screen) ||
           (atomic_load_explicit(&screen->footed, memory_order_relaxed) & 1U << fileno(file)) != 0;
}

static void make_room(struct neap_screen *screen) {
    if (screen->shown) erase(screen);
    if (screen->footer_shown) erase_footer(screen);
}

bool neap_screen_begin(struct neap_screen *screen, FILE *file) {
    flockfile(file);
    if (screen == NULL || !is_concerned(screen, file)) return false;
    funlockfile(file); /* if it was locked before, so was the screen */
    pthread_mutex_lock(&screen->lock);
    make_room(screen);
    flockfile(file);
    return true;
}

bool neap_screen_try_begin(struct neap_screen *screen, FILE *file, bool *begun) {
    if (ftrylockfile(file) != 0) return false;
    *begun = is_concerned(screen, file);
    if (!*begun) return true;
    if (pthread_mutex_trylock(&screen->lock) == 0) { /* trying, it does not matter which comes first */
        make_room(screen);
        return true;
    }
    funlockfile(file);
    return false;
}

void neap_screen_end(struct neap_screen *screen, FILE *file, bool begun, char last) {
    funlockfile(file);
    if (!begun) return;
    fflush(stdout); /* what stands on the screen has to be known */
    if (last != '\0') screen->torn = last != '\n';
    show_footer(screen);
    pthread_mutex_unlock(&screen->lock);
}

/* Lock held, footer changed. Prints `above`, which begins a line, and shows the footer,
 * unless there is nothing to print and it stays away. */
static void redraw(struct neap_screen *screen, const char *above, size_t size) {
    if (size == 0 && (screen->shown || screen->torn)) return;
    bool begun = neap_screen_begin(screen, stderr);
    if (size > 0 && screen->torn) put("\n", 1);
    put(above, size);
    neap_screen_end(screen, stderr, begun, (char)(size > 0 ? above[size - 1] : '\0'));
}

int neap_screen_draw(struct neap_screen *screen, const char *above, size_t above_size, const char *footer,
                     size_t footer_size) {
    if (isatty(STDERR_FILENO) != 1) return 0;
    char *copy = footer_size > 0 ? neap_alloc(footer_size) : NULL;
    if (footer_size > 0 && copy == NULL) return NEAP_NOMEM;
    if (copy != NULL) memcpy(copy, footer, footer_size);
    note_terminals(screen);
    pthread_mutex_lock(&screen->lock);
    if (screen->footer_shown) erase_footer(screen); /* its rows are those of the one before */
    neap_free(screen->footer);
    screen->footer = copy;
    screen->footer_size = footer_size;
    redraw(screen, above, above_size);
    pthread_mutex_unlock(&screen->lock);
    return 0;
}
