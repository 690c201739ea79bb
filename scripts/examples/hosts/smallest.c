/* The smallest host: runs a script of one line, and says what went wrong if something did.
 *
 *   cc smallest.c $(pkg-config --cflags --libs neap) && ./a.out
 *   1 + 2 = 3 */
#include <neap.h>
#include <stdio.h>

int main(void) {
    struct neap_config config;
    struct neap_engine *engine;
    neap_config_init(&config);
    config.stdio = true; /* scripts may print */
    if (neap_engine_new(&config, &engine) != 0) return 1;
    int code = neap_engine_run_string(engine, "print('1 + 2 = ' .. 1 + 2)");
    if (code != 0) fprintf(stderr, "%s: %s\n", neap_error_name(code), neap_engine_message(engine));
    neap_engine_free(engine);
    return code == 0 ? 0 : 1;
}
