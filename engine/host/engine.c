/* engine: its threads, from start to end.
 *
 * LIVES     A thread record is in `threads` while its body runs, on an OS thread of the crew.
 *           neap_engine_join waits for the crew.
 * LOCKS     The engine's guard is taken with no other guard held; inside it those of jobs and mailboxes are. The crew
 *           is asked without it: making an OS thread takes longer than anybody should wait. */
#include "host/engine.h"

#include <signal.h>
#include <stddef.h>

#include "core/cell.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/standard.h"
#include "core/ticket.h"
#include "host/hub.h"
#include "host/process.h"
#include "host/signal.h"
#include "host/unjoined.h"
#include "host/work.h"
#include "sync/channel.h"

int neap_engine_init(struct neap_engine *engine) {
    neap_standard_fill();
    atomic_init(&engine->busy, 0);
    atomic_init(&engine->ids, 0);
    atomic_init(&engine->failures, 0);
    engine->threads_max = 0;
    atomic_init(&engine->jobs_needed, 0);
    atomic_init(&engine->reports, 0);
    atomic_init(&engine->alive, 0);
    atomic_init(&engine->stopping, false);
    atomic_init(&engine->exit_status, -1);
    atomic_init(&engine->output_error, 0);
    engine->main = NULL;
    engine->main_job = NULL;
    neap_guard_init(&engine->guard);
    neap_list_init(&engine->threads);
    neap_list_init(&engine->excused);
    neap_crew_init(&engine->crew);
    neap_patience_init(&engine->patience);
    neap_list_init(&engine->needs);
    atomic_init(&engine->attended, false);
    neap_list_init(&engine->states);
    neap_list_init(&engine->processes);
    atomic_init(&engine->process_count, 0);
    atomic_init(&engine->board, NULL);
    neap_lookout_init(&engine->lookout);
    engine->makers = NULL;
    engine->classes = NULL;
    engine->runner = NULL;
    atomic_init(&engine->cells, NULL);
    atomic_init(&engine->kept, NULL);
    atomic_init(&engine->spare, NULL);
    atomic_init(&engine->spare_wanted, false);
    engine->hub = NULL;
    engine->signals = NULL;
    engine->helpers = NULL;
    neap_list_init(&engine->unread);
    engine->unread_count = 0;
    neap_list_init(&engine->unjoined);
    engine->unjoined_count = 0;
    neap_rings_init(&engine->rings);
    engine->stuck = NULL;
    atomic_init(&engine->forward_failures, false);
    engine->overdue = NULL;
    engine->on_output = NULL;
    engine->slices = false;
    engine->slice_signal = SIGURG;
    engine->slice = 0.01;
    engine->context = NULL;
    engine->embedding = NULL;
    engine->commons = NULL;
    engine->inherited = NULL;
    return neap_screen_init(&engine->screen);
}

uint64_t neap_engine_next_ids(struct neap_engine *engine, uint32_t count) {
    return atomic_fetch_add_explicit(&engine->ids, count, memory_order_relaxed) + 1;
}

/* --- what is made ahead, and what is kept --- */

struct neap_spare *neap_engine_swap_spare(struct neap_engine *engine, struct neap_spare *spare) {
    return atomic_exchange_explicit(&engine->spare, spare, memory_order_acq_rel);
}

bool neap_engine_wants_spare(struct neap_engine *engine) {
    if (!atomic_load_explicit(&engine->spare_wanted, memory_order_relaxed)) return false;
    if (atomic_load_explicit(&engine->spare, memory_order_relaxed) != NULL) return false;
    return atomic_exchange_explicit(&engine->spare_wanted, false, memory_order_relaxed) &&
           !atomic_load_explicit(&engine->stopping, memory_order_relaxed);
}

struct neap_kept *neap_kept_new(const void *key, size_t size) {
    struct neap_kept *kept = neap_alloc(sizeof *kept + size);
    if (kept == NULL) return NULL;
    kept->next = NULL;
    kept->key = key;
    kept->size = size;
    return kept;
}

