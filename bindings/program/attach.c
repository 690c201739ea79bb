/* attach: where one process of a user finds another one, and who it is. The rest of attaching is Lua: scripts/prompt.
 *
 *   own_place() -> path          of the socket that this process listens on; nil: there is no folder fit for it
 *   find_places(pid) -> list     of paths where that one may listen
 *   is_own(stream) -> boolean    is the process at the other end of the same user?
 *
 * WHERE       A socket called PID in a folder that only the user can look into: neap in $XDG_RUNTIME_DIR or
 *             in the folder that the system has for the user's run-time files; neap-UID in the one for
 *             temporary files, where neither is there. Whoever attaches looks into all of them: it may have
 *             been started with another environment.
 * WHO         The folder must be a real one, the user's own, and closed to all others; and the system is asked who the
 *             other side is (SO_PEERCRED), on both sides. */
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/program/console.h"
#include "io/byte_stream.h"

enum { FOLDERS = 3, PLACE_MAX = sizeof((struct sockaddr_un *)0)->sun_path };

/* True when the path is a folder that nobody but the user can look into; made first, if `make` says so. */
static bool is_private_folder(const char *path, bool make) {
    struct stat status;
    if (make && mkdir(path, S_IRWXU) != 0 && errno != EEXIST) return false;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* The `index`-th folder that may be; empty: there is none. */
static void name_folder(int index, char *path, size_t size) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    unsigned user = (unsigned)geteuid();
    int length = 0;
    if (index == 0 && runtime != NULL && runtime[0] == '/') length = snprintf(path, size, "%s/neap", runtime);
    if (index == 1) length = snprintf(path, size, "/run/user/%u/neap", user);
    if (index == 2) length = snprintf(path, size, P_tmpdir "/neap-%u", user);
    if (length <= 0 || (size_t)length >= size) path[0] = '\0';
}

/* The path of a process's socket in the `index`-th folder, if that is fit for it. */
static bool find_place(char place[PLACE_MAX], int index, long pid, bool make) {
    char folder[PLACE_MAX];
    name_folder(index, folder, sizeof folder);
    if (folder[0] == '\0' || !is_private_folder(folder, make)) return false;
    int length = snprintf(place, PLACE_MAX, "%s/%ld", folder, pid);
    return length > 0 && length < PLACE_MAX;
}

static int own_place(lua_State *L) {
    char place[PLACE_MAX];
    for (int index = 0; index < FOLDERS; index++) {
        if (!find_place(place, index, (long)getpid(), true)) continue;
        lua_pushstring(L, place);
        return 1;
    }
    return 0;
}

static int find_places(lua_State *L) {
    char place[PLACE_MAX];
    long pid = (long)neap_argument_integer(L, 1);
    lua_newtable(L);
    for (int index = 0; index < FOLDERS; index++) {
        if (!find_place(place, index, pid, false)) continue;
        lua_pushstring(L, place);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
    return 1;
}

static int is_own(lua_State *L) {
    const struct neap_byte_stream *stream = (struct neap_byte_stream *)neap_box_check(L, 1, NEAP_HANDLE_STREAM);
    struct ucred other;
    socklen_t size = sizeof other;
    lua_pushboolean(L,
                    getsockopt(stream->poll.fd, SOL_SOCKET, SO_PEERCRED, &other, &size) == 0 && other.uid == geteuid());
    return 1;
}

static const luaL_Reg functions[] = {
    {"own_place", own_place}, {"find_places", find_places}, {"is_own", is_own}, {NULL, NULL}};

void neap_attach_register(lua_State *L) { luaL_setfuncs(L, functions, 0); }
