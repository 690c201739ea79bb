/* curl: libcurl, loaded when it is first needed. */
#ifndef NEAP_IO_CURL_H
#define NEAP_IO_CURL_H

#include <curl/curl.h>

/* The functions of libcurl that we use, typed as its header has them. */
struct neap_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_pause) easy_pause;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_setopt) multi_setopt;
    __typeof__(&curl_multi_assign) multi_assign;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_socket_action) multi_socket_action;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
};

extern const char neap_curl_name[]; /* the file that is loaded */

/* Any thread: fills in `curl`. NEAP_MISSING: there is no libcurl on this machine, or it will not
 * start; or what else there is (io/library.h). What is loaded stays loaded. */
int neap_curl_load(struct neap_curl *curl);

#endif
