/* pipe: the directions of a pipe's end, for those that wait on several handles. */
#ifndef NEAP_BINDINGS_SYNC_PIPE_H
#define NEAP_BINDINGS_SYNC_PIPE_H

#include <stdbool.h>

#include "core/object.h"

/* The stream that the pipe end `object` sends to, or receives from. NULL, or what is wrong: there
 * is none, or the end is closed. */
const char *neap_pipe_find_stream(struct neap_object *object, bool sends, struct neap_object **stream);

#endif
