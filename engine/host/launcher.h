/* launcher: starts processes. The essay is in launcher.c. */
#ifndef NEAP_HOST_LAUNCHER_H
#define NEAP_HOST_LAUNCHER_H

#include <stdbool.h>
#include <sys/types.h>

struct neap_hub;

/* Where a process that was started here finds what it was given; 0 is /dev/null, 1 and 2 are pipes. */
enum { NEAP_LAUNCH_SOCKET = 3, NEAP_LAUNCH_SEGMENT = 4 };

/* How the runner is called, as its first argument: by this library only. */
#define NEAP_LAUNCH_CHILD "--neap-child"
#define NEAP_LAUNCH_NURSERY "--neap-nursery"

struct neap_launch {
    const char *program;      /* the runner's path */
    int socket, segment;      /* descriptors of the wire; borrowed */
    int output, error_output; /* where it prints to; borrowed */
};

/* Any thread but the hub's; may take a millisecond. Starts the runner as a child process of this one. 0; or what the
 * system said: UV_ENOENT, UV_EACCES, UV_EAGAIN, ... */
int neap_launch(struct neap_hub *hub, const struct neap_launch *launch, pid_t *pid);

/* The hub's thread, at its end: lets go of what was needed to start processes. */
void neap_launcher_end(struct neap_hub *hub);

/* --- in the process that was started --- */

/* It was started as a child: sees to it that it ends with `parent`, and holds no descriptor that it was not given. */
void neap_launch_settle(pid_t parent);
/* It was started as the nursery: makes processes as it is asked to. Returns in each of these, which goes on as a child,
 * settled; the nursery itself exits when nobody can ask any more. */
void neap_launch_nurse(void);

#endif
