#include "bindings/running/locate.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/engine.h"

static const char runner[] = "neap";

/* Is there a program `folder` + `between` + the runner's name? Then that is in `path`. */
static bool is_in(const char *folder, int length, const char *between, char path[PATH_MAX]) {
    int size = snprintf(path, PATH_MAX, "%.*s%s%s", length, folder, between, runner);
    struct stat found;
    return size > 0 && size < PATH_MAX && access(path, X_OK) == 0 && stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

/* Beside the library, as built; or in bin, where the library is in lib, in a folder of lib for
 * the machine, or in lib/lua/5.4. */
static bool is_near_library(char path[PATH_MAX]) {
    Dl_info library;
    if (dladdr(runner, &library) == 0 || library.dli_fname == NULL) return false;
    const char *end = strrchr(library.dli_fname, '/');
    const char *folder = end != NULL ? library.dli_fname : ".";
    int length = end != NULL ? (int)(end - library.dli_fname) : 1;
    static const char *const between[] = {"/", "/../bin/", "/../../bin/", "/../../../bin/"};
    for (size_t i = 0; i < sizeof between / sizeof between[0]; i++)
        if (is_in(folder, length, between[i], path)) return true;
    return false;
}

static bool is_in_path(char path[PATH_MAX]) {
    const char *folder = getenv("PATH");
    while (folder != NULL && *folder != '\0') {
        const char *end = strchr(folder, ':');
        int length = end != NULL ? (int)(end - folder) : (int)strlen(folder);
        if (length > 0 && is_in(folder, length, "/", path)) return true;
        folder = end != NULL ? end + 1 : NULL;
    }
    return false;
}

const char *neap_locate_runner(const struct neap_engine *engine, char path[PATH_MAX]) {
    if (engine->runner != NULL) return engine->runner;
    const char *named = getenv("NEAP_RUNNER");
    if (named != NULL && *named != '\0') return named;
    return is_near_library(path) || is_in_path(path) ? path : NULL;
}
