/* files: what takes a while with the file system, in calls that block: they are made in a pool of threads
 * (io/offload.h). Codes are libuv's. */
#ifndef NEAP_IO_FILES_H
#define NEAP_IO_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bytes of a file, or names; grows. */
struct neap_files_bytes {
    char *bytes; /* owned */
    size_t size, room;
};

void neap_files_free(struct neap_files_bytes *bytes);

/* All of a file. */
int neap_files_read(const char *path, struct neap_files_bytes *bytes);
/* Makes it what is given, whole or not at all: it is written under another name first. `mode` is that of a new file. */
int neap_files_write(const char *path, const char *bytes, size_t size, mode_t mode);
/* The same for who writes by himself: a descriptor to write to, or a code. Then `name` is to be
 * renamed to `target`, or removed. */
struct neap_files_draft {
    char name[PATH_MAX], target[PATH_MAX];
    bool in_place; /* what is there is no file (a device), and is written to: there is no `name` */
};
int neap_files_draft(const char *path, mode_t mode, struct neap_files_draft *draft);
/* Adds to its end, or makes it. */
int neap_files_append(const char *path, const char *bytes, size_t size, mode_t mode);
/* A link is followed, or told of itself. */
int neap_files_stat(const char *path, bool follow, struct stat *info);
/* The names in a folder, but "." and "..": each a letter for its type ("f", "d", "l", or "o" for
 * other), the name, and a zero byte. */
int neap_files_list(const char *path, struct neap_files_bytes *names);
/* With `parents`, those that are missing are made too, and one that is there is no error. */
int neap_files_mkdir(const char *path, mode_t mode, bool parents);
/* A file, or an empty folder; recursive: with all that is in it. Links are not followed. */
int neap_files_remove(const char *path, bool recursive);
/* Replaces what has the new name. */
int neap_files_rename(const char *from, const char *to);
/* A file, its bytes and mode (but no set-user-ID), whole or not at all. */
int neap_files_copy(const char *from, const char *to);
/* The path of the file that `path` leads to. */
int neap_files_resolve(const char *path, struct neap_files_bytes *bytes);

/* Reads at `offset` (-1: where the descriptor stands): how many bytes, 0 at the end, or a code. `now`: UV_EAGAIN when
 * the bytes would have to be fetched first. */
ssize_t neap_files_pread(int fd, char *bytes, size_t size, off_t offset, bool now);
/* Writes all. */
int neap_files_pwrite(int fd, const char *bytes, size_t size, off_t offset);

#endif