void neap_engine_keep(struct neap_engine *engine, struct neap_kept *kept) {
    kept->next = atomic_load_explicit(&engine->kept, memory_order_relaxed);
    /* Release: whoever finds it (acquire) reads what was written above;
     * the entries behind it were published likewise. */
    while (!atomic_compare_exchange_weak_explicit(&engine->kept, &kept->next, kept, memory_order_release,
                                                  memory_order_relaxed)) {}
}

const struct neap_kept *neap_engine_find_kept(const struct neap_engine *engine, const void *key) {
    const struct neap_kept *kept = atomic_load_explicit(&engine->kept, memory_order_acquire);
    while (kept != NULL && kept->key != key) kept = kept->next;
    return kept;
}

static void free_kept(struct neap_engine *engine) {
    struct neap_kept *kept = atomic_load_explicit(&engine->kept, memory_order_relaxed);
    while (kept != NULL) {
        struct neap_kept *next = kept->next;
        neap_free(kept);
        kept = next;
    }
}

struct neap_cells *neap_engine_cells(struct neap_engine *engine) {
    /* acquires what the exchange below published */
    struct neap_cells *cells = atomic_load_explicit(&engine->cells, memory_order_acquire);
    if (cells != NULL) return cells;
    struct neap_cells *made = neap_cells_new();
    if (made == NULL) return NULL;
    if (atomic_compare_exchange_strong_explicit(&engine->cells, &cells, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    neap_cells_close(made); /* another thread was first */
    return cells;
}

int neap_engine_board(struct neap_engine *engine, struct neap_board **board) {
    /* acquires what the store below published */
    *board = atomic_load_explicit(&engine->board, memory_order_acquire);
    if (*board != NULL) return 0;
    neap_guard_lock(&engine->guard);
    int code = 0;
    *board = atomic_load_explicit(&engine->board, memory_order_relaxed);
    if (*board == NULL && (code = neap_board_new(board)) == 0)
        atomic_store_explicit(&engine->board, *board, memory_order_release);
    neap_guard_unlock(&engine->guard);
    return code;
}

void neap_engine_fini(struct neap_engine *engine) {
    struct neap_work *unread;
    struct neap_unjoined *unjoined;
    neap_hub_end(engine);
    neap_signals_end(engine);
    if (engine->helpers != NULL) neap_object_unref(&engine->helpers->object);
    neap_crew_leave(&engine->crew);
    if (engine->commons != NULL) neap_object_unref(engine->commons);
    if (engine->inherited != NULL) neap_object_unref(engine->inherited);
    while ((unread = neap_work_next_unread(engine)) != NULL) neap_object_unref(&unread->future.object);
    while ((unjoined = neap_unjoined_next(engine)) != NULL) neap_unjoined_free(unjoined);
    struct neap_cells *cells = atomic_load_explicit(&engine->cells, memory_order_relaxed);
    if (cells != NULL) neap_cells_close(cells);
    free_kept(engine);
    struct neap_spare *spare = neap_engine_swap_spare(engine, NULL);
    if (spare != NULL) spare->drop(spare);
    struct neap_board *board = atomic_load_explicit(&engine->board, memory_order_relaxed);
    if (board != NULL) neap_board_free(board);
    if (engine->main_job != NULL) neap_object_unref(&engine->main_job->future.object);
    if (engine->main != NULL) neap_mailbox_unref(engine->main);
    neap_screen_fini(&engine->screen);
}

static void notify_main(struct neap_engine *engine) {
    if (engine->main != NULL) neap_mailbox_notify(engine->main);
}

/* Guard held: a thread or process, for which the main loop may be waiting. */
static void need_one_less(struct neap_engine *engine) {
    atomic_fetch_sub_explicit(&engine->jobs_needed, 1, memory_order_release);
    notify_main(engine);
}

/* Guard held: a thread or process has ended. Everybody may be idle now, and the main loop has to find that out. */
static void count_out(struct neap_engine *engine, bool needed) {
    if (needed) need_one_less(engine);
    bool last = atomic_fetch_sub_explicit(&engine->busy, 1, memory_order_acq_rel) == 1;
    if (last || atomic_load_explicit(&engine->stopping, memory_order_relaxed)) notify_main(engine);
}

/* The last words of a thread: its job has ended already. */
static void depart(struct neap_thread *thread) {
    struct neap_engine *engine = thread->engine;
    neap_guard_lock(&engine->guard);
    neap_list_remove(&thread->node);
    atomic_fetch_sub_explicit(&engine->alive, 1, memory_order_release);
    count_out(engine, thread->needed);
    neap_guard_unlock(&engine->guard);
    neap_object_unref(&thread->job->future.object);
    neap_free(thread);
}

static void run(void *argument) {
    struct neap_thread *thread = argument;
    thread->body(thread);
    depart(thread);
}

void neap_thread_excuse(struct neap_thread *thread) {
    struct neap_engine *engine = thread->engine;
    neap_guard_lock(&engine->guard);
    if (thread->needed) need_one_less(engine);
    thread->needed = false;
    neap_list_remove(&thread->node);
    neap_list_push_back(&engine->excused, &thread->node);
    neap_guard_unlock(&engine->guard);
}

bool neap_engine_has_excused(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    bool has = !neap_list_is_empty(&engine->excused);
    neap_guard_unlock(&engine->guard);
    return has;
}

/* 0, NEAP_DENIED or NEAP_CLOSED: there is to be no such thread. */
static int enroll(struct neap_engine *engine, struct neap_thread *thread) {
    int code = 0;
    neap_guard_lock(&engine->guard);
    if (engine->threads_max != 0 && atomic_load_explicit(&engine->alive, memory_order_relaxed) >= engine->threads_max) {
        code = NEAP_DENIED;
    } else if (atomic_load_explicit(&engine->stopping, memory_order_relaxed)) {
        code = NEAP_CLOSED;
    } else {
        neap_list_push_back(&engine->threads, &thread->node);
        atomic_fetch_add_explicit(&engine->alive, 1, memory_order_relaxed);
        if (thread->needed) atomic_fetch_add_explicit(&engine->jobs_needed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&engine->busy, 1, memory_order_acq_rel); /* on the thread's behalf, until depart */
    }
    neap_guard_unlock(&engine->guard);
    return code;
}

/* It could not be created. */
static void strike_off(struct neap_engine *engine, struct neap_thread *thread) {
    neap_guard_lock(&engine->guard);
    neap_list_remove(&thread->node);
    atomic_fetch_sub_explicit(&engine->alive, 1, memory_order_relaxed);
    count_out(engine, thread->needed);
    neap_guard_unlock(&engine->guard);
}

int neap_thread_start(struct neap_engine *engine, struct neap_job *job, int (*body)(struct neap_thread *),
                      void *argument) {
    struct neap_thread *thread = neap_alloc(sizeof *thread);
    if (thread == NULL) return NEAP_NOMEM;
    thread->engine = engine;
    thread->job = job;
    thread->body = body;
    thread->argument = argument;
    thread->needed = !atomic_load_explicit(&job->daemon, memory_order_relaxed);
    int code = enroll(engine, thread);
    if (code == 0 && (code = neap_crew_run(&engine->crew, run, thread)) != 0) strike_off(engine, thread);
    if (code == 0)
        atomic_store_explicit(&engine->spare_wanted, true, memory_order_relaxed);
    else
        neap_free(thread);
    return code;
}

bool neap_engine_enter(struct neap_engine *engine, struct neap_process *process) {
    neap_guard_lock(&engine->guard);
    bool may = !atomic_load_explicit(&engine->stopping, memory_order_relaxed);
    if (may) {
        neap_list_push_back(&engine->processes, &process->node);
        atomic_fetch_add_explicit(&engine->process_count, 1, memory_order_relaxed);
        if (!atomic_load_explicit(&process->job.daemon, memory_order_relaxed))
            atomic_fetch_add_explicit(&engine->jobs_needed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&engine->busy, 1, memory_order_acq_rel);
    }
    neap_guard_unlock(&engine->guard);
    return may;
}

void neap_engine_leave(struct neap_engine *engine, struct neap_process *process) {
    neap_guard_lock(&engine->guard);
    neap_list_remove(&process->node);
    atomic_fetch_sub_explicit(&engine->process_count, 1, memory_order_release);
    count_out(engine, !atomic_load_explicit(&process->job.daemon, memory_order_relaxed));
    neap_guard_unlock(&engine->guard);
}

void neap_engine_each_process(struct neap_engine *engine, void (*visit)(struct neap_job *job, void *argument),
                              void *argument) {
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->processes.next; node != &engine->processes; node = node->next)
        visit(&NEAP_CONTAINER_OF(node, struct neap_process, node)->job, argument);
    neap_guard_unlock(&engine->guard);
}

void neap_engine_each_thread(struct neap_engine *engine, void (*visit)(struct neap_job *job, void *argument),
                             void *argument) {
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->threads.next; node != &engine->threads; node = node->next)
        visit(NEAP_CONTAINER_OF(node, struct neap_thread, node)->job, argument);
    neap_guard_unlock(&engine->guard);
}

