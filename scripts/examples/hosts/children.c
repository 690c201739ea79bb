/* A program whose scripts start processes, which run this program again: nothing else has to be installed.
 *
 *   a child prints: hello
 *   primes below 20000: 2262 */
#include <neap.h>
#include <stdio.h>

static const char script[] =
    "local neap = require 'neap'\n"
    "assert(neap.process(function() print('a child prints: hello') end)):join()\n"
    "local function count(from)\n"
    "    local primes = 0\n"
    "    for n = from, from + 4999 do\n"
    "        local prime = n > 1\n"
    "        for d = 2, math.floor(n ^ 0.5) do if n % d == 0 then prime = false break end end\n"
    "        if prime then primes = primes + 1 end\n"
    "    end\n"
    "    return primes\n"
    "end\n"
    "local pool <close> = neap.pool {workers = 2, kind = 'process'}\n"
    "local sum = 0\n"
    "for _, primes in ipairs(pool:map(count, {0, 5000, 10000, 15000})) do sum = sum + primes end\n"
    "print('primes below 20000: ' .. sum)\n";

static void show(void *context, const char *bytes, size_t length) {
    (void)context;
    fwrite(bytes, 1, length, stdout);
}

int main(int argc, char **argv) {
    struct neap_config config;
    struct neap_engine *engine;
    int status = neap_child_main(argc, argv);
    if (status >= 0) return status; /* this was a child, and it has run */
    neap_config_init(&config);
    config.child_program = "/proc/self/exe";
    config.on_output = show;
    if (neap_engine_new(&config, &engine) != 0) return 1;
    int code = neap_engine_run_string(engine, script);
    if (code != 0) fprintf(stderr, "%s\n", neap_engine_message(engine));
    neap_engine_free(engine);
    return code != 0;
}
