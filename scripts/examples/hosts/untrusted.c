/* A program that runs scripts which nobody vouches for: 16 MB, 100 ms of processor time,
 * and nothing of the outside world.
 *
 * Each gets an engine of its own. Whatever it does, the program goes on.
 * An argument is another processor time, in seconds.
 *
 *   a good one: ok
 *   an endless loop: cpu
 *   one that catches errors: cpu
 *   a memory bomb: memory
 *   a deep recursion: memory
 *   string.rep: failed
 *   a pattern: cpu
 *   a file: denied
 *   a program: denied
 *   bytecode: denied */
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *script, *expected;
} scripts[] = {
    {"a good one",
     "local neap = require 'neap' local c = neap.channel() neap.spawn(function() c:send(1) end) assert(c:recv() == 1)",
     "ok"},
    {"an endless loop", "while true do end", "cpu"},
    {"one that catches errors", "while true do pcall(function() while true do end end) end", "cpu"},
    {"a memory bomb", "local s = 'x' while true do s = s .. s end", "memory"},
    {"a deep recursion", "local function f() return 1 + f() end f()", "memory"},
    {"string.rep", "string.rep('x', 1e10)", "failed"},
    {"a pattern", "('a'):rep(1e4):find(('.-'):rep(20) .. 'b')", "cpu"},
    {"a file", "io.open('/etc/passwd')", "denied"},
    {"a program", "os.execute('true')", "denied"},
    {"bytecode", "string.dump(print)", "denied"},
};

/* The word for how the script ended. */
static const char *run(const struct neap_config *config, const char *script) {
    struct neap_engine *engine;
    int code = neap_engine_new(config, &engine);
    if (code != 0) return neap_error_name(code);
    code = neap_engine_run_string(engine, script);
    neap_engine_free(engine);
    return neap_error_name(code);
}

int main(int argc, char **argv) {
    struct neap_config config;
    int surprises = 0;
    neap_config_init(&config);
    config.memory_limit = 16 << 20;
    config.cpu_limit = argc > 1 ? strtod(argv[1], NULL) : 0.1;
    config.task_limit = 1000;
    config.denied = NEAP_DENY_ALL;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        const char *end = run(&config, scripts[i].script);
        printf("%s: %s\n", scripts[i].name, end);
        if (strcmp(end, scripts[i].expected) != 0) surprises++;
    }
    return surprises;
}