void neap_engine_add_need(struct neap_engine *engine, struct neap_need *need) {
    atomic_init(&need->count, 0);
    neap_guard_lock(&engine->guard);
    neap_list_push_back(&engine->needs, &need->node);
    neap_guard_unlock(&engine->guard);
}

void neap_engine_remove_need(struct neap_engine *engine, struct neap_need *need) {
    neap_guard_lock(&engine->guard);
    neap_list_remove(&need->node);
    neap_guard_unlock(&engine->guard);
}

/* Who asks writes `attended` and then reads the count, we write the count and then read `attended`:
 * one of us sees the other. */
void neap_engine_relent(struct neap_engine *engine, struct neap_need *need, uint64_t count) {
    bool last = atomic_fetch_sub(&need->count, count) == count;
    if (last && atomic_load(&engine->attended)) notify_main(engine);
}

bool neap_engine_is_needed(struct neap_engine *engine) {
    atomic_store(&engine->attended, true);
    bool needed = atomic_load(&engine->jobs_needed) != 0;
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->needs.next; node != &engine->needs && !needed; node = node->next)
        needed = atomic_load(&NEAP_CONTAINER_OF(node, struct neap_need, node)->count) != 0;
    neap_guard_unlock(&engine->guard);
    return needed;
}

struct neap_channel *neap_engine_helpers(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    struct neap_channel *helpers = engine->helpers;
    if (helpers == NULL && (helpers = neap_channel_new(0)) != NULL) {
        helpers->last_first = true;
        neap_object_share(&helpers->object);
        engine->helpers = helpers;
    }
    neap_guard_unlock(&engine->guard);
    return helpers;
}

