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

enum { PIECE = 256 * 1024, FIRST_ROOM = 4 * 1024, LINKS_MAX = 40 /* that a path leads over, as the system has it */ };

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

/* Where the last name of a path begins. */
static size_t last_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* A new file beside `path`, so that renaming it puts it in its place at once. Writes its name to `name`: that of
 * `path`, as far as there is room, and something behind it. */
static int open_beside(const char *path, mode_t mode, char name[PATH_MAX]) {
    enum { BEHIND = 9 }; /* a dot and eight digits */
    size_t length = strlen(path), longest = last_name(path) + NAME_MAX - BEHIND;
    for (;;) {
        uint32_t random;
        int code = uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
        if (code != 0) return code;
        if (snprintf(name, PATH_MAX, "%.*s.%08x", (int)(length < longest ? length : longest), path, random) >= PATH_MAX)
            return UV_ENAMETOOLONG;
        int fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL, mode);
        if (fd != UV_EEXIST) return fd;
    }
}

static int put_in_place(const char *name, const char *path, int code) {
    if (code == 0 && rename(name, path) != 0) code = -errno;
    if (code != 0) unlink(name);
    return code;
}

/* Puts what the link `target` says in its place. UV_EINVAL: it is no link. */
static int follow_link(char target[PATH_MAX]) {
    char link[PATH_MAX];
    ssize_t length = readlink(target, link, sizeof link - 1);
    if (length < 0) return -errno;
    size_t folder = link[0] == '/' ? 0 : last_name(target);
    if (folder + (size_t)length >= PATH_MAX) return UV_ENAMETOOLONG;
    memcpy(target + folder, link, (size_t)length);
    target[folder + (size_t)length] = '\0';
    return 0;
}

/* The path of what `path` leads to, be it that nothing is there yet. */
static int find_target(const char *path, char target[PATH_MAX]) {
    char real[PATH_MAX];
    if (snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX) return UV_ENAMETOOLONG;
    for (int links = 0; links < LINKS_MAX; links++) {
        if (realpath(target, real) != NULL) {
            memcpy(target, real, strlen(real) + 1);
            return 0;
        }
        if (errno != ENOENT) return -errno;
        int code = follow_link(target);
        if (code != 0) return code == UV_EINVAL || code == UV_ENOENT ? 0 : code;
    }
    return UV_ELOOP;
}

/* 0: what is there may be written. Containers of old refuse the call behind AT_EACCESS, whose number they do not know,
 * as if it were the file (UV_EPERM); then the older call is asked, where it means the same user. */
static int check_writable(const char *path) {
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) return 0;
    if (errno == EPERM && getuid() == geteuid() && getgid() == getegid() && access(path, W_OK) == 0) return 0;
    return -errno;
}

/* What takes the place of the file `path` has its owner, group and `kept` bits of its mode, as far as the system lets
 * us. A new owner costs it some of these, so they come last; those by which it runs as its owner go with that one. */
static void become_like(int fd, const char *path, mode_t kept) {
    struct stat other;
    if (stat(path, &other) != 0) return;
    bool owned = fchown(fd, other.st_uid, other.st_gid) == 0;
    bool grouped = owned || fchown(fd, (uid_t)-1, other.st_gid) == 0;
    if (!owned) kept &= ~(mode_t)S_ISUID;
    if (!grouped) kept &= ~(mode_t)S_ISGID;
    fchmod(fd, other.st_mode & kept);
}

/* `mode`: of a new file; of one that is there, `kept` bits stay. */
static int begin_draft(const char *path, mode_t mode, mode_t kept, struct neap_files_draft *draft) {
    struct stat info;
    bool exists = stat(path, &info) == 0;
    int code = find_target(path, draft->target);
    if (code != 0) return code;
    code = exists ? check_writable(path) : 0; /* renaming would not ask for that */
    if (code != 0 && code != UV_ENOENT) return code;
    if (code == UV_ENOENT) exists = false; /* it is gone meanwhile */
    draft->in_place = exists && !S_ISREG(info.st_mode);
    if (draft->in_place) return open_file(path, O_WRONLY, 0);
    int fd = open_beside(draft->target, exists ? mode & 0600 : mode, draft->name); /* nobody else opens it too soon */
    if (fd >= 0 && exists) become_like(fd, draft->target, kept);
    return fd;
}

int neap_files_draft(const char *path, mode_t mode, struct neap_files_draft *draft) {
    return begin_draft(path, mode, 07777, draft);
}

/* Ends what neap_files_draft has begun: `code` says how the writing to `fd` went. */
static int put_draft(const struct neap_files_draft *draft, int fd, int code) {
    code = finish(fd, code);
    return draft->in_place ? code : put_in_place(draft->name, draft->target, code);
}

