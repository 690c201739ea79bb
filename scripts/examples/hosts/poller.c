/* A program with a poll loop of its own, in which an engine lives beside its other descriptors.
 *
 * What arrives in a pipe is handed to a task through a channel; what the task answers is printed. A function of the
 * host, rest(), finishes later: only the task that has called it waits, the poll loop goes on.
 *
 *   heard: one
 *   heard: two
 *   3 turns of rest() while 2 words were heard */
#include <neap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct neap_object *words;
static struct neap_completion *resting; /* of the call of rest() that waits; NULL: none does */
static int rests;

static const char script[] = "local neap, heard, over = require 'neap', 0, false\n"
                             "neap.spawn(function()\n"
                             "  for word in words:iter() do heard = heard + 1 print('heard: ' .. word) end\n"
                             "  over = true\n"
                             "end)\n"
                             "local turns = 0\n"
                             "while not over do turns = rest() neap.sleep(0.001) end\n"
                             "print(math.min(turns, 3) .. ' turns of rest() while ' .. heard .. ' words were heard')";

static void check(int code, const char *what) {
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, neap_error_name(code));
    exit(1);
}

/* rest() -> how often it was called */
static int rest(struct neap_native_call *call, void *argument) {
    (void)argument;
    return neap_call_defer(call, &resting);
}

static void finish_rest(void) {
    struct neap_value value = neap_integer(++rests);
    struct neap_completion *completion = resting;
    resting = NULL;
    check(neap_completion_finish(completion, &value, 1), "rest");
}

/* The script is told when it may take the word. */
static void on_sent(void *argument, int served, struct neap_operation *operations, size_t count) {
    (void)argument;
    (void)operations;
    (void)count;
    check(served, "send");
}

static void hand_over(struct neap_engine *engine, const char *word, size_t length) {
    struct neap_operation send = {.object = words, .verb = NEAP_SEND, .value = neap_bytes(word, length)};
    check(neap_begin(engine, NULL, &send, 1, NEAP_NO_TIMEOUT, on_sent, NULL), "begin");
}

/* One turn of the poll loop: waits for the pipe and for the engine. False: the pipe has ended. */
static int turn(struct neap_engine *engine, int input) {
    struct pollfd watched[2] = {{neap_engine_descriptor(engine), POLLIN, 0}, {input, POLLIN, 0}};
    double seconds = neap_engine_timeout(engine);
    char word[16];
    if (resting != NULL && seconds > 0.001) seconds = 0.001; /* how long a rest is */
    poll(watched, input < 0 ? 1 : 2, seconds > 1000 ? -1 : (int)(seconds * 1000 + 0.999));
    if (resting != NULL) finish_rest();
    check(neap_engine_step(engine), "step");
    if (input < 0 || !(watched[1].revents & (POLLIN | POLLHUP))) return 1;
    ssize_t length = read(input, word, 3);
    if (length > 0) hand_over(engine, word, (size_t)length);
    return length > 0;
}

int main(void) {
    struct neap_config config;
    struct neap_engine *engine;
    struct neap_value value;
    neap_function function;
    int ends[2];
    neap_config_init(&config);
    config.drive = NEAP_DRIVE_STEPS;
    config.stdio = true;
    check(neap_engine_new(&config, &engine), "engine");
    check(neap_channel_create(0, &words), "channel");
    value = neap_object_value(words);
    check(neap_engine_set(engine, "words", &value), "words");
    check(neap_engine_register(engine, "rest", rest, NULL), "rest");
    check(neap_engine_load_string(engine, script, &function), "script");
    check(neap_engine_spawn(engine, function, NULL, 0, NULL, NULL), "spawn");
    if (pipe(ends) != 0) return 1;
    for (int open = 1, said = 0; neap_engine_is_busy(engine);) {
        if (said == 0 && rests >= 1) said = (int)write(ends[1], "one", 3);
        if (said == 3 && rests >= 3) {
            said += (int)write(ends[1], "two", 3);
            close(ends[1]);
        }
        if (open && !turn(engine, ends[0])) {
            open = 0;
            check(neap_object_close(words), "close");
        } else if (!open) {
            turn(engine, -1);
        }
    }
    close(ends[0]);
    check(neap_engine_free(engine), "free");
    neap_object_drop(words);
    return 0;
}
