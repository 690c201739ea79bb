/* screen: the terminal on which somebody edits a line, or bars stand below everything else, while others print.
 * The essay is in screen.c. */
#ifndef NEAP_HOST_SCREEN_H
#define NEAP_HOST_SCREEN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the one who edits is told. */
enum neap_screen_news {
    NEAP_SCREEN_INTERRUPT = 1, /* the user wants what runs to stop */
    NEAP_SCREEN_HIDDEN = 2,    /* somebody has printed where the line was */
    NEAP_SCREEN_RESIZED = 4,   /* the terminal has another size */
    NEAP_SCREEN_RESUMED = 8    /* the process had been stopped, and goes on */
};

struct neap_screen {
    /* These two are set while stdout and stderr are locked, so who has locked one of them knows that
     * nothing comes up meanwhile. */
    atomic_uint footed;          /* bits, by descriptor: it is a terminal, and there has been a footer. Relaxed */
    atomic_int wake;             /* an eventfd, readable while there are news; -1: nobody edits. Main thread */
    atomic_uint news;            /* of enum neap_screen_news; set by anyone, signal handlers too */
    _Atomic int64_t interrupted; /* when the last interrupt came; signal handler */
    pthread_mutex_t lock;        /* of what follows, and of writing to the terminal; recursive */
    bool shown;                  /* a line that is being edited stands on the screen */
    int row;                     /* where the cursor is, counted from the first row of the prompt; valid while shown */
    bool torn;                   /* what was printed last did not end its line */
    char *footer;       /* lines without an end of the last one, to stand below everything; owned, NULL: none */
    size_t footer_size; /* bytes */
    bool footer_shown;  /* it stands on the screen, and the cursor at its end */
};

int neap_screen_init(struct neap_screen *screen);
void neap_screen_fini(struct neap_screen *screen);

/* From now on there are news, and writers are kept away from the line; until close. Main thread. 0 or a code. */
int neap_screen_open(struct neap_screen *screen);
void neap_screen_close(struct neap_screen *screen);

static inline bool neap_screen_is_open(const struct neap_screen *screen) {
    return atomic_load_explicit(&screen->wake, memory_order_relaxed) >= 0;
}

/* Any thread, and signal handlers. Nothing happens while it is not open. */
void neap_screen_tell(struct neap_screen *screen, enum neap_screen_news news);
/* Signal handler: the user has asked for an interrupt. False when that is not to be told, but to end the program:
 * nobody edits, or it is the second time within a second. */
bool neap_screen_interrupt(struct neap_screen *screen);
/* Main thread: what there is, of enum neap_screen_news, and takes it. */
unsigned neap_screen_take(struct neap_screen *screen);

/* Any thread, around writing to `file`, stdout or stderr: locks it, takes away what stands where that is to go, and
 * puts the footer back; `last` is the last byte that was written ('\0': none was). What BEGIN returned is to be given
 * to END. May be nested. Without a screen (NULL) the file is locked, and that is all. */
bool neap_screen_begin(struct neap_screen *screen, FILE *file);
void neap_screen_end(struct neap_screen *screen, FILE *file, bool begun, char last);
/* Begins, unless another thread is just writing (and may be stuck): false, and nothing is to be ended then. */
bool neap_screen_try_begin(struct neap_screen *screen, FILE *file, bool *begun);

/* Any thread: prints `above` (whole lines, or nothing) to stderr, and has `footer` (lines, the last one without its
 * end; or nothing) stand below everything that is printed from then on, in place of the one before. Only where stderr
 * is a terminal; each line is to fit in its width. 0 or NEAP_NOMEM, and then nothing has changed. */
int neap_screen_draw(struct neap_screen *screen, const char *above, size_t above_size, const char *footer,
                     size_t footer_size);
/* Lock held: a line is about to be shown where the footer stands. */
void neap_screen_give_way(struct neap_screen *screen);
/* The size of the terminal that stderr is; false: it is none. Any thread. */
bool neap_screen_size(int *columns, int *rows);

#endif
