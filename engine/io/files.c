#include "io/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"

enum { PIECE = 256 * 1024, FIRST_ROOM = 4 * 1024, DEPTH_MAX = 256 };

void neap_files_free(struct neap_files_bytes *bytes) {
    neap_free(bytes->bytes);
    *bytes = (struct neap_files_bytes){NULL, 0, 0};
}

static int make_room(struct neap_files_bytes *bytes, size_t more) {
    if (bytes->room - bytes->size >= more) return 0;
    size_t room = bytes->room * 2 > bytes->size + more ? bytes->room * 2 : bytes->size + more;
    char *grown = neap_realloc(bytes->bytes, room);
    if (grown == NULL) return NEAP_NOMEM;
    bytes->bytes = grown;
    bytes->room = room;
    return 0;
}

static int add(struct neap_files_bytes *bytes, const char *more, size_t size) {
    int code = make_room(bytes, size);
    if (code != 0) return code;
    memcpy(bytes->bytes + bytes->size, more, size);
    bytes->size += size;
    return 0;
}

static int open_file(const char *path, int flags, mode_t mode) {
    int fd;
    do fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* --- pieces --- */

ssize_t neap_files_pread(int fd, char *bytes, size_t size, off_t offset, bool now) {
    struct iovec piece = {.iov_base = bytes, .iov_len = size};
    ssize_t count;
    do
        count = now          ? preadv2(fd, &piece, 1, offset, RWF_NOWAIT)
                : offset < 0 ? read(fd, bytes, size)
                             : pread(fd, bytes, size, offset);
    while (count < 0 && errno == EINTR);
    if (count >= 0) return count;
    return now && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE) ? UV_EAGAIN : -errno;
}

int neap_files_pwrite(int fd, const char *bytes, size_t size, off_t offset) {
    while (size > 0) {
        ssize_t count = offset < 0 ? write(fd, bytes, size) : pwrite(fd, bytes, size, offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -errno;
        bytes += count;
        size -= (size_t)count;
        if (offset >= 0) offset += count;
    }
    return 0;
}

/* --- whole files --- */

static int read_all(int fd, struct neap_files_bytes *bytes) {
    struct stat info;
    size_t expected = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? (size_t)info.st_size + 1 : FIRST_ROOM;
    for (;;) {
        int code = make_room(bytes, bytes->size == 0 ? expected : FIRST_ROOM);
        if (code != 0) return code;
        ssize_t count = neap_files_pread(fd, bytes->bytes + bytes->size, bytes->room - bytes->size, -1, false);
        if (count <= 0) return (int)count;
        bytes->size += (size_t)count;
    }
}

int neap_files_read(const char *path, struct neap_files_bytes *bytes) {
    int fd = open_file(path, O_RDONLY, 0);
    if (fd < 0) return fd;
    int code = read_all(fd, bytes);
    close(fd);
    return code;
}

/* Closes what was written; a full disk may show only now. */
static int finish(int fd, int code) {
    if (close(fd) != 0 && code == 0) code = -errno;
    return code;
}

/* A new file beside `path`, so that renaming it puts it in its place at once. Writes its name to `name`. */
static int open_beside(const char *path, mode_t mode, char name[PATH_MAX]) {
    for (;;) {
        uint32_t random;
        int code = uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
        if (code != 0) return code;
        if (snprintf(name, PATH_MAX, "%s.%08x", path, random) >= PATH_MAX) return UV_ENAMETOOLONG;
        int fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL, mode);
        if (fd != UV_EEXIST) return fd;
    }
}

static int put_in_place(const char *name, const char *path, int code) {
    if (code == 0 && rename(name, path) != 0) code = -errno;
    if (code != 0) unlink(name);
    return code;
}

int neap_files_draft(const char *path, mode_t mode, struct neap_files_draft *draft) {
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (realpath(path, draft->target) == NULL && /* a link stays one */
        snprintf(draft->target, PATH_MAX, "%s", path) >= PATH_MAX)
        return UV_ENAMETOOLONG;
    draft->in_place = exists && !S_ISREG(info.st_mode);
    int fd = draft->in_place ? open_file(path, O_WRONLY, 0) : open_beside(draft->target, mode, draft->name);
    if (fd >= 0 && exists && !draft->in_place) fchmod(fd, info.st_mode & 07777);
    return fd;
}

int neap_files_write(const char *path, const char *bytes, size_t size, mode_t mode) {
    struct neap_files_draft draft;
    int fd = neap_files_draft(path, mode, &draft);
    if (fd < 0) return fd;
    int code = finish(fd, neap_files_pwrite(fd, bytes, size, -1));
    return draft.in_place ? code : put_in_place(draft.name, draft.target, code);
}

