#include "bindings/task/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/handle/describe.h"
#include "bindings/report/report.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/ring.h"

enum { MEMBERS_MAX = 16, WHO_MAX = 159, PLACE_MAX = 95 };

/* A task in a possible ring. Its name is taken while its own thread can: others cannot ask its state. */
struct member {
    struct neap_ring_waiter waiter; /* first */
    char name[WHO_MAX + 1];         /* "task a (thread w1)"; constant while entered */
    char place[PLACE_MAX + 1];      /* " at script.lua:12"; constant while entered */
};

/* What is said of a ring once the guard is free; its locks are only named. */
struct circle {
    struct {
        char name[WHO_MAX + 1];
        char place[PLACE_MAX + 1];
        char wanted[64]; /* "lock: 0x5581" */
    } members[MEMBERS_MAX];
    int count; /* of members, noted or not */
};

/* The guard of the rings is held. */
static void note(const struct neap_ring_waiter *waiter, void *argument) {
    const struct member *member = (const struct member *)waiter;
    struct circle *circle = argument;
    int at = circle->count++;
    if (at >= MEMBERS_MAX) return;
    const struct neap_object *wanted = waiter->wait->links[0].object;
    memcpy(circle->members[at].name, member->name, sizeof member->name);
    memcpy(circle->members[at].place, member->place, sizeof member->place);
    snprintf(circle->members[at].wanted, sizeof circle->members[at].wanted, "%s: %p", wanted->class->name,
             (const void *)wanted);
}

static void tell(const struct circle *circle) {
    char *text = NULL;
    size_t length = 0;
    int shown = circle->count < MEMBERS_MAX ? circle->count : MEMBERS_MAX;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) return;
    fputs("neap: deadlock: these wait for each other's locks, and will for ever:\n", out);
    for (int i = 0; i < shown; i++) {
        fprintf(out, "  %s waits for %s%s", circle->members[i].name, circle->members[i].wanted,
                circle->members[i].place);
        if (i + 1 < shown)
            fputs(", held by\n", out);
        else if (shown == circle->count)
            fprintf(out, ", held by %s\n", circle->members[0].name);
        else
            fprintf(out, ", held by the first of %d more\n", circle->count - shown);
    }
    if (fclose(out) == 0) neap_report_print("%s", text);
    free(text);
}

void neap_ring_enter(lua_State *L, struct neap_task *task) {
    struct circle circle;
    struct neap_text text;
    if (!neap_rings_concern(&task->wait)) return;
    struct member *member = neap_alloc(sizeof *member);
    if (member == NULL) return; /* a ring with it is seen when everything stands still */
    member->waiter.wait = &task->wait;
    neap_text_clear(&text);
    neap_describe_task(&text, task);
    snprintf(member->name, sizeof member->name, "%.*s", WHO_MAX, text.bytes);
    neap_text_clear(&text);
    neap_describe_line(&text, L);
    snprintf(member->place, sizeof member->place, "%.*s", PLACE_MAX, text.bytes);
    circle.count = 0;
    if (neap_rings_enter(&neap_task_vm(task)->engine->rings, &member->waiter, note, &circle)) tell(&circle);
}

void neap_ring_leave(struct neap_task *task) {
    if (!neap_rings_concern(&task->wait)) return;
    neap_free(neap_rings_leave(&neap_task_vm(task)->engine->rings, &task->wait));
}