int neap_files_write(const char *path, const char *bytes, size_t size, mode_t mode) {
    struct neap_files_draft draft;
    int fd = neap_files_draft(path, mode, &draft);
    if (fd < 0) return fd;
    return put_draft(&draft, fd, neap_files_pwrite(fd, bytes, size, -1));
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

static int copy_to(const char *to, int source, mode_t mode) {
    struct neap_files_draft draft;
    int target = begin_draft(to, mode, 0, &draft);
    if (target < 0) return target;
    if (!draft.in_place) fchmod(target, mode);
    return put_draft(&draft, target, copy_bytes(source, target));
}

int neap_files_copy(const char *from, const char *to) {
    struct stat info;
    int source = open_file(from, O_RDONLY, 0);
    if (source < 0) return source;
    int code = fstat(source, &info) != 0 ? -errno : S_ISDIR(info.st_mode) ? UV_EISDIR : 0;
    if (code == 0) code = copy_to(to, source, info.st_mode & 0777); /* not as whom it runs */
    close(source);
    return code;
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

/* A folder on the way to another. What is there and leads to none is why there is no way. */
static int make_parent(const char *path) {
    struct stat info;
    int code = make_folder(path, 0777, true);
    if (code != UV_EEXIST) return code;
    return stat(path, &info) == 0 ? UV_ENOTDIR : -errno;
}

int neap_files_mkdir(const char *path, mode_t mode, bool parents) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= PATH_MAX) return UV_ENAMETOOLONG;
    for (size_t i = 1; parents && i < length; i++) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int code = make_parent(part);
        if (code != 0) return code;
    }
    return make_folder(path, mode, parents);
}

/* --- removing --- */

/* Removing a folder with all that is in it, however deep that is: one folder is open at a time. Below the top,
 * `level` says how it got there. */
struct level {
    struct level *above;
    dev_t device; /* of the folder above, to which ".." must lead */
    ino_t inode;
    char name[]; /* of this folder in that one */
};

/* Opens the folder `name` in `folder`, which it closes. A link is not followed. */
static DIR *enter(DIR *folder, const char *name) {
    int fd = openat(dirfd(folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *next = fd < 0 ? NULL : fdopendir(fd);
    int problem = errno;
    if (fd >= 0 && next == NULL) close(fd);
    closedir(folder);
    errno = problem;
    return next;
}

/* Down into `name`. */
static int descend(DIR **folder, struct level **level, const char *name) {
    size_t size = strlen(name) + 1;
    struct stat info;
    if (fstat(dirfd(*folder), &info) != 0) return -errno;
    struct level *below = neap_alloc(sizeof *below + size);
    if (below == NULL) return NEAP_NOMEM;
    *below = (struct level){.above = *level, .device = info.st_dev, .inode = info.st_ino};
    memcpy(below->name, name, size);
    *level = below;
    *folder = enter(*folder, below->name);
    return *folder == NULL ? -errno : 0;
}

static bool is_above(DIR *folder, const struct level *level) {
    struct stat info;
    return fstat(dirfd(folder), &info) == 0 && info.st_dev == level->device && info.st_ino == level->inode;
}

/* Up again from a folder that is empty, and removes it. UV_ENOENT: somebody has moved it meanwhile. */
static int ascend(DIR **folder, struct level **level) {
    struct level *left = *level;
    *folder = enter(*folder, "..");
    int code = *folder == NULL ? -errno : is_above(*folder, left) ? 0 : UV_ENOENT;
    if (code == 0 && unlinkat(dirfd(*folder), left->name, AT_REMOVEDIR) != 0) code = -errno;
    *level = left->above;
    neap_free(left);
    return code;
}

static bool is_folder(int code) { return code == UV_EISDIR || code == UV_EPERM; }

static void forget(struct level *level) {
    while (level != NULL) {
        struct level *above = level->above;
        neap_free(level);
        level = above;
    }
}

/* Removes all that is in `folder`, which it closes. What cannot be removed ends it. */
static int empty_folder(DIR *folder) {
    struct level *level = NULL;
    const struct dirent *entry;
    int code = 0;
    do {
        errno = 0;
        entry = readdir(folder);
        if (entry == NULL)
            code = errno != 0 ? -errno : level != NULL ? ascend(&folder, &level) : UV_EOF;
        else if (!is_dots(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
            code = is_folder(-errno) ? descend(&folder, &level, entry->d_name) : -errno;
    } while (code == 0);
    if (folder != NULL) closedir(folder);
    forget(level);
    return code == UV_EOF ? 0 : code;
}

static int remove_all(const char *path) {
    int fd = open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0) return fd;
    DIR *folder = fdopendir(fd);
    int code = folder == NULL ? -errno : empty_folder(folder);
    if (folder == NULL) close(fd);
    return code == 0 && rmdir(path) != 0 ? -errno : code;
}

/* Is the last name of the path "." or ".."? The system removes nothing by these, but lets us remove what is in it. */
static bool ends_in_dots(const char *path) {
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/') length--;
    size_t dots = 0;
    while (dots < length && path[length - 1 - dots] == '.') dots++;
    return (dots == 1 || dots == 2) && (dots == length || path[length - 1 - dots] == '/');
}

int neap_files_remove(const char *path, bool recursive) {
    if (ends_in_dots(path)) return UV_EINVAL;
    if (unlink(path) == 0) return 0;
    if (!is_folder(-errno)) return -errno;
    if (recursive) return remove_all(path);
    return rmdir(path) == 0 ? 0 : -errno;
}

int neap_files_rename(const char *from, const char *to) { return rename(from, to) == 0 ? 0 : -errno; }

int neap_files_resolve(const char *path, struct neap_files_bytes *bytes) {
    char target[PATH_MAX];
    if (realpath(path, target) == NULL) return -errno;
    return add(bytes, target, strlen(target));
}
