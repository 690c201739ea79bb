#include "io/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "core/error.h"

/* dlopen says why in words only. */
static int why_not(void) {
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == EMFILE || errno == ENFILE ? -errno : NEAP_MISSING;
    close(fd);
    return NEAP_MISSING;
}

int neap_library_open(const char *name, void **library) {
    void *found = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (found == NULL) return why_not();
    *library = found;
    return 0;
}
