#include "io/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define TEXT_OF(word) #word
#define LIBRARY(version) "libssl.so." TEXT_OF(version)

const char neap_openssl_name[] = LIBRARY(OPENSSL_SHLIB_VERSION);

struct neap_openssl neap_openssl; /* written under `once`, then constant */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded; /* likewise */

/* A function's address, into a pointer to a function, which C does not convert. */
static bool find(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* libcrypto comes with libssl, and is searched with it. At the exit of the process it must not clean up under
 * the threads that still use it. */
static void load(void) {
    void *library = dlopen(neap_openssl_name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
#define FIND(name) find(library, #name, &neap_openssl.name) &&
    loaded = NEAP_OPENSSL_FUNCTIONS(FIND) neap_openssl.OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) == 1;
#undef FIND
}

bool neap_openssl_load(void) {
    pthread_once(&once, load);
    return loaded;
}
