#include "io/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "core/error.h"
#include "io/library.h"

#define TEXT_OF(word) #word
#define LIBRARY(version) "libssl.so." TEXT_OF(version)

const char neap_openssl_name[] = LIBRARY(OPENSSL_SHLIB_VERSION);

struct neap_openssl neap_openssl; /* written under `loading`, once, then constant */

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static bool loaded; /* under `loading` */

/* A function's address, into a pointer to a function, which C does not convert. */
static bool find(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* libcrypto comes with libssl, and is searched with it. At the exit of the process it must not clean up under
 * the threads that still use it. */
static int load(void) {
    void *library;
    int code = neap_library_open(neap_openssl_name, &library);
    if (code != 0) return code;
#define FIND(name) find(library, #name, &neap_openssl.name) &&
    loaded = NEAP_OPENSSL_FUNCTIONS(FIND) neap_openssl.OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) == 1;
#undef FIND
    return loaded ? 0 : NEAP_MISSING;
}

int neap_openssl_load(void) {
    pthread_mutex_lock(&loading);
    int code = loaded ? 0 : load();
    pthread_mutex_unlock(&loading);
    return code;
}
