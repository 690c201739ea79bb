/* runner: the command line of `neap`. */
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/program.h"
#include "bindings/version.h"

enum { USAGE_STATUS = 2 };

static const char usage[] = "usage: neap [options] [script [arguments]]\n"
                            "\n"
                            "  neap script.lua ...   run a script\n"
                            "  neap - ...            run what comes on standard input; without a script, too\n"
                            "  neap -e 'code' ...    run the code\n"
                            "\n"
                            "The arguments are in ... and in the table arg.\n"
                            "\n"
                            "  -e CODE        run CODE\n"
                            "  --             end the options: what follows is a script, whatever its name\n"
                            "  -v, --version  print the version\n"
                            "  -h, --help     print this\n";

struct command {
    int argc;
    char **argv;
    int zero;         /* index in argv of what is run: the script's name, "-", or -e's code. argc: standard input */
    const char *code; /* of -e; NULL */
};

/* The table arg: what is run at 0, its arguments from 1 on, what stands before it below 0. */
static void push_arg_table(lua_State *L, const struct command *command) {
    lua_createtable(L, command->argc, 1);
    for (int i = 0; i < command->argc; i++) {
        lua_pushstring(L, command->argv[i]);
        lua_rawseti(L, -2, i - command->zero);
    }
    if (command->zero < command->argc) return;
    lua_pushliteral(L, "-");
    lua_rawseti(L, -2, 0);
}

/* Only text: bytecode can be made to crash the machine that runs it. */
static int load_chunk(lua_State *L, const struct command *command) {
    if (command->code != NULL) return luaL_loadbufferx(L, command->code, strlen(command->code), "=(command line)", "t");
    bool is_input = command->zero == command->argc || strcmp(command->argv[command->zero], "-") == 0;
    return luaL_loadfilex(L, is_input ? NULL : command->argv[command->zero], "t");
}

static int load(lua_State *L, void *argument) {
    const struct command *command = argument;
    int count = command->argc - command->zero - 1;
    push_arg_table(L, command);
    lua_setglobal(L, "arg");
    if (load_chunk(L, command) != LUA_OK) lua_error(L);
    if (count <= 0) return 0;
    luaL_checkstack(L, count, "too many arguments to the script");
    for (int i = 1; i <= count; i++) lua_pushstring(L, command->argv[command->zero + i]);
    return count;
}

/* --- the command line --- */

static bool is(const char *argument, const char *name, const char *other) {
    return strcmp(argument, name) == 0 || strcmp(argument, other) == 0;
}

static int print(const char *text) { return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1; }

static int complain(const char *what, const char *which) {
    fprintf(stderr, "neap: %s%s\n%s", what, which, usage);
    return USAGE_STATUS;
}

int main(int argc, char **argv) {
    struct command command = {.argc = argc, .argv = argv, .zero = 1, .code = NULL};
    const char *first = argc > 1 ? argv[1] : "";
    if (is(first, "-v", "--version")) return print("neap " NEAP_VERSION " (" LUA_RELEASE ")\n");
    if (is(first, "-h", "--help")) return print(usage);
    if (strcmp(first, "-e") == 0) {
        if (argc < 3) return complain("-e needs code", "");
        command.code = argv[2];
        command.zero = 2;
    } else if (strcmp(first, "--") == 0) {
        command.zero = 2;
    } else if (first[0] == '-' && first[1] != '\0') {
        return complain("unknown option ", first);
    }
    if (command.zero >= argc) {
        if (isatty(STDIN_FILENO)) return complain("a script is needed", "");
        command.zero = argc;
    }
    return neap_program_run(load, &command);
}
