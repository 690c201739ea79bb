#include "core/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void neap_standard_fill(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        int filler = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest number that is free */
        if (filler > STDERR_FILENO) close(filler);                                /* somebody else has been faster */
    }
}
