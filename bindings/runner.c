/* runner: the command line of `neap`. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/program.h"
#include "bindings/version.h"

static const char usage[] = "usage: neap [options] [script [arguments]]\n"
                            "\n"
                            "  neap script.lua ...   runs a script; its arguments are in ... and in the table arg\n"
                            "  neap -                runs what comes on standard input\n"
                            "  neap -e 'code' ...    runs the code\n"
                            "\n"
                            "  -e CODE      run CODE\n"
                            "  -v, --version\n"
                            "  -h, --help\n";

struct command {
    int argc;
    char **argv;
    int script;       /* index of the script's name in argv, or of the first argument after -e's code */
    const char *code; /* of -e; NULL */
};

/* The table arg: the script at 0, its arguments from 1 on, what stands before it below 0. */
static void push_arg_table(lua_State *L, const struct command *command, int zero) {
    lua_createtable(L, command->argc, 0);
    for (int i = 0; i < command->argc; i++) {
        lua_pushstring(L, command->argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
}

static int load(lua_State *L, void *argument) {
    const struct command *command = argument;
    int zero = command->code != NULL ? command->script - 1 : command->script, code;
    push_arg_table(L, command, zero);
    lua_setglobal(L, "arg");
    if (command->code != NULL)
        code = luaL_loadbufferx(L, command->code, strlen(command->code), "=(command line)", "t");
    else if (strcmp(command->argv[command->script], "-") == 0)
        code = luaL_loadfilex(L, NULL, "t");
    else
        code = luaL_loadfilex(L, command->argv[command->script], "t");
    if (code != LUA_OK) lua_error(L);
    luaL_checkstack(L, command->argc, "too many arguments to the script");
    for (int i = zero + 1; i < command->argc; i++) lua_pushstring(L, command->argv[i]);
    return command->argc - zero - 1;
}

static int complain(const char *what, const char *which) {
    fprintf(stderr, "neap: %s%s\n%s", what, which, usage);
    return 2;
}

int main(int argc, char **argv) {
    struct command command = {.argc = argc, .argv = argv, .script = 1, .code = NULL};
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        printf("neap %s (%s)\n", NEAP_VERSION, LUA_RELEASE);
        return 0;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "-e") == 0) {
        if (argc < 3) return complain("-e needs code", "");
        command.code = argv[2];
        command.script = 3;
    } else if (argc > 1 && argv[1][0] == '-' && argv[1][1] != '\0') {
        return complain("unknown option ", argv[1]);
    } else if (argc < 2) {
        if (isatty(STDIN_FILENO)) return complain("a script is needed", "");
        static char dash[] = "-", *stdin_only[] = {dash, dash, NULL};
        command.argc = 2;
        command.argv = stdin_only;
    }
    return neap_program_run(load, &command);
}
