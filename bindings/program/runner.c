/* runner: the command line of `neap`. */
#include <lauxlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bindings/module.h"
#include "bindings/neap.h"
#include "bindings/program/program.h"
#include "bindings/version.h"

enum {
    USAGE_STATUS = 2,
    KEPT_BLOCK = 32 * 1024 * 1024, /* bytes: what is larger goes back to the system when it is freed */
    KEPT_FREE = 64 * 1024 * 1024   /* bytes: what is free at the end of a heap goes when it is more */
};

static const char usage[] = "usage: neap [options] [script [arguments]]\n"
                            "\n"
                            "  neap script.lua ...   run a script\n"
                            "  neap - ...            run what comes on standard input; without a script, too\n"
                            "  neap -e 'code' ...    run the code\n"
                            "  neap                  on a terminal: the prompt\n"
                            "  neap --attach PID     a prompt in a running program\n"
                            "\n"
                            "The arguments are in ... and in the table arg.\n"
                            "\n"
                            "  -e CODE        run CODE; may be given again right behind it, for more\n"
                            "  -i             then go on at the prompt\n"
                            "  --attachable   let `neap --attach` of the same user reach the program\n"
                            "  --             end the options: what follows is a script, whatever its name\n"
                            "  -v, --version  print the version\n"
                            "  -h, --help     print this\n";

struct command {
    int argc;
    char **argv;
    int zero;    /* index in argv of what is run: the script's name, "-", or the last -e's code. argc: standard input */
    int codes;   /* how many pieces of code -e has given: argv[zero], argv[zero - 2] and so on */
    long attach; /* the process to attach to; 0: none */
    bool prompt; /* the prompt comes after what is run, or in its stead */
    bool attachable; /* others may attach to this program */
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

/* Leaves a function that calls all codes of -e. */
static int load_codes(lua_State *L, const struct command *command) {
    static const char all[] =
        "local codes = ... "
        "return function(...) for i = 1, #codes - 1 do codes[i](...) end return codes[#codes](...) end";
    int status = LUA_OK;
    lua_createtable(L, command->codes, 0);
    for (int i = 1; i <= command->codes && status == LUA_OK; i++) {
        const char *code = command->argv[command->zero - 2 * (command->codes - i)];
        status = luaL_loadbufferx(L, code, strlen(code), "=(command line)", "t");
        if (status == LUA_OK && command->codes > 1) lua_rawseti(L, -2, i);
    }
    if (status != LUA_OK || command->codes == 1) {
        lua_remove(L, -2);
        return status;
    }
    luaL_loadbufferx(L, all, sizeof all - 1, "=(command line)", "t");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return LUA_OK;
}

/* Only text: bytecode can be made to crash the machine that runs it. */
static int load_chunk(lua_State *L, const struct command *command) {
    if (command->codes > 0) return load_codes(L, command);
    bool is_input = command->zero == command->argc || strcmp(command->argv[command->zero], "-") == 0;
    return luaL_loadfilex(L, is_input ? NULL : command->argv[command->zero], "t");
}

/* Is there anything to run beside the prompt? */
static bool has_script(const struct command *command) { return command->zero < command->argc || !command->prompt; }

/* Calls a part of the Lua half that returns a function. */
static void call_part(lua_State *L, const char *name) {
    neap_module_push_part(L, name);
    lua_call(L, 0, 0);
}

/* The main chunk of --attach, and the process that it is given. */
static int load_attach(lua_State *L, const struct command *command) {
    neap_module_push_part(L, "neap.prompt.attach");
    lua_pushinteger(L, command->attach);
    return 1;
}

/* Leaves the main chunk on the stack, and what it is given above it; returns how much that is. */
static int load(lua_State *L, void *argument) {
    const struct command *command = argument;
    int first = lua_gettop(L) + 1, count = command->argc - command->zero - 1;
    push_arg_table(L, command);
    lua_setglobal(L, "arg");
    if (command->attach > 0) return load_attach(L, command);
    if (command->attachable) call_part(L, "neap.prompt.attachable");
    if (command->prompt) neap_module_push_part(L, "neap.prompt.main");
    if (has_script(command) && load_chunk(L, command) != LUA_OK) lua_error(L);
    if (count > 0) luaL_checkstack(L, count, "too many arguments to the script");
    for (int i = 1; i <= count; i++) lua_pushstring(L, command->argv[command->zero + i]);
    return lua_gettop(L) - first;
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

/* The number of a process; 0: that is none. */
static long read_pid(const char *text) {
    char *end;
    long pid = strtol(text, &end, 10);
    return text[0] != '\0' && *end == '\0' && pid > 0 ? pid : 0;
}

/* Reads the options. -1: go on; else the exit status. */
static int read_options(struct command *command) {
    int i = 1;
    for (; i < command->argc; i++) {
        const char *word = command->argv[i];
        if (word[0] != '-' || word[1] == '\0') break;
        if (is(word, "-v", "--version")) return print("neap " NEAP_VERSION " (" LUA_RELEASE ")\n");
        if (is(word, "-h", "--help")) return print(usage);
        if (strcmp(word, "-i") == 0) {
            command->prompt = true;
        } else if (strcmp(word, "--attachable") == 0) {
            command->attachable = true;
        } else if (strcmp(word, "--attach") == 0) {
            const char *pid = ++i < command->argc ? command->argv[i] : "";
            command->attach = read_pid(pid);
            if (command->attach == 0) return complain("--attach needs the number of a process", "");
        } else if (strcmp(word, "-e") == 0) {
            do {
                if (++i == command->argc) return complain("-e needs code", "");
                command->codes++;
            } while (i + 1 < command->argc && strcmp(command->argv[i + 1], "-e") == 0 && ++i);
            break;
        } else if (strcmp(word, "--") == 0) {
            i++;
            break;
        } else {
            return complain("unknown option ", word);
        }
    }
    command->zero = i;
    return -1;
}

/* Programs that move large strings free and allocate a few MiB all the time. The C library would hand them back to the
 * system each time, and have each page cleared and mapped again: that costs more than copying the string. These are the
 * bounds that it would come to by itself after the largest blocks. A host, whose process it is, decides by itself. */
static void keep_free_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK);
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE);
#endif
}

int main(int argc, char **argv) {
    keep_free_memory();
    int status = neap_child_main(argc, argv);
    if (status >= 0) return status;
    struct command command = {.argc = argc, .argv = argv};
    status = read_options(&command);
    if (status >= 0) return status;
    if (command.zero == argc && isatty(STDIN_FILENO)) command.prompt = true;
    const struct neap_program program = {.load = load, .argument = &command};
    return neap_program_run(&program);
}
