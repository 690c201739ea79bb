#include "io/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "io/library.h"

const char neap_curl_name[] = "libcurl.so.4";

/* Two threads that load it at once: libcurl's own start is not safe with itself before 7.84. */
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;

#define FUNCTION(name) \
    { "curl_" #name, offsetof(struct neap_curl, name) }

static const struct {
    const char *name;
    size_t place; /* in struct neap_curl */
} functions[] = {FUNCTION(global_init),         FUNCTION(easy_init),        FUNCTION(easy_setopt),
                 FUNCTION(easy_getinfo),        FUNCTION(easy_pause),       FUNCTION(easy_cleanup),
                 FUNCTION(easy_strerror),       FUNCTION(multi_init),       FUNCTION(multi_setopt),
                 FUNCTION(multi_assign),        FUNCTION(multi_add_handle), FUNCTION(multi_remove_handle),
                 FUNCTION(multi_socket_action), FUNCTION(multi_info_read),  FUNCTION(multi_cleanup),
                 FUNCTION(slist_append),        FUNCTION(slist_free_all)};

/* C does not convert a pointer to data into one to a function. */
static bool find_all(void *library, struct neap_curl *curl) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *address = dlsym(library, functions[i].name);
        if (address == NULL) return false;
        memcpy((char *)curl + functions[i].place, &address, sizeof address);
    }
    return true;
}

int neap_curl_load(struct neap_curl *curl) {
    void *library;
    int opened = neap_library_open(neap_curl_name, &library);
    if (opened != 0) return opened;
    if (!find_all(library, curl)) return NEAP_MISSING;
    pthread_mutex_lock(&starting);
    CURLcode code = curl->global_init(CURL_GLOBAL_DEFAULT);
    pthread_mutex_unlock(&starting);
    return code == CURLE_OK ? 0 : NEAP_MISSING;
}
