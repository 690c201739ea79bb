/* locate: where the runner is, which child processes run. */
#ifndef NEAP_BINDINGS_RUNNING_LOCATE_H
#define NEAP_BINDINGS_RUNNING_LOCATE_H

#include <limits.h>

struct neap_engine;

/* The runner's path: what the host has named; or the variable NEAP_RUNNER; or what stands beside this library, or where
 * it was installed, or in PATH. In `path`, or constant. NULL: it was not found. */
const char *neap_locate_runner(const struct neap_engine *engine, char path[PATH_MAX]);

#endif
