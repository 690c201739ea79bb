/* A program whose own threads feed jobs to workers in Lua, on all cores, and collect the results.
 *
 * The engine has a thread of its own. Two threads of this program put jobs into one queue and another takes the
 * results from a channel; in between are the tasks and threads of the script. A queue is shared by reference,
 * what goes through it is copied.
 *
 *   400 jobs, the sum of their results is 5373400 */
#include <neap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { FEEDERS = 2, JOBS_EACH = 200 };

static struct neap_object *jobs, *results;

static const char script[] = "local neap, jobs, results = require 'neap', jobs, results\n"
                             "local function work()\n"
                             "  for job in jobs:iter() do results:send{id = job.id, value = job.n * job.n} end\n"
                             "end\n"
                             "neap.scope(function(scope)\n"
                             "  for _ = 1, neap.cpu_count() do scope:thread(work) end\n"
                             "  scope:spawn(work)\n"
                             "end)\n"
                             "results:close()";

static void check(int code, const char *what) {
    if (code == 0) return;
    fprintf(stderr, "%s: %s\n", what, neap_error_name(code));
    exit(1);
}

static void *feed(void *argument) {
    for (int64_t n = 1; n <= JOBS_EACH; n++) {
        struct neap_table *job;
        struct neap_value key, value;
        check(neap_table_new(&job), "table");
        key = neap_string("n");
        value = neap_integer(n);
        check(neap_table_set(job, &key, &value), "n");
        key = neap_string("id");
        value = neap_string((const char *)argument);
        check(neap_table_set(job, &key, &value), "id");
        value = neap_table_value(job);
        check(neap_queue_put(jobs, &value, 0, NEAP_NO_TIMEOUT), "put");
        neap_table_free(job);
    }
    return NULL;
}

/* On the engine's thread. */
static void start(struct neap_engine *engine, void *argument) {
    struct neap_value value = neap_object_value(jobs);
    neap_function function;
    (void)argument;
    check(neap_engine_set(engine, "jobs", &value), "jobs");
    value = neap_object_value(results);
    check(neap_engine_set(engine, "results", &value), "results");
    check(neap_engine_load_string(engine, script, &function), "script");
    check(neap_engine_spawn(engine, function, NULL, 0, NULL, NULL), "spawn");
}

int main(void) {
    struct neap_config config;
    struct neap_engine *engine;
    struct neap_value result;
    pthread_t feeders[FEEDERS];
    int64_t sum = 0;
    int count = 0, code;
    neap_config_init(&config);
    config.drive = NEAP_DRIVE_THREAD;
    config.stdio = true;
    check(neap_queue_create(64, NEAP_QUEUE_FIFO, &jobs), "queue");
    check(neap_channel_create(64, &results), "channel");
    check(neap_engine_new(&config, &engine), "engine");
    check(neap_ask(engine, start, NULL), "ask");
    static char *const names[FEEDERS] = {"a", "b"};
    for (int i = 0; i < FEEDERS; i++) pthread_create(&feeders[i], NULL, feed, names[i]);
    while (count < FEEDERS * JOBS_EACH) {
        check(neap_channel_recv(results, &result, NEAP_NO_TIMEOUT), "receive");
        sum += neap_table_field(result.as.table, "value")->as.integer;
        neap_value_clear(&result);
        count++;
    }
    for (int i = 0; i < FEEDERS; i++) pthread_join(feeders[i], NULL);
    check(neap_object_close(jobs), "close"); /* the workers end */
    while ((code = neap_channel_recv(results, &result, NEAP_NO_TIMEOUT)) == 0) neap_value_clear(&result);
    check(code == NEAP_E_CLOSED ? 0 : code, "end");
    printf("%d jobs, the sum of their results is %lld\n", count, (long long)sum);
    check(neap_engine_free(engine), "free");
    neap_object_drop(jobs);
    neap_object_drop(results);
    return sum == FEEDERS * (int64_t)JOBS_EACH * (JOBS_EACH + 1) * (2 * JOBS_EACH + 1) / 6 ? 0 : 1;
}
