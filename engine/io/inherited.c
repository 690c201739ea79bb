/* inherited: to be non-blocking is a property of what was opened, not of the descriptor: set for a terminal or pipe
 * that other programs have too, it would break them, long after we have ended. So these are opened again, by the name
 * that the system has for them. A socket cannot be; it is duplicated, and shares the property. */
#include "io/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int neap_inherited_reopen(int fd, int *result) {
    char name[32];
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int own = open(name, (flags & (O_ACCMODE | O_APPEND)) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (own < 0) own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return -errno;
    *result = own;
    return 0;
}
