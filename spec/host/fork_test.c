/* The host forks while the engine's threads run: the child is the host's own, and may end in any way;
 * the engine goes on in the parent. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { FORKS = 30, SECONDS = 20 };

static const char busy[] =
    "neap = require 'neap' going = neap.event()\n"
    "local function work(c, going) while not going:is_set() do c:send({ 1 }, 0.001) c:recv(0.001)\n"
    "  local t = {} for i = 1, 100 do t[i] = ('x'):rep(i) end end return true end\n"
    "threads, c = {}, neap.channel()\n"
    "for i = 1, 3 do threads[i] = neap.thread({ daemon = true }, work, c, going) end";

/* What the child does, and the status that it then has. */
static void exits(void) {
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    _exit(7); /* their allocators' locks are not free in the child of a fork, and exit allocates */
#else
    exit(7);
#endif
}
static void starts_another_program(void) { execlp("sh", "sh", "-c", "exit 7", (char *)NULL); }

static void the_host_forks_while_threads_run(void **state) {
    void (*const ends[])(void) = {exits, starts_another_program};
    (void)state;
    assert_int_equal(make_engine(NULL), 0);
    run(busy, 0);
    for (int i = 0; i < FORKS; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            alarm(SECONDS);
            ends[i % 2]();
            _exit(1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        run("neap.sleep(0.001)", 0);
    }
    run("going:set() for i = 1, 3 do assert(threads[i]:join()) end", 0);
    assert_int_equal(drop_engine(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_host_forks_while_threads_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
