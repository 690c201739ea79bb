/* host_value: the values of neap.h, to messages and to Lua, and back. */
#ifndef NEAP_BINDINGS_HOST_HOST_VALUE_H
#define NEAP_BINDINGS_HOST_HOST_VALUE_H

#include <lua.h>
#include <stddef.h>

#include "bindings/host/contract.h"
#include "bindings/neap.h"
#include "core/message.h"

enum { NEAP_VALUE_DEPTH = 200 /* of tables within one another that C can look into */ };

/* Has each a kind that there is, and what this refers to? What a table contains was asked when it was put there. */
bool neap_values_are_whole(const struct neap_value *values, size_t count);
#define NEAP_CONTRACT_VALUES(values, count)                           \
    NEAP_CONTRACT(neap_values_are_whole(values, count), NEAP_INVALID, \
                  "neap.h, RESULTS: a value has a kind that there is, and no null pointer")

/* Writes `value`, which stays, into the empty `message`. 0; NEAP_NOMEM; NEAP_RANGE: too deep or too
 * large; NEAP_INVALID: no value. */
int neap_value_pack(const struct neap_value *value, struct neap_message *message);
/* The same for a list, as neap_encode_all writes one. */
int neap_value_pack_all(const struct neap_value *values, size_t count, struct neap_message *message);
/* Reads a message, which is dropped or taken over: what C cannot look into becomes NEAP_PACKED. 0 or NEAP_NOMEM;
 * then the message stays as it was. */
int neap_value_unpack(struct neap_message *message, struct neap_value *value);

/* Pushes the value. Raises when it is none, and when out of memory. Needs two slots of the stack. */
void neap_value_push(lua_State *L, const struct neap_value *value);
/* Reads the value at `index` into `*value`, which is then owned. Raises what
 * neap_encode does, and when out of memory. */
void neap_value_read(lua_State *L, int index, struct neap_value *value);

/* --- tables, for host_value.c only --- */

struct neap_table *neap_table_ref(struct neap_table *table);
/* Does the table, or one within it, contain `other`? */
bool neap_table_contains(const struct neap_table *table, const struct neap_table *other);

#endif