void neap_engine_count_in(struct neap_engine *engine) {
    atomic_fetch_add_explicit(&engine->busy, 1, memory_order_acq_rel);
}

/* If everybody is idle now, the main loop has to find that out. */
void neap_engine_count_out(struct neap_engine *engine) {
    bool last = atomic_fetch_sub_explicit(&engine->busy, 1, memory_order_acq_rel) == 1;
    if (last) notify_main(engine);
}

static void cancel(struct neap_job *job, void *argument) {
    struct neap_message none;
    (void)argument;
    neap_message_clear(&none);
    neap_job_cancel(job, &none);
}

void neap_engine_exit(struct neap_engine *engine, int status) {
    int none = -1;
    atomic_compare_exchange_strong_explicit(&engine->exit_status, &none, status, memory_order_release,
                                            memory_order_relaxed);
    notify_main(engine);
}

void neap_engine_stop_threads(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    atomic_store_explicit(&engine->stopping, true, memory_order_relaxed);
    neap_guard_unlock(&engine->guard);
    neap_signals_stop(engine);
    neap_engine_each_thread(engine, cancel, NULL);
    neap_engine_each_process(engine, cancel, NULL);
}

uint32_t neap_engine_join(struct neap_engine *engine) {
    /* acquires what the threads have done */
    uint32_t alive = atomic_load_explicit(&engine->alive, memory_order_acquire);
    if (alive == 0) neap_crew_leave(&engine->crew);
    return alive;
}
