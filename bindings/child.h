/* child: a process that another one has started. */
#ifndef NEAP_BINDINGS_CHILD_H
#define NEAP_BINDINGS_CHILD_H

/* Runs what the parent has sent over the descriptors that this process was given. Returns the exit status, or ends with the
 * signal that it was sent. */
int neap_child_run(void);

#endif