int neap_files_append(const char *path, const char *bytes, size_t size, mode_t mode) {
    int fd = open_file(path, O_WRONLY | O_APPEND | O_CREAT, mode);
    return fd < 0 ? fd : finish(fd, neap_files_pwrite(fd, bytes, size, -1));
}

static int copy_bytes(int from, int to) {
    char *bytes = neap_alloc(PIECE);
    ssize_t count;
    if (bytes == NULL) return NEAP_NOMEM;
    while ((count = neap_files_pread(from, bytes, PIECE, -1, false)) > 0) {
        int code = neap_files_pwrite(to, bytes, (size_t)count, -1);
        if (code != 0) count = code;
        if (code != 0) break;
    }
    neap_free(bytes);
    return (int)count;
}

int neap_files_copy(const char *from, const char *to) {
    char name[PATH_MAX];
    struct stat info;
    int source = open_file(from, O_RDONLY, 0);
    if (source < 0) return source;
    int code = fstat(source, &info) != 0 ? -errno : S_ISDIR(info.st_mode) ? UV_EISDIR : 0;
    int target = code == 0 ? open_beside(to, info.st_mode & 07777, name) : code;
    if (target >= 0) fchmod(target, info.st_mode & 07777);
    if (target >= 0) code = put_in_place(name, to, finish(target, copy_bytes(source, target)));
    close(source);
    return target < 0 ? target : code;
}

/* --- names --- */

int neap_files_stat(const char *path, bool follow, struct stat *info) {
    return (follow ? stat(path, info) : lstat(path, info)) == 0 ? 0 : -errno;
}

static char letter_of(int folder, const struct dirent *entry) {
    struct stat info;
    switch (entry->d_type) {
        case DT_REG: return 'f';
        case DT_DIR: return 'd';
        case DT_LNK: return 'l';
        case DT_UNKNOWN: break;
        default: return 'o';
    }
    if (fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return 'o';
    return S_ISREG(info.st_mode) ? 'f' : S_ISDIR(info.st_mode) ? 'd' : S_ISLNK(info.st_mode) ? 'l' : 'o';
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

int neap_files_list(const char *path, struct neap_files_bytes *names) {
    DIR *folder = opendir(path);
    int code = 0;
    if (folder == NULL) return -errno;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            code = -errno;
            break;
        }
        if (is_dots(entry->d_name)) continue;
        char letter = letter_of(dirfd(folder), entry);
        code = add(names, &letter, 1);
        if (code == 0) code = add(names, entry->d_name, strlen(entry->d_name) + 1);
        if (code != 0) break;
    }
    closedir(folder);
    return code;
}

static int make_folder(const char *path, mode_t mode, bool may_be_there) {
    struct stat info;
    if (mkdir(path, mode) == 0) return 0;
    int code = -errno;
    if (code == UV_EEXIST && may_be_there && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return 0;
    return code;
}

int neap_files_mkdir(const char *path, mode_t mode, bool parents) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= PATH_MAX) return UV_ENAMETOOLONG;
    for (size_t i = 1; parents && i < length; i++) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int code = make_folder(part, 0777, true);
        if (code != 0) return code;
    }
    return make_folder(path, mode, parents);
}

static int remove_at(int folder, const char *name, int depth);

/* Takes over `fd`. */
static int empty_folder(int fd, int depth) {
    DIR *folder = fdopendir(fd);
    const struct dirent *entry;
    int code = 0;
    if (folder == NULL) {
        code = -errno;
        close(fd);
        return code;
    }
    while (code == 0 && (entry = readdir(folder)) != NULL)
        if (!is_dots(entry->d_name)) code = remove_at(dirfd(folder), entry->d_name, depth);
    closedir(folder);
    return code;
}

static int remove_at(int folder, const char *name, int depth) {
    if (unlinkat(folder, name, 0) == 0) return 0;
    if (errno != EISDIR && errno != EPERM) return -errno;
    if (depth == DEPTH_MAX) return UV_ELOOP;
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -errno;
    int code = empty_folder(fd, depth + 1);
    if (code == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0) code = -errno;
    return code;
}

int neap_files_remove(const char *path, bool recursive) {
    if (recursive) return remove_at(AT_FDCWD, path, 0);
    if (unlink(path) == 0) return 0;
    if (errno != EISDIR && errno != EPERM) return -errno;
    return rmdir(path) == 0 ? 0 : -errno;
}

int neap_files_rename(const char *from, const char *to) { return rename(from, to) == 0 ? 0 : -errno; }

int neap_files_resolve(const char *path, struct neap_files_bytes *bytes) {
    char target[PATH_MAX];
    if (realpath(path, target) == NULL) return -errno;
    return add(bytes, target, strlen(target));
}
